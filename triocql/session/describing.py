"""The schema as CQL: asked of a node, or put together where it knows no DESCRIBE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from triocql import errors
from triocql._brief import brief
from triocql.config.checks import require_seconds
from triocql.config.requests import RequestOptions
from triocql.errors import InvalidQuery, UnfitAnswer, UsageError
from triocql.metadata.description import Described, Description
from triocql.metadata.schema import describe as describe_keyspaces
from triocql.metadata.schema.ddl import name as quote_name
from triocql.protocol.types import quoted
from triocql.results.factories import row_factory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from triocql.session.context import SessionContext

_UNPAGED: Final = 2**31 - 1
_CHANGED: Final = "schema has changed"
_DICT: Final = row_factory(dict)
_SYSTEM: Final = frozenset(("system", "system_auth", "system_distributed", "system_schema", "system_traces"))


async def describe(
    context: SessionContext, name: str | None, *, internals: bool, timeout: float | None
) -> Description:
    """Describe a part of the schema, or all of it: `Session.describe`."""
    statement = f"DESCRIBE {_part(name)}{' WITH INTERNALS' if internals else ''}"
    if timeout is not None:
        require_seconds(timeout, "timeout")
    # In one page: the next one would be refused where the schema has changed meanwhile.
    call = RequestOptions(page_size=_UNPAGED, idempotent=True, timeout=timeout)
    try:
        return await _ask(context, statement, call)
    except errors.SyntaxError:
        return await _of_what_is_known(context, name, internals=internals)
    except InvalidQuery as error:
        if _CHANGED not in str(error):
            raise
    return await _ask(context, statement, call)  # of a server that has pages of its own size


def _part(name: str | None) -> str:
    """Return what DESCRIBE is to describe."""
    if name is None:
        return "SCHEMA"
    if not isinstance(name, str):
        raise UsageError(f"describe() takes the name of a keyspace or a table, not {type(name).__name__}")
    keyspace, dot, table = name.partition(".")
    if '"' in name or not keyspace or (dot and not table):
        raise UsageError(
            f"describe() takes 'keyspace' or 'keyspace.table', as they are called, without quotes; not {brief(name)}"
        )
    return f"{quoted(keyspace)}.{quoted(table)}" if dot else f"KEYSPACE {quoted(keyspace)}"


async def _ask(context: SessionContext, statement: str, call: RequestOptions) -> Description:
    result = await context.execute(statement, None, call, _DICT)
    return Description(tuple([_described(row) for row in await result.all()]))


async def _of_what_is_known(context: SessionContext, name: str | None, *, internals: bool) -> Description:
    """Return what a server without DESCRIBE would say, by the tables of its schema."""
    keyspace, dot, part = (name or "").partition(".")
    keyspaces = (await context.refresh_schema(keyspace or None, None)).keyspaces
    if name is None:
        of_users = [each for each in keyspaces.values() if not each.is_virtual and each.name not in _SYSTEM]
        return describe_keyspaces(of_users, internals)
    if keyspace not in keyspaces:
        raise UsageError(f"there is no keyspace {brief(keyspace)}")
    whole = keyspaces[keyspace].describe(internals)
    if not dot:
        return whole
    found = tuple(_of_part(whole.objects, quote_name(part)))
    if not found:
        raise UsageError(f"there is no table, view or index {brief(part)} in the keyspace {brief(keyspace)}")
    return Description(found)


def _of_part(objects: Iterable[Described], name: str) -> Iterator[Described]:
    """Yield a table, view or index, and with a table the indexes and views that follow it."""
    table_goes_on = False
    for each in objects:
        if each.kind in ("table", "index", "materialized_view"):
            table_goes_on = each.name == name if each.kind == "table" else table_goes_on
            if table_goes_on or each.name == name:
                yield each


def _described(row: Mapping[str, Any]) -> Described:
    fields = [row.get(column) for column in ("keyspace_name", "type", "name", "create_statement")]
    if not all(isinstance(field, str) for field in fields):
        raise UnfitAnswer(f"DESCRIBE was answered with the columns {', '.join(row)}, which is no description")
    return Described(*fields)  # type: ignore[arg-type] # mypy does not follow all()
