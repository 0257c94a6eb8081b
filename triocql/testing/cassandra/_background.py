"""Clusters that outlive the command that starts them.

Each has an owner process and a state file in the cache folder. The owner holds a lock on its state file for
as long as it lives. A state file without a lock is a leftover.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triocql.testing.cassandra._authority import client_context
from triocql.testing.cassandra._cache import cache_folder
from triocql.testing.cassandra._errors import LauncherError
from triocql.testing.cassandra._probe import answers_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import TextIOWrapper

    from triocql.testing.cassandra._cluster import CassandraCluster

_PATIENCE: Final = 15.0
"""Seconds until a node that takes connections and does not answer is said to be down."""


@dataclass(frozen=True)
class NodeState:
    """A node as the state file has it."""

    address: str
    port: int
    dc: str
    rack: str
    pid: int | None
    log: str


@dataclass(frozen=True)
class ClusterState:
    """A running cluster as the state file has it."""

    name: str
    owner: int
    version: str
    nodes: tuple[NodeState, ...]
    certificates: str | None = None

    def describe(self) -> str:
        """Return a line for the cluster and one for each node, which is asked whether it is up."""
        lines = [f"cluster {self.name!r}, Cassandra {self.version}, owned by process {self.owner}"]
        if self.certificates is not None:
            lines.append(f"  authority.pem and client.pem are in {self.certificates}")
        tls = client_context(Path(self.certificates)) if self.certificates is not None else None
        for node in self.nodes:
            up = answers_options(node.address, node.port, tls=tls, timeout=_PATIENCE)
            word = "up" if up else "down"
            where = f"{node.address}:{node.port}"
            lines.append(f"  {where:<20} {word:<5} {node.dc}/{node.rack}  pid {node.pid}  {node.log}")
        return "\n".join(lines)


def _path(name: str, suffix: str) -> Path:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise LauncherError(f"a cluster's name is of letters, digits, - and _, not {name!r}")
    return cache_folder() / "running" / f"{name}.{suffix}"


def _is_locked(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def find(name: str) -> ClusterState | None:
    """Return the running cluster of this name; None if there is none, or it is still starting."""
    with suppress(FileNotFoundError), _path(name, "json").open() as file:
        text = file.read()
        if text and _is_locked(file):
            fields = json.loads(text)
            return ClusterState(**{**fields, "nodes": tuple(NodeState(**node) for node in fields["nodes"])})
    return None


# --- The owner ---------------------------------------------------------------------------------------------


def run_until_stopped(name: str, cluster: CassandraCluster) -> None:
    """Own a cluster in this process until SIGTERM, SIGHUP or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), _owned_state_file(name) as file, cluster:
        state = _state_of(name, cluster)
        json.dump(asdict(state), file)
        file.flush()
        print(state.describe(), flush=True)
        _wait_for_a_signal()


def _wait_for_a_signal() -> None:
    """Also for one that has come just before: `signal.pause` would sleep through it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    try:
        os.read(reader, 1)
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


@contextmanager
def _owned_state_file(name: str) -> Iterator[TextIOWrapper]:
    path = _path(name, "json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LauncherError(f"cluster {name!r} runs already, or is starting") from None
        file.truncate(0)
        try:
            yield file
        finally:
            file.truncate(0)


def _state_of(name: str, cluster: CassandraCluster) -> ClusterState:
    nodes = (NodeState(n.address, n.port, n.dc, n.rack, n.pid, str(n.log_path)) for n in cluster.nodes)
    certificates = str(cluster.certificates) if cluster.tls else None
    return ClusterState(name, os.getpid(), cluster.version, tuple(nodes), certificates)


# --- The commands ------------------------------------------------------------------------------------------


def start(name: str, arguments: Sequence[str]) -> ClusterState:
    """Start an owner in a session of its own, and wait until its cluster is ready.

    Raises:
        LauncherError: the cluster runs already, or did not start.
    """
    log = _path(name, "log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "triocql.testing.cassandra", "start", "--foreground", *arguments]
    with log.open("wb") as output:
        owner = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        while owner.poll() is None:
            state = find(name)
            if state is not None and state.owner == owner.pid:
                owner.returncode = 0  # it lives on, and is not ours to wait for
                return state
            time.sleep(0.05)
    except BaseException:
        owner.terminate()
        owner.wait()
        raise
    raise LauncherError(log.read_text(errors="replace").strip())


def stop(name: str) -> bool:
    """Stop the running cluster of this name, and wait until its owner is gone; False if there is none."""
    state = find(name)
    if state is None:
        return False
    try:
        owner = os.pidfd_open(state.owner)
    except ProcessLookupError:
        return False
    try:
        if find(name) != state:  # the process id may have changed hands before the pidfd was there
            return False
        signal.pidfd_send_signal(owner, signal.SIGTERM)
        select.select([owner], [], [])
    finally:
        os.close(owner)
    return True
