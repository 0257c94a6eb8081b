"""Random schemas for properties: small ones, of few names, so that two of them have much in common and much not."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from triocql.codecs.typeparser import parse_type
from triocql.codecs.values import FrozenMap
from triocql.metadata.replication import strategy_of
from triocql.metadata.schema import (
    Aggregate,
    Argument,
    Column,
    ColumnKind,
    DroppedColumn,
    Function,
    Index,
    Keyspace,
    Mask,
    Table,
    Trigger,
    UserType,
    View,
)
from triocql.protocol import types

NAME = "Shop"
_SCALARS = ("int", "text", "timestamp", "set<text>", "frozen<list<int>>")
_KEYS = ("int", "text", "uuid")


def _type(rng: Random, found: dict[str, UserType]) -> str:
    return rng.choice([*_SCALARS, *(f"frozen<{name}>" for name in found)])


def _read(cql_type: str, found: dict[str, UserType]) -> types.CqlType:
    return parse_type(cql_type, lambda _, name: found[name].type)


def _types(rng: Random) -> dict[str, UserType]:
    found: dict[str, UserType] = {}
    for name in rng.sample(["t0", "t1", "t2"], rng.randint(0, 3)):
        fields = {field: _type(rng, found) for field in rng.sample(["a", "b", "c"], rng.randint(1, 3))}
        fields = {field: f"frozen<{each}>" if each == "set<text>" else each for field, each in fields.items()}
        read = tuple((field, _read(each, found)) for field, each in fields.items())
        found[name] = UserType(NAME, name, types.UserType(NAME, name, read), tuple(fields.values()))
    return found


def _functions(rng: Random, found: dict[str, UserType]) -> dict[str, Function]:
    functions = {}
    for name in ("f0", "F1"):
        if rng.choice((False, True)):
            each = rng.choice(["int", *found])
            body, returned = (
                rng.choice(["return a;", "return b;"]),
                rng.choice(["int", "text"]),
            )
            called = rng.choice((False, True))
            function = Function(
                NAME, name, (Argument("a", "int"), Argument("b", each)), returned, "java", body, called
            )
            functions[function.signature] = function
    return functions


def _aggregates(rng: Random, functions: dict[str, Function]) -> dict[str, Aggregate]:
    if not functions or not rng.choice((False, True)):
        return {}
    function = rng.choice(sorted(functions.values(), key=lambda each: each.name))
    condition = rng.choice([None, "0"])
    taken = (function.argument_types[1],)
    aggregate = Aggregate(NAME, "g", taken, function.name, "int", None, condition, "int")
    return {aggregate.signature: aggregate}


def _mask(rng: Random, functions: dict[str, Function]) -> Mask | None:
    masks: list[Mask | None] = [None, None, Mask("system", "mask_default")]
    masks += [Mask(NAME, each.name, (Argument("", "text", "it's"),)) for each in functions.values()]
    return rng.choice(masks)


def _table(rng: Random, name: str, found: dict[str, UserType], functions: dict[str, Function]) -> Table:
    columns: dict[str, Column] = {}

    def add(column: str, cql_type: str, kind: ColumnKind, position: int = -1, **more: Any) -> None:
        columns[column] = Column(column, _read(cql_type, found), cql_type, kind, position, **more)

    add(rng.choice(["k", "K"]), rng.choice(_KEYS), ColumnKind.PARTITION_KEY, 0)
    clustering = rng.randint(0, 1)
    if clustering:
        cql_type = rng.choice(["int", *(f"frozen<{each}>" for each in found)])
        add("c", cql_type, ColumnKind.CLUSTERING, 0, descending=rng.choice((False, True)))
    kinds = [ColumnKind.REGULAR, ColumnKind.STATIC][: 1 + clustering]
    for column in ("v0", "v1", "v2"):
        if rng.choice((False, True)):
            add(column, _type(rng, found), rng.choice(kinds), mask=_mask(rng, functions))
    options = {
        "comment": rng.choice(["", "it's"]),
        "compaction": FrozenMap({"class": rng.choice(["A", "B"])}),
        "cdc": rng.choice([None, False, True]),
    }
    indexes = {}
    if "v0" in columns and rng.choice((False, True)):
        indexes[f"{name}_i"] = Index(NAME, name, f"{name}_i", "COMPOSITES", FrozenMap({"target": "v0"}))
    triggers = {"tr": Trigger("tr", rng.choice(["org.A", "org.B"]))} if rng.choice((False, True)) else {}
    dropped = {}
    if "v2" not in columns and rng.choice((False, True)):
        cql_type = rng.choice(["int", "text"])
        dropped["v2"] = DroppedColumn("v2", _read(cql_type, found), cql_type, ColumnKind.REGULAR, 1)
    return Table(
        NAME,
        name,
        FrozenMap(columns),
        UUID(int=rng.randint(1, 3)),
        FrozenMap(options),
        indexes=FrozenMap(indexes),
        triggers=FrozenMap(triggers),
        dropped_columns=FrozenMap(dropped),
    )


def _view(rng: Random, table: Table) -> View:
    includes_all = rng.choice((False, True))
    key = [*table.partition_key, *table.clustering_key]
    columns = {
        column.name: Column(
            column.name,
            column.type,
            column.cql_type,
            ColumnKind.CLUSTERING if position else ColumnKind.PARTITION_KEY,
            max(position - 1, 0),
        )
        for position, column in enumerate(reversed(key))
    }
    if includes_all:
        columns |= {name: each for name, each in table.columns.items() if each.kind is ColumnKind.REGULAR}
    return View(
        NAME,
        f"{table.name}_view",
        FrozenMap(columns),
        options=FrozenMap({"comment": rng.choice(["", "new"])}),
        base_table=table.name,
        where_clause=rng.choice(["k IS NOT NULL", "k > 1"]),
        includes_all_columns=includes_all,
    )


def _keyspace(rng: Random) -> Keyspace:
    """Return a keyspace."""
    found = _types(rng)
    functions = _functions(rng, found)
    names = [name for name in ("a", "B") if rng.choice((False, True))]
    tables = {name: _table(rng, name, found, functions) for name in names}
    views = [_view(rng, table) for table in tables.values() if rng.choice((False, True))]
    replication = FrozenMap({"class": "SimpleStrategy", "replication_factor": rng.choice("12")})
    return Keyspace(
        NAME,
        strategy_of(replication),
        rng.choice((False, True)),
        replication,
        is_loaded=True,
        tables=FrozenMap(tables),
        views=FrozenMap({view.name: view for view in views}),
        types=FrozenMap(found),
        functions=FrozenMap(functions),
        aggregates=FrozenMap(_aggregates(rng, functions)),
    )


def _schema(seed: int) -> dict[str, Keyspace]:
    rng = Random(seed)
    return {NAME: _keyspace(rng)} if rng.randint(0, 9) else {}


def schemas() -> st.SearchStrategy[dict[str, Keyspace]]:
    """Schemas of one keyspace, or none. (Drawn one by one, their parts are more than Hypothesis likes.)"""
    return st.integers(0, 2**64).map(_schema)
