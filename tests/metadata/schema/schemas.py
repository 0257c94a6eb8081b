"""Random schemas for properties: small ones, of few names, so that two of them have much in common and much not."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
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

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

NAME = "Shop"
_SCALARS = ("int", "text", "timestamp", "set<text>", "frozen<list<int>>")
_KEYS = ("int", "text", "uuid")


class Dice:
    """Random decisions, each by its place: those of another one with the same seed are the same, but for a share.

    Args:
        seed: what they follow from.
        other: the seed of those that are not the same.
        share: how many are not.
        place: where they are.
    """

    def __init__(self, seed: int, other: int = 0, share: float = 0.0, place: str = "") -> None:
        self._seed = seed
        self._other = other
        self._share = share
        self._place = place
        self._count = 0

    def at(self, name: str) -> Dice:
        """Return those of a place within."""
        return Dice(self._seed, self._other, self._share, f"{self._place}/{name}")

    def choice(self, options: Sequence[T]) -> T:
        """Choose one."""
        return self._next().choice(options)

    def randint(self, first: int, last: int) -> int:
        """Choose a number."""
        return self._next().randint(first, last)

    def sample(self, names: Sequence[T], count: int) -> list[T]:
        """Choose some, in an order that is another decision than their number."""
        return self._next().sample(names, len(names))[:count]

    def _next(self) -> Random:
        self._count += 1
        other = Random(f"{self._other}{self._place}{self._count}")
        return other if other.random() < self._share else Random(f"{self._seed}{self._place}{self._count}")


def _type(dice: Dice, found: dict[str, UserType]) -> str:
    return dice.choice([*_SCALARS, *(f"frozen<{name}>" for name in found)])


def _read(cql_type: str, found: dict[str, UserType]) -> types.CqlType:
    return parse_type(cql_type, lambda _, name: found[name].type)


def _types(dice: Dice) -> dict[str, UserType]:
    found: dict[str, UserType] = {}
    for name in dice.sample(["t0", "t1", "t2"], dice.randint(0, 3)):
        own = dice.at(name)
        names = own.sample(["a", "b", "c"], own.randint(1, 3))
        fields = {field: _type(own.at(field), found) for field in names}
        fields = {field: f"frozen<{each}>" if each == "set<text>" else each for field, each in fields.items()}
        read = tuple((field, _read(each, found)) for field, each in fields.items())
        found[name] = UserType(NAME, name, types.UserType(NAME, name, read), tuple(fields.values()))
    return found


def _functions(dice: Dice, found: dict[str, UserType]) -> dict[str, Function]:
    functions = {}
    for name in ("f0", "F1"):
        own = dice.at(name)
        if own.choice((False, True)):
            each = own.choice(["int", *found])
            body, returned = own.choice(["return a;", "return '$$';"]), own.choice(["int", "text"])
            called = own.choice((False, True))
            function = Function(
                NAME, name, (Argument("a", "int"), Argument("b", each)), returned, "java", body, called
            )
            functions[function.signature] = function
    return functions


def _aggregates(dice: Dice, functions: dict[str, Function]) -> dict[str, Aggregate]:
    if not functions or not dice.choice((False, True)):
        return {}
    function = dice.choice(sorted(functions.values(), key=lambda each: each.name))
    condition = dice.choice([None, "0"])
    taken = (function.argument_types[1],)
    aggregate = Aggregate(NAME, "g", taken, function.name, "int", None, condition, "int")
    return {aggregate.signature: aggregate}


def _mask(dice: Dice, functions: dict[str, Function]) -> Mask | None:
    masks: list[Mask | None] = [None, None, Mask("system", "mask_default")]
    masks += [Mask(NAME, each.name, (Argument("", "text", "it's"),)) for each in functions.values()]
    return dice.choice(masks)


def _table(dice: Dice, name: str, found: dict[str, UserType], functions: dict[str, Function]) -> Table:
    columns: dict[str, Column] = {}

    def add(column: str, cql_type: str, kind: ColumnKind, position: int = -1, **more: Any) -> None:
        columns[column] = Column(column, _read(cql_type, found), cql_type, kind, position, **more)

    add(dice.choice(["k", "K"]), dice.choice(_KEYS), ColumnKind.PARTITION_KEY, 0)
    clustering = dice.randint(0, 1)
    if clustering:
        cql_type = dice.choice(["int", *(f"frozen<{each}>" for each in found)])
        add("c", cql_type, ColumnKind.CLUSTERING, 0, descending=dice.choice((False, True)))
    kinds = [ColumnKind.REGULAR, ColumnKind.STATIC][: 1 + clustering]
    for column in ("v0", "v1", "v2"):
        own = dice.at(column)
        if own.choice((False, True)):
            kind, mask = own.choice(kinds), _mask(own.at("mask"), functions)
            add(column, _type(own.at("type"), found), kind, mask=mask)
    options = {
        "comment": dice.choice(["", "it's"]),
        "compaction": FrozenMap({"class": dice.choice(["A", "B"])}),
        "cdc": dice.choice([None, False, True]),
    }
    indexes = {}
    dice = dice.at("rest")
    if "v0" in columns and dice.choice((False, True)):
        indexes[f"{name}_i"] = Index(NAME, name, f"{name}_i", "COMPOSITES", FrozenMap({"target": "v0"}))
    triggers = {"tr": Trigger("tr", dice.choice(["org.A", "org.B"]))} if dice.choice((False, True)) else {}
    dropped = {}
    if "v2" not in columns and dice.choice((False, True)):
        cql_type = dice.choice(["int", "text"])
        dropped["v2"] = DroppedColumn("v2", _read(cql_type, found), cql_type, ColumnKind.REGULAR, 1)
    return Table(
        NAME,
        name,
        FrozenMap(columns),
        UUID(int=dice.randint(1, 3)),
        FrozenMap(options),
        indexes=FrozenMap(indexes),
        triggers=FrozenMap(triggers),
        dropped_columns=FrozenMap(dropped),
    )


def _view(dice: Dice, table: Table) -> View:
    includes_all = dice.choice((False, True))
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
        options=FrozenMap({"comment": dice.choice(["", "new"])}),
        base_table=table.name,
        where_clause=dice.choice(["k IS NOT NULL", "k > 1"]),
        includes_all_columns=includes_all,
    )


def _keyspace(dice: Dice) -> Keyspace:
    """Return a keyspace."""
    found = _types(dice.at("types"))
    functions = _functions(dice.at("functions"), found)
    names = [name for name in ("a", "B") if dice.choice((True, True, False))]
    tables = {name: _table(dice.at(name), name, found, functions) for name in names}
    views = [
        _view(dice.at(name).at("view"), table) for name, table in tables.items() if dice.choice((False, True))
    ]
    replication = FrozenMap({"class": "SimpleStrategy", "replication_factor": dice.choice("12")})
    return Keyspace(
        NAME,
        strategy_of(replication),
        dice.choice((False, True)),
        replication,
        is_loaded=True,
        tables=FrozenMap(tables),
        views=FrozenMap({view.name: view for view in views}),
        types=FrozenMap(found),
        functions=FrozenMap(functions),
        aggregates=FrozenMap(_aggregates(dice.at("aggregates"), functions)),
    )


def schema(dice: Dice) -> dict[str, Keyspace]:
    """Return a schema of one keyspace, or none."""
    return {NAME: _keyspace(dice)} if dice.randint(0, 9) else {}


def schemas() -> st.SearchStrategy[dict[str, Keyspace]]:
    """Schemas. (Drawn one by one, their parts are more than Hypothesis likes.)"""
    return st.integers(0, 2**64).map(Dice).map(schema)


def changes() -> st.SearchStrategy[tuple[dict[str, Keyspace], dict[str, Keyspace]]]:
    """Two schemas that differ in few decisions, or in many."""
    seeds = st.integers(0, 2**64)
    return st.builds(
        lambda seed, other, share: (schema(Dice(seed)), schema(Dice(seed, other, share))),
        seeds,
        seeds,
        st.sampled_from([0.02, 0.1, 0.5, 1.0]),
    )
