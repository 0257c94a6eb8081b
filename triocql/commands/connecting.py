"""The options by which commands connect."""

from __future__ import annotations

import os
import ssl
import sys
from getpass import getpass
from typing import TYPE_CHECKING, Final

import triocql.sync
from triocql._brief import brief
from triocql.config.auth import PlainTextAuth
from triocql.errors import OptionError
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    import argparse

    from triocql.config.options import ConnectKeywords

PASSWORD: Final = "TRIOCQL_PASSWORD"  # noqa: S105
"""The environment variable that has the password of `--user`."""

_LEVELS: Final = ", ".join(level.name for level in Consistency)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have a command take a contact point, and all that says how to connect to it."""
    parser.add_argument(
        "host", metavar="HOST", help="a contact point: an address or a name, with :PORT if not 9042"
    )
    group = parser.add_argument_group("connecting")
    group.add_argument(
        "-u", "--user", help=f"log in as this user; the password is asked for, unless {PASSWORD} has it"
    )
    group.add_argument("--tls", action="store_true", help="speak TLS; with any of the next three, too")
    group.add_argument("--ca", metavar="FILE", help="the authorities to trust, instead of the system's")
    group.add_argument(
        "--certificate", metavar="FILE", help="a certificate to show, and its key unless --key has it"
    )
    group.add_argument("--key", metavar="FILE", help="the key of the certificate")
    group.add_argument("--consistency", type=str.upper, metavar="LEVEL", help=f"one of {_LEVELS}")
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="for each request (default: 10)")


def connect(arguments: argparse.Namespace, *, schema: bool = False) -> triocql.sync.Session:
    """Connect as the arguments say, and read the schema if that is wanted: what most commands need of it, they read.

    Raises OptionError for arguments that cannot be used, and as `triocql.sync.connect` does.
    """
    if "@" in arguments.host:
        raise OptionError(
            "HOST takes no user and no password: others may read the arguments of a process; use --user"
        )
    keywords: ConnectKeywords = {"schema": schema}
    if arguments.user is not None:
        keywords["auth"] = PlainTextAuth(arguments.user, _password(arguments.user))
    if (context := _tls(arguments)) is not None:
        keywords["ssl_context"] = context
    if arguments.consistency is not None:
        keywords["consistency"] = arguments.consistency
    if arguments.timeout is not None:
        keywords["timeout"] = arguments.timeout
    return triocql.sync.connect(arguments.host, **keywords)


def _password(user: str) -> str:
    password = os.environ.get(PASSWORD)
    if password is not None:
        return password
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(f"there is no terminal to ask for the password of {brief(user)}: set {PASSWORD}")
    try:
        return getpass(f"password of {user}: ")
    except EOFError:
        raise OptionError(f"no password of {brief(user)} was given") from None


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.key is not None and arguments.certificate is None:
        raise OptionError("--key is the key of a certificate: give --certificate, too")
    files = [each for each in (arguments.ca, arguments.certificate, arguments.key) if each is not None]
    if "" in files:  # as of a variable of the shell that is not set: no reason to do without TLS
        raise OptionError("--ca, --certificate and --key take the name of a file, which is empty here")
    if not (arguments.tls or files):
        return None
    try:
        context = ssl.create_default_context(cafile=arguments.ca)
        if arguments.certificate is not None:
            context.load_cert_chain(arguments.certificate, arguments.key)
    except OSError as error:
        raise OptionError(f"{', '.join(files)} cannot be used: {error}") from error
    return context
