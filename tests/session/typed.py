"""Pages of users, for the tests of rows as instances of users' classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.protocol.types import ColumnSpec, CqlType, NativeType

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry
    from triocql.codecs.rows import Page

INT, TEXT = NativeType("int"), NativeType("text")
USER: dict[str, CqlType] = {"id": INT, "name": TEXT, "age": INT}
ROWS: list[tuple[Any, ...]] = [(1, "Ada", 36), (2, "Grace", None)]


def page_of(registry: Registry, columns: dict[str, CqlType], rows: list[tuple[Any, ...]]) -> Page:
    specs = tuple(ColumnSpec("ks", "t", name, cql_type) for name, cql_type in columns.items())
    body = b"".join(registry.binder(specs).bind(row)[2:] for row in rows)
    return registry.plan(specs).page(body, 0, len(rows))


def users(registry: Registry, order: str = "id name age", rows: list[tuple[Any, ...]] = ROWS) -> Page:
    """Return a page of users whose columns are in this order."""
    names = order.split()
    places = [list(USER).index(name) for name in names]
    columns = {name: USER[name] for name in names}
    return page_of(registry, columns, [tuple(row[place] for place in places) for row in rows])
