"""What a node tells of its schema: the rows of its system tables, and its own DESCRIBE."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from triocql.errors import ResponseError
from triocql.metadata.building import finish
from triocql.metadata.description import Described
from triocql.metadata.schema import build_keyspaces

from .writer import Schema, quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.metadata.schema import Keyspace
    from triocql.sync import Session

    Rows = dict[str, list[dict[str, Any]]]

UNPAGED = 2**31 - 1
_SCHEMATA = ("system_schema", "system_virtual_schema")


def read_rows(session: Session, keyspace: str | None = None) -> Rows:
    """Read all system tables of the schema: the rows of one keyspace, or all."""
    where = "" if keyspace is None else f" WHERE keyspace_name = {text(keyspace)}"
    return {
        table: session.execute(f"SELECT * FROM {table}{where}", row_type=dict, page_size=UNPAGED).all()
        for table in system_tables(session)
    }


def system_tables(session: Session) -> list[str]:
    """Return the tables that a node tells its schema in."""
    query = "SELECT table_name FROM {} WHERE keyspace_name = '{}'"
    return [
        f"{schema}.{row.table_name}"
        for schema in _SCHEMATA
        for row in session.execute(query.format(f"{schema}.tables", schema)).all()
    ]


def build(rows: Rows) -> dict[str, Keyspace]:
    """Return what triocql makes of the rows."""
    return dict(finish(build_keyspaces(rows, {})))


def describe(session: Session, what: str, *, internals: bool) -> list[Described]:
    """Return what a node's DESCRIBE says."""
    statement = f"DESCRIBE {what}{' WITH INTERNALS' if internals else ''}"
    return [Described(*row) for row in session.execute(statement, row_type=tuple, page_size=UNPAGED).all()]


class Refused(Exception):
    """A node does not take a statement of the grammar."""


def create(session: Session, schema: Schema) -> None:
    """Make a generated schema on a node, in place of one of the same name.

    Raises Refused, with the statement.
    """
    execute(session, [f"DROP KEYSPACE IF EXISTS {quoted(schema.keyspace)}", *schema.statements])


def execute(session: Session, statements: Iterable[str]) -> None:
    """Execute statements one after the other. Raises Refused."""
    for statement in statements:
        try:
            session.execute(statement)
        except ResponseError as error:
            raise Refused(f"{error}\n    {statement}") from error


def differences(ours: Iterable[Described], theirs: Iterable[Described]) -> str:
    """Return the objects that differ, each with both texts; "" if none does."""
    mine = {(each.kind, each.name): each._replace(cql=_kept(each.cql)) for each in ours}
    wanted = {(each.kind, each.name): each._replace(cql=_kept(each.cql)) for each in theirs}
    found = []
    for key in dict.fromkeys([*wanted, *mine]):
        if mine.get(key) != wanted.get(key):
            theirs_text, our_text = _lines(wanted.get(key)), _lines(mine.get(key))
            lines = difflib.unified_diff(theirs_text, our_text, "server", "triocql", lineterm="", n=1)
            found += ["", f"{key[0]} {key[1]}:", *lines]
    if not found and list(mine) != list(wanted):
        return f"the order differs: {list(wanted)}, not {list(mine)}"
    return "\n".join(found)


def _lines(described: Described | None) -> list[str]:
    return [] if described is None else [described.keyspace, *described.cql.split("\n")]


def _kept(cql: str) -> str:
    """Return CQL with dropped columns as nodes keep them: their times in milliseconds, and without masks. Until it
    starts again, the node that was asked to drop one says the time in microseconds, of which there is more than the
    milliseconds now and then, and how it was masked.
    """
    for name in re.findall(r"^ALTER TABLE .* DROP (.+) USING TIMESTAMP \d+;", cql, re.MULTILINE):
        cql = re.sub(
            rf"^(    {re.escape(name)} .*?) MASKED WITH .+?(,?)$", r"\1\2", cql, count=1, flags=re.MULTILINE
        )
    return re.sub(r"( USING TIMESTAMP \d+)\d{3};", r"\g<1>000;", cql)
