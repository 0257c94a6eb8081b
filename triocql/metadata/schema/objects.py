"""The schema of a cluster as values: frozen, hashable, comparable, without a link to a session.

Names are as they are in system tables, without quotes. Mappings are in the order in which the server describes their
items. What a server tells and triocql does not know is in `options`, where it is one, or else in `extra`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from triocql.codecs.values import FrozenMap
from triocql.protocol.types import quote_name

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.metadata.replication import ReplicationStrategy
    from triocql.protocol import types
    from triocql.protocol.types import CqlType

T = TypeVar("T")

NOTHING: Final[FrozenMap[str, Any]] = FrozenMap({})
"""An empty mapping."""


class ColumnKind(enum.Enum):
    """What a column is in its table."""

    PARTITION_KEY = "partition_key"
    CLUSTERING = "clustering"
    STATIC = "static"
    REGULAR = "regular"


# --- Columns -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a mask or a function.

    Attributes:
        name: its name; "" for one of a mask.
        cql_type: the type as the server writes it.
        value: of one of a mask: the value as text, None for null.
    """

    name: str
    cql_type: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Mask:
    """A function that hides the values of a column from those who may not unmask them.

    Attributes:
        keyspace: that of the function: ``system`` for those that every server has.
        name: of the function.
        arguments: those that follow the value of the column.
    """

    keyspace: str
    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or a view.

    Attributes:
        name: its name.
        type: its type. User-defined types within have their fields.
        cql_type: the type as the server writes it, which also tells what is frozen.
        kind: what it is in its table.
        position: its place among those of the partition key, or of the clustering key; -1 for others.
        descending: whether rows are sorted from high to low by it.
        mask: what hides its values, None if nothing does.
        extra: what else a server tells of it, by the names of columns in system tables.
    """

    name: str
    type: CqlType
    cql_type: str
    kind: ColumnKind = ColumnKind.REGULAR
    position: int = -1
    descending: bool = False
    mask: Mask | None = None
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def is_static(self) -> bool:
        """Whether all rows of a partition share its value."""
        return self.kind is ColumnKind.STATIC


@dataclass(frozen=True, slots=True)
class DroppedColumn:
    """A column that was dropped. Nodes remember it, since its values may be on their disks still.

    Attributes:
        name: its name. A column of this name may have been added again.
        type: its type.
        cql_type: the type as the server writes it.
        kind: what it was in its table.
        dropped_time: when it was dropped, in microseconds since 1970, as ``USING TIMESTAMP`` takes it.
        extra: what else a server tells of it.
    """

    name: str
    type: CqlType
    cql_type: str
    kind: ColumnKind
    dropped_time: int
    extra: FrozenMap[str, Any] = NOTHING


class Key(tuple[Column, ...]):
    """The columns of a key, in its order.

    >>> from triocql.protocol.types import NativeType
    >>> number = NativeType("int")
    >>> key = Key([Column("id", number, "int"), Column("Day", number, "int")])
    >>> key.names
    ('id', 'Day')
    >>> f"SELECT * FROM visits WHERE {key.restrictions}"
    'SELECT * FROM visits WHERE id = ? AND "Day" = ?'
    """

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(column.name for column in self)

    @property
    def restrictions(self) -> str:
        """What ``WHERE`` takes to find the key: a marker for each of its columns."""
        return " AND ".join(f"{quote_name(column.name)} = ?" for column in self)


# --- Tables and views --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index.

    Attributes:
        keyspace: the keyspace that it is in.
        table: the table that it belongs to.
        name: its name.
        kind: ``COMPOSITES`` or ``KEYS`` for those of Cassandra from the beginning, ``CUSTOM`` for those by a class.
        options: its options, among them ``target`` and, where it is by a class, ``class_name``.
        extra: what else a server tells of it.
    """

    keyspace: str
    table: str
    name: str
    kind: str
    options: FrozenMap[str, str] = NOTHING
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def target(self) -> str:
        """What is indexed, as CQL: ``"Name"``, ``values(tags)``."""
        return self.options.get("target", "")

    @property
    def class_name(self) -> str | None:
        """The class that it is by, as it was written, such as ``sai``; None for one without."""
        return self.options.get("class_name")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a table: code that the nodes run with each write.

    Attributes:
        name: its name.
        class_name: the class of its code.
        options: all its options.
        extra: what else a server tells of it.
    """

    name: str
    class_name: str
    options: FrozenMap[str, str] = NOTHING
    extra: FrozenMap[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class Relation:
    """What tables and views have in common.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        columns: its columns by their names: those of the partition key, of the clustering key, static ones, others.
        id: its identity, None where the server tells of none.
        options: its options by name, such as ``compaction`` or ``comment``, also those that triocql does not know.
            None means that the server's default is in force; an option that is not there is one that the server
            does not have.
        flags: what the server notes of it, such as ``compound``.
        indexes: its indexes by name.
        triggers: its triggers by name.
        dropped_columns: what was dropped, by name.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    columns: FrozenMap[str, Column]
    id: UUID | None = None
    options: FrozenMap[str, Any] = NOTHING
    flags: frozenset[str] = frozenset()
    indexes: FrozenMap[str, Index] = NOTHING
    triggers: FrozenMap[str, Trigger] = NOTHING
    dropped_columns: FrozenMap[str, DroppedColumn] = NOTHING
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def cql_name(self) -> str:
        """Its name with its keyspace, as CQL takes it: ``shop."Orders"``."""
        return f"{quote_name(self.keyspace)}.{quote_name(self.name)}"

    @property
    def partition_key(self) -> Key:
        """The columns whose values say which nodes have a row."""
        return self._of(ColumnKind.PARTITION_KEY)

    @property
    def clustering_key(self) -> Key:
        """The columns by which the rows of a partition are sorted."""
        return self._of(ColumnKind.CLUSTERING)

    @property
    def primary_key(self) -> Key:
        """The columns whose values belong to one row only: both keys."""
        return self._of(ColumnKind.PARTITION_KEY, ColumnKind.CLUSTERING)

    def _of(self, *kinds: ColumnKind) -> Key:
        return Key(column for column in self.columns.values() if column.kind in kinds)


