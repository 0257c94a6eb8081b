"""Tables and views, and what belongs to them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from triocql._hints import INDEX, RELATION, old_names
from triocql.codecs.values import FrozenMap
from triocql.metadata.schema import ddl, ordering
from triocql.metadata.schema.columns import NOTHING, Column, ColumnKind, DroppedColumn, Key
from triocql.metadata.schema.wording import DESCRIBED, Wording
from triocql.protocol.types import quote_name

if TYPE_CHECKING:
    from uuid import UUID

COMPOUND: Final = frozenset(("compound",))
"""The flags of a table of CQL."""

# The hidden column of tables from before CQL that have nothing but a key.
_EMPTY: Final = ("empty", "'org.apache.cassandra.db.marshal.EmptyType'")


@old_names(INDEX)
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

    def as_cql(self, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, as ``DESCRIBE`` of Cassandra does, or in other words."""
        options = {key: each for key, each in self.options.items() if key not in ("target", "class_name")}
        class_name = self.options.get("class_name", "null") if self.kind == "CUSTOM" else None
        target = self.options.get("target", "null")
        table = wording.qualified(self.keyspace, self.table)
        return ddl.create_index(wording.name(self.name), table, target, class_name, options)


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


@old_names(RELATION)
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
    flags: frozenset[str] = COMPOUND
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

    @property
    def partitioner(self) -> str | None:
        """The class of its own partitioner, as the logs of changes (CDC) of ScyllaDB have one; None if it has that of
        the cluster."""
        told = self.options.get("partitioner")
        return told if isinstance(told, str) and told else None

    @property
    def cql_columns(self) -> tuple[Column, ...]:
        """The columns that CQL knows: tables from before CQL have some that are hidden."""
        return tuple(self.columns.values())

    @property
    def cql_options(self) -> dict[str, str]:
        """What ``WITH`` takes, by name, as CQL: what the server has told, and its defaults where it told null."""
        return ddl.table_options(self.options, is_view=False)

    def _of(self, *kinds: ColumnKind) -> Key:
        return Key(column for column in self.columns.values() if column.kind in kinds)

    def _key_as_cql(self, clustering: Iterable[Column], wording: Wording) -> str:
        partition = ", ".join(map(wording.name, self.partition_key.names))
        if len(self.partition_key) > 1:
            partition = f"({partition})"
        return (
            f"PRIMARY KEY ({', '.join([partition, *(wording.name(column.name) for column in clustering)])})"
        )

    def _options_as_cql(self, internals: bool, clustering: Key, wording: Wording) -> list[str]:
        options = [f"ID = {self.id}"] if internals and self.id is not None else []
        if clustering:
            order = ", ".join(
                f"{wording.name(column.name)} {'DESC' if column.descending else 'ASC'}"
                for column in clustering
            )
            options.append(f"CLUSTERING ORDER BY ({order})")
        return options + [f"{option} = {each}" for option, each in self.cql_options.items()]


