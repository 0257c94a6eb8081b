"""``python -m triocql describe``: the schema as CQL, on stdout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from triocql.commands.connecting import add_options, connect

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "describe",
        help="print the schema, or a part of it, as the CQL that makes it",
        description="Print the schema, or a part of it, as the CQL that makes it, as the node says it.",
    )
    add_options(parser)
    parser.add_argument(
        "name",
        nargs="?",
        metavar="KEYSPACE[.TABLE]",
        help="as they are called, without quotes; a view or an index is as good as a table "
        "(default: all keyspaces but those of the system)",
    )
    parser.add_argument(
        "--internals", action="store_true", help="with the ids of tables, and the columns that were dropped"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Execute the command."""
    with connect(arguments) as session:
        description = session.describe(arguments.name, internals=arguments.internals)
    print(description)
    for each in description.comments_only:
        print(f"{each.keyspace}.{each.name} cannot be made by CQL: it is a comment only", file=sys.stderr)
