"""Keyspaces, with all that is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triocql._hints import KEYSPACE, old_names
from triocql.codecs.values import FrozenMap
from triocql.errors import UsageError
from triocql.metadata.description import Described, Description
from triocql.metadata.schema import ddl, ordering
from triocql.metadata.schema.callables import Aggregate, Function
from triocql.metadata.schema.columns import NOTHING
from triocql.metadata.schema.wording import DESCRIBED, Wording
from triocql.protocol.types import ListType, MapType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from triocql.metadata.replication import ReplicationStrategy
    from triocql.metadata.schema import callables
    from triocql.metadata.schema.relations import Index, Table, View
    from triocql.protocol.types import CqlType


@old_names(KEYSPACE)
@dataclass(frozen=True, slots=True)
class Keyspace:
    """A keyspace, as the cluster has told.

    Attributes:
        name: its name, as it is in system tables: without quotes.
        replication: on how many nodes each partition is, and how these are chosen.
        durable_writes: whether writes go to the commit log, too.
        replication_options: the options of the replication, as the cluster tells them.
        options: its other options, by name.
        is_virtual: whether its tables are virtual ones.
        is_loaded: whether what follows was read. If not, it is empty, whatever the keyspace has.
        tables: its tables by name.
        views: its materialized views by name.
        types: its user-defined types by name.
        functions: its user-defined functions, by names and types of arguments: ``average(int, text)``.
        aggregates: its user-defined aggregates, likewise.
    """

    name: str
    replication: ReplicationStrategy
    durable_writes: bool = True
    replication_options: FrozenMap[str, str] = NOTHING
    options: FrozenMap[str, Any] = NOTHING
    is_virtual: bool = False
    is_loaded: bool = False
    tables: FrozenMap[str, Table] = NOTHING
    views: FrozenMap[str, View] = NOTHING
    types: FrozenMap[str, callables.UserType] = NOTHING
    functions: FrozenMap[str, Function] = NOTHING
    aggregates: FrozenMap[str, Aggregate] = NOTHING

    @property
    def has_tablets(self) -> bool:
        """Whether its tables consist of tablets, as ScyllaDB has them: where these are follows from no ring."""
        return self.options.get("initial_tablets") is not None

    @property
    def has_leaders(self) -> bool:
        """Whether its tablets have leaders, which requests had better go to (ScyllaDB)."""
        return self.options.get("consistency") == "global"

    @property
    def placing(self) -> tuple[object, ...]:
        """What decides where its data are: equal if nothing about that has changed."""
        options = self.options
        return self.replication_options, options.get("initial_tablets"), options.get("consistency")

    def as_cql(self, internals: bool = False) -> str:
        """Return the statements that make it, with all that is in it, as ``DESCRIBE KEYSPACE`` of Cassandra does.

        Args:
            internals: with the identities of tables and views, and with columns that were dropped.

        Raises:
            UsageError: it was not loaded.
        """
        return str(self.describe(internals))

    def describe(self, internals: bool = False) -> Description:
        """Return what makes it, one by one, in the order of ``DESCRIBE KEYSPACE``. Args and errors: see `as_cql`."""
        self.check_loaded()
        return Description(tuple(self._described(internals)))

    def check_loaded(self) -> None:
        """Raise UsageError if it was not loaded."""
        if not self.is_loaded:
            raise UsageError(
                f"the tables of the keyspace {self.name!r} were not loaded; schema= of connect() says which are"
            )

    def _described(self, internals: bool) -> Iterator[Described]:
        keyspace = ddl.name(self.name)
        yield Described(keyspace, "keyspace", keyspace, self.head_as_cql())
        for name in types_in_order(self.types):
            yield Described(keyspace, "type", ddl.name(name), self.types[name].as_cql())
        for function in sorted(self.functions.values(), key=_signature):
            called = ddl.described_signature(function.name, function.argument_types)
            yield Described(keyspace, "function", called, function.as_cql())
        for aggregate in sorted(self.aggregates.values(), key=_signature):
            called = ddl.described_signature(aggregate.name, aggregate.argument_types)
            yield Described(keyspace, "aggregate", called, aggregate.as_cql())
        for table in sorted(self.tables.values(), key=_name):
            yield Described(keyspace, "table", ddl.name(table.name), table.as_cql(internals))
            for index in sorted(table.indexes.values(), key=_name):
                yield Described(keyspace, "index", ddl.name(index.name), index.as_cql())
            views = [view for view in self.views.values() if view.base_table == table.name]
            for view in sorted(views, key=_name):
                yield Described(keyspace, "materialized_view", ddl.name(view.name), view.as_cql(internals))

    def head_as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes the keyspace itself, without what is in it."""
        if self.is_virtual:
            return ddl.virtual_keyspace(self.name)
        return ddl.create_keyspace(wording.name(self.name), self.cql_options)

    @property
    def cql_options(self) -> dict[str, str]:
        """What ``WITH`` takes, by name, as CQL."""
        told = self.replication_options
        class_name = told.get("class", "").removeprefix("org.apache.cassandra.locator.")
        ordered = ordering.as_hash_map(sorted(told), ordering.text_hash)
        options = {"class": class_name, **{name: told[name] for name in ordered if name != "class"}}
        replication = ", ".join(f"{ddl.string(name)}: {ddl.string(each)}" for name, each in options.items())
        return {
            "replication": f"{{{replication}}}",
            "durable_writes": ddl.value(self.durable_writes),
            **dict(_more_options(self.options)),
        }


def describe(keyspaces: Iterable[Keyspace], internals: bool = False) -> Description:
    """Return what makes some keyspaces, with all that is in them, in the order of ``DESCRIBE SCHEMA`` of Cassandra.

    Raises:
        UsageError: one of them was not loaded.
    """
    ordered = sorted(keyspaces, key=_name)
    return Description(tuple(each for keyspace in ordered for each in keyspace.describe(internals).objects))


def types_in_order(types: Mapping[str, callables.UserType]) -> list[str]:
    """Return the names of types as ``DESCRIBE`` orders them: each after those that it is made of."""
    return ordering.by_dependency({name: _names_within(each.type) for name, each in types.items()})


def _more_options(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return options that Cassandra does not have."""
    rest = dict(options)
    storage, tablets = rest.pop("storage_type", None), rest.pop("initial_tablets", None)
    if storage is not None:
        yield "storage", ddl.value({"type": storage, **rest.pop("storage_options", {})})
    if tablets is not None:
        yield "tablets", ddl.value({"enabled": True, **({"initial": tablets} if tablets else {})})
    for name in sorted(rest):
        yield ddl.name(name), ddl.value(rest[name])


def _names_within(cql_type: CqlType) -> list[str]:
    """Return the names of the user-defined types that a type is made of, in order."""
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element, _):
            parts: Iterable[CqlType] = (element,)
        case MapType(key, value):
            parts = (key, value)
        case TupleType(elements):
            parts = elements
        case UserType():
            parts = (each for _, each in cql_type.fields)
        case _:
            parts = ()
    found = []
    for part in parts:
        found += [part.name] if isinstance(part, UserType) else _names_within(part)
    return found


def _name(named: Table | View | Index | Keyspace) -> list[int]:
    return ordering.ignoring_case(named.name)


def _signature(function: Function | Aggregate) -> list[int]:
    return ordering.ignoring_case(ddl.signature(function.name, function.argument_types))