@dataclass(frozen=True, slots=True)
class Table(Relation):
    """A table."""

    @property
    def is_compact(self) -> bool:
        """Whether it is a table from before CQL, or made ``WITH COMPACT STORAGE``."""
        return "compound" not in self.flags or bool(self.flags & {"dense", "super"})

    def as_cql(self, internals: bool = False, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, without its indexes and views, as ``DESCRIBE`` of Cassandra does.

        Args:
            internals: with its identity, and with dropped columns: added, and dropped again by statements that follow.
            wording: whose words it is in.
        """
        lines = self._lines(internals, wording)
        is_ordered = wording.hidden_columns or not self._hides_columns
        options = self._options_as_cql(internals, self.clustering_key if is_ordered else Key(), wording)
        name = wording.qualified(self.keyspace, self.name)
        if not self.is_compact:
            return ddl.create_table(name, lines, options) + self._drops(internals)
        created = ddl.create_table(name, lines, ["COMPACT STORAGE", *options])
        return wording.legacy_table(name, created + self._drops(internals))

    @property
    def _hides_columns(self) -> bool:
        """Whether its clustering key is none that CQL knows."""
        return not self.flags & {"dense", "super", "compound"}

    @property
    def _described_name(self) -> str:
        return ddl.qualified(self.keyspace, self.name)

    @property
    def cql_columns(self) -> tuple[Column, ...]:
        """The columns that CQL knows: tables from before CQL have some that are hidden."""
        key, columns = self.partition_key, tuple(self.columns.values())
        if not self.is_compact:
            return columns
        if self._hides_columns:
            return (*key, *(replace(each, kind=ColumnKind.REGULAR) for each in columns if each.is_static))
        if any(each.cql_type in _EMPTY for each in columns):
            return tuple(self.primary_key)
        return columns

    def _lines(self, internals: bool, wording: Wording) -> list[str]:
        """Return the columns and the key, with their commas."""
        dropped = self._dropped() if internals else []
        again = {each.name for each in dropped}
        is_single = len(self.primary_key) == 1
        lines = [
            column.as_cql(wording)
            + (" PRIMARY KEY" if is_single and column.kind is ColumnKind.PARTITION_KEY else "")
            for column in self.cql_columns
            if column.name not in again
        ]
        lines += [each.as_cql() for each in dropped]
        if not is_single:
            lines.append(self._key_as_cql(() if self._hides_columns else self.clustering_key, wording))
        return [f"{line}," for line in lines[:-1]] + lines[-1:]

    def _dropped(self) -> list[DroppedColumn]:
        """Return dropped columns in the order of Cassandra, which reads them into a map, and copies it."""
        names = ordering.as_grown_hash_map(list(self.dropped_columns), ordering.bytes_hash)
        return [self.dropped_columns[each] for each in ordering.as_hash_map(names, ordering.bytes_hash)]

    def _drops(self, internals: bool) -> str:
        """Return the statements that drop what was dropped, and add what was added again."""
        statements = []
        for each in self._dropped() if internals else ():
            alter = f"\nALTER TABLE {self._described_name}"
            statements.append(f"{alter} DROP {ddl.name(each.name)} USING TIMESTAMP {each.dropped_time};")
            if each.name in self.columns:
                statements.append(f"{alter} ADD {self.columns[each.name].as_cql()};")
        return "".join(statements)


@dataclass(frozen=True, slots=True)
class VirtualTable(Table):
    """A table that has no data of its own: each node shows something of itself in it."""

    def as_cql(self, internals: bool = False, wording: Wording = DESCRIBED) -> str:
        """Return what it looks like, in a comment, as ``DESCRIBE`` of Cassandra does: CQL cannot make it."""
        lines = self._lines(internals, wording)
        return ddl.create_table(
            self._described_name,
            lines,
            self._options_as_cql(internals, self.clustering_key, wording),
            is_virtual=True,
        )

    @property
    def cql_options(self) -> dict[str, str]:
        """Its comment: it has no other option."""
        return {"comment": ddl.string(self.options.get("comment") or "")}


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

    def as_cql(self, internals: bool = False, wording: Wording = DESCRIBED) -> str:
        """Return the statement that makes it, as ``DESCRIBE`` of Cassandra does.

        Args:
            internals: with its identity.
            wording: whose words it is in, but for its condition, which is in the server's.
        """
        return ddl.create_view(
            wording.qualified(self.keyspace, self.name),
            "*" if self.includes_all_columns else ", ".join(map(wording.name, self._selected())),
            wording.qualified(self.keyspace, self.base_table),
            self.where_clause,
            self._key_as_cql(self.clustering_key, wording),
            self._options_as_cql(internals, self.clustering_key, wording),
        )

    @property
    def cql_options(self) -> dict[str, str]:
        """What ``WITH`` takes, by name, as CQL."""
        return ddl.table_options(self.options, is_view=True)

    def _selected(self) -> Iterable[str]:
        """Return the names of its columns as ``SELECT *`` has them: collections are among the others.

        Cassandra merges the columns of one cell with those of many, and takes one of many whose name does not begin
        with ASCII for the end of the first.
        """
        for kind in (ColumnKind.PARTITION_KEY, ColumnKind.CLUSTERING):
            yield from self._of(kind).names
        for kind in (ColumnKind.STATIC, ColumnKind.REGULAR):
            parts: tuple[list[str], list[str]] = ([], [])
            for each in self._of(kind):
                parts[each.is_multi_cell and each.name[:1].isascii()].append(each.name)
            yield from heapq.merge(*parts, key=ordering.signed)
