"""``python -m triocql.testing.cassandra``: a cluster that stays until it is stopped, for trials and demos."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from triocql.testing.cassandra import _background
from triocql.testing.cassandra._cluster import TLS_KINDS, CassandraCluster, prepare
from triocql.testing.cassandra._errors import LauncherError
from triocql.testing.cassandra._versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_RUNNING = 3  # as for the status of an init script


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error, 3 from ``status`` when nothing runs."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m triocql.testing.cassandra", description="Real Apache Cassandra nodes on this machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    install = commands.add_parser("install", help="fetch Cassandra into the cache folder")
    install.set_defaults(run=_install)

    start = commands.add_parser("start", help="start a cluster and leave it running")
    start.set_defaults(run=_start)
    start.add_argument("--nodes", type=int, default=1, help="how many nodes (default: %(default)s)")
    start.add_argument("--auth", action="store_true", help="ask for a password: cassandra, of cassandra")
    start.add_argument("--tls", choices=TLS_KINDS, help="speak TLS only; mutual: ask for certificates, too")
    start.add_argument(
        "--foreground", action="store_true", help="stay, and stop the cluster on Ctrl-C or SIGTERM"
    )

    stop = commands.add_parser("stop", help="stop a cluster and remove its data")
    stop.set_defaults(run=_stop)

    status = commands.add_parser("status", help="show the nodes of a cluster")
    status.set_defaults(run=_status)

    for command in (install, start):
        command.add_argument(
            "--version",
            default=DEFAULT_VERSION,
            help="a version of Cassandra, or 4.0, 4.1 or 5.0 for the one of it that is tested (default: %(default)s)",
        )
    for command in (start, stop, status):
        command.add_argument("--name", default="default", help="which cluster (default: %(default)s)")
    return parser


def _install(options: argparse.Namespace) -> int:
    ready = prepare(options.version)
    print(f"Cassandra {ready.version.text} is in {ready.lib}, to be run by {ready.java.program}")
    return 0


def _start(options: argparse.Namespace) -> int:
    if options.foreground:
        cluster = CassandraCluster(
            options.nodes, version=options.version, name=options.name, auth=options.auth, tls=options.tls
        )
        _background.run_until_stopped(options.name, cluster)
        return 0
    arguments = ["--nodes", str(options.nodes), "--version", options.version, "--name", options.name]
    arguments += ["--auth"] if options.auth else []
    arguments += ["--tls", options.tls] if options.tls else []
    state = _background.start(options.name, arguments)
    print(state.describe())
    return 0


def _stop(options: argparse.Namespace) -> int:
    stopped = _background.stop(options.name)
    print(f"cluster {options.name!r} " + ("is stopped" if stopped else "is not running"))
    return 0


def _status(options: argparse.Namespace) -> int:
    state = _background.find(options.name)
    if state is None:
        print(f"cluster {options.name!r} is not running")
        return NOT_RUNNING
    print(state.describe())
    return 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's end complains
        status = 1
    sys.exit(status)
