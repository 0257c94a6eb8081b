"""What of the schema is to be read: the objects that changes name, or more where these are many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from triocql.metadata.schema.systemtables import SCHEMA, SYSTEM_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from triocql.metadata.schema.keyspace import Keyspace
    from triocql.metadata.schema.systemtables import SystemTable
    from triocql.protocol.responses import SchemaChange

MOST_TABLES: Final = 32
"""Of how many tables of a keyspace each is read by its name; of more, the whole keyspace is."""

MOST_KEYSPACES: Final = 16
"""How many keyspaces are read by their names; of more, all are."""

_OF_FUNCTIONS: Final = ("functions", "aggregates", "scylla_aggregates")


@dataclass(slots=True)
class Scope:
    """A part of the schema. False if it is empty.

    Types and functions are read all of a keyspace: Cassandra does not tell their names, and the types of arguments,
    such that they can be found by them if they have other letters than those of ASCII.

    Attributes:
        everything: all keyspaces.
        keyspaces: keyspaces with all that is in them.
        tables: tables and views, by their keyspace.
        types: keyspaces of which the types are read.
        functions: keyspaces of which the functions and aggregates are.
    """

    everything: bool = False
    keyspaces: set[str] = field(default_factory=set)
    tables: dict[str, set[str]] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.everything or bool(self.keyspaces or self.tables or self.types or self.functions)

    def add(self, change: SchemaChange) -> None:
        """Take in what a change names."""
        match change.target:
            case "TABLE":
                self.add_table(change.keyspace, change.name)
            case "TYPE":
                self.types.add(change.keyspace)
            case "FUNCTION" | "AGGREGATE":
                self.functions.add(change.keyspace)
            case _:
                self.add_keyspace(change.keyspace)
        self._bound()

    def add_keyspace(self, keyspace: str) -> None:
        """Take in a keyspace as a whole."""
        self.keyspaces.add(keyspace)
        self._bound()

    def add_table(self, keyspace: str, name: str) -> None:
        """Take in a table or a view."""
        names = self.tables.setdefault(keyspace, set())
        names.add(name)
        if len(names) > MOST_TABLES:
            self.add_keyspace(keyspace)

    def update(self, other: Scope) -> None:
        """Take in all of another one."""
        self.everything |= other.everything
        self.keyspaces |= other.keyspaces
        self.types |= other.types
        self.functions |= other.functions
        for keyspace, names in other.tables.items():
            for name in names:
                self.add_table(keyspace, name)
        self._bound()

    @property
    def names(self) -> set[str]:
        """The keyspaces that it has something of."""
        return self.keyspaces | self.tables.keys() | self.types | self.functions

    def of(self, takes: Callable[[str], bool]) -> Scope:
        """Return what it has of the keyspaces that `takes` says."""
        return Scope(
            self.everything,
            set(filter(takes, self.keyspaces)),
            {keyspace: set(names) for keyspace, names in self.tables.items() if takes(keyspace)},
            set(filter(takes, self.types)),
            set(filter(takes, self.functions)),
        )

    def parts(self) -> Iterator[Scope]:
        """Yield what is read at a time: each system table once."""
        if self.everything:
            yield Scope(everything=True)
        else:
            objects = Scope(tables=self.tables, types=self.types, functions=self.functions)
            yield from filter(None, (Scope(keyspaces=self.keyspaces), objects))

    def with_views(self, known: Mapping[str, Keyspace]) -> Scope:
        """Return it with the views of its tables, whose columns follow those of their table."""
        wider = self.of(lambda _: True)
        for keyspace, names in self.tables.items():
            if keyspace in known:
                views = known[keyspace].views.values()
                wider.tables[keyspace] |= {view.name for view in views if view.base_table in names}
        return wider

    def queries(self) -> Iterator[tuple[SystemTable, str]]:
        """Yield what is asked for one of its `parts`: the system tables, and the query for each.

        Of several keyspaces, tables of equal names are read together, whether they are wanted or not.
        """
        for table in SYSTEM_TABLES:
            if self.everything:
                yield table, f"SELECT * FROM {table.full_name}"  # noqa: S608
            elif table.keyspace == SCHEMA and (where := self._where(table)) is not None:
                yield table, f"SELECT * FROM {table.full_name} WHERE {where}"  # noqa: S608

    def _where(self, table: SystemTable) -> str | None:
        if self.keyspaces:
            return _within("keyspace_name", self.keyspaces)
        if table.of is not None:
            names = set[str]().union(*self.tables.values())
            if not names:
                return None
            return f"{_within('keyspace_name', self.tables)} AND {_within(table.of, names)}"
        wanted = (
            self.types if table.name == "types" else self.functions if table.name in _OF_FUNCTIONS else ()
        )
        return _within("keyspace_name", wanted) if wanted else None

    def _bound(self) -> None:
        """Have it no more names than are worth while."""
        if self.everything or len(self.names) > MOST_KEYSPACES:
            self.everything = True
            for each in (self.keyspaces, self.tables, self.types, self.functions):
                each.clear()
        for keyspace in self.keyspaces:
            self.tables.pop(keyspace, None)
        self.types -= self.keyspaces
        self.functions -= self.keyspaces


def _within(column: str, names: Iterable[str]) -> str:
    literals = ["'" + name.replace("'", "''") + "'" for name in sorted(names)]
    return f"{column} = {literals[0]}" if len(literals) == 1 else f"{column} IN ({', '.join(literals)})"