@dataclass(frozen=True, slots=True)
class Table(Relation):
    """A table."""


@dataclass(frozen=True, slots=True)
class VirtualTable(Table):
    """A table that has no data of its own: each node shows something of itself in it."""


@dataclass(frozen=True, slots=True)
class View(Relation):
    """A materialized view.

    Attributes:
        base_table: the name of the table that it shows, which is in the same keyspace.
        where_clause: which rows it has.
        includes_all_columns: whether it was made by ``SELECT *``.
        base_table_id: the identity of its table.
    """

    base_table: str = ""
    where_clause: str = ""
    includes_all_columns: bool = False
    base_table_id: UUID | None = None


# --- Types and functions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserType:
    """A user-defined type.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        type: the type itself, with its fields and their types.
        cql_types: the types of its fields as the server writes them.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    type: types.UserType
    cql_types: tuple[str, ...]
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def fields(self) -> FrozenMap[str, CqlType]:
        """The types of its fields by their names, in order."""
        return FrozenMap(dict(self.type.fields))


@dataclass(frozen=True, slots=True)
class Function:
    """A user-defined function.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        arguments: its arguments.
        return_type: the type of what it returns, as the server writes it.
        language: what it is written in.
        body: its code.
        called_on_null_input: whether it is called if an argument is null; if not, null is what it gives.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    arguments: tuple[Argument, ...]
    return_type: str
    language: str
    body: str
    called_on_null_input: bool
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def signature(self) -> str:
        """What tells it from others of its name: ``average(int, text)``."""
        return signature_of(self.name, (argument.cql_type for argument in self.arguments))


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A user-defined aggregate.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        argument_types: the types of its arguments, as the server writes them.
        state_function: the name of the function that takes the state and a row's values, and gives the next state.
        state_type: the type of the state.
        final_function: the name of the function that makes the result of the last state, None if that is the result.
        initial_condition: the first state as CQL, None for null.
        return_type: the type of the result.
        reduce_function: Scylla's: the name of the function that makes one state of two.
        extra: what else a server tells of it.
    """

    keyspace: str
    name: str
    argument_types: tuple[str, ...]
    state_function: str
    state_type: str
    final_function: str | None
    initial_condition: str | None
    return_type: str
    reduce_function: str | None = None
    extra: FrozenMap[str, Any] = NOTHING

    @property
    def signature(self) -> str:
        """What tells it from others of its name: ``average(int)``."""
        return signature_of(self.name, self.argument_types)


# --- Keyspaces ---------------------------------------------------------------------------------------------


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
    types: FrozenMap[str, UserType] = NOTHING
    functions: FrozenMap[str, Function] = NOTHING
    aggregates: FrozenMap[str, Aggregate] = NOTHING

    def with_contents_of(self, other: Keyspace) -> Keyspace:
        """Return it with the tables, views, types, functions and aggregates of another one."""
        return replace(
            self,
            is_loaded=other.is_loaded,
            tables=other.tables,
            views=other.views,
            types=other.types,
            functions=other.functions,
            aggregates=other.aggregates,
        )


def signature_of(name: str, argument_types: Any) -> str:
    """Return what a function is known by among those of its keyspace: its name, and the types of its arguments.

    >>> signature_of("average", ["int", "text"])
    'average(int, text)'
    """
    return f"{name}({', '.join(argument_types)})"
