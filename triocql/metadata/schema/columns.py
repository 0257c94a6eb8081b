"""The columns of tables and views, and the keys that are made of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from triocql._hints import COLUMN, old_names
from triocql.codecs.values import FrozenMap
from triocql.metadata.schema import ddl
from triocql.metadata.schema.wording import DESCRIBED, Wording
from triocql.protocol.types import CustomType, ListType, MapType, SetType, UserType, quote_name

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType

NOTHING: Final[FrozenMap[str, Any]] = FrozenMap({})
"""An empty mapping."""

_MULTI_CELL: Final = (ListType, SetType, MapType, UserType)


class ColumnKind(enum.Enum):
    """What a column is in its table."""

    PARTITION_KEY = "partition_key"
    CLUSTERING = "clustering"
    STATIC = "static"
    REGULAR = "regular"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a mask or a function.

    Attributes:
        name: its name; "" for one of a mask.
        cql_type: the type as the server writes it.
        value: of one of a mask: the value as text, or as CQL if its type has others within; None for null.
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

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return what follows ``MASKED WITH``, in Cassandra's words, or others."""
        values = (ddl.argument(each.cql_type, each.value) for each in self.arguments)
        return f"{wording.mask(self.keyspace, self.name)}({', '.join(values)})"


@old_names(COLUMN)
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

    @property
    def is_multi_cell(self) -> bool:
        """Whether it has parts that are written one by one: a collection or a user-defined type that is not frozen."""
        if self.cql_type.startswith("frozen<"):
            return False
        return isinstance(self.type, _MULTI_CELL) or (
            # A type that could not be read; those in quotes are classes.
            isinstance(self.type, CustomType) and not self.cql_type.startswith("'")
        )

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the column as ``CREATE TABLE`` and ``ALTER TABLE … ADD`` take it, in Cassandra's words, or others."""
        static = " static" if self.is_static else ""
        mask = f" MASKED WITH {self.mask.as_cql(wording)}" if self.mask else ""
        return f"{wording.name(self.name)} {wording.type(self.cql_type)}{static}{mask}"


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

    def as_cql(self) -> str:
        """Return the column as it was before it was dropped."""
        static = " static" if self.kind is ColumnKind.STATIC else ""
        return f"{ddl.name(self.name)} {self.cql_type}{static}"


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
