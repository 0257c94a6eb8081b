"""The types of a keyspace: what their texts mean, where user-defined types are built of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from triocql.codecs.typeparser import MAX_DEPTH, parse_type
from triocql.errors import OptionError
from triocql.metadata.schema.callables import UserType
from triocql.metadata.schema.cells import Unreadable, others, shown, text, texts
from triocql.protocol import types
from triocql.protocol.types import CustomType, ListType, MapType, SetType, TupleType, VectorType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from triocql.metadata.building import Steps
    from triocql.protocol.types import CqlType

    Row = Mapping[str, Any]

MOST_PARTS: Final = 10_000
"""How many types a user-defined type may have in it, those of its fields' fields included."""

_KNOWN: Final = frozenset(("keyspace_name", "type_name", "field_names", "field_types"))
_A_STEP: Final = 32
# Of the hidden column that some tables from before CQL have.
_EMPTY: Final = CustomType("org.apache.cassandra.db.marshal.EmptyType")


class _Wanted(Exception):
    """No error: this type is built first."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Extent(NamedTuple):
    parts: int
    depth: int


def _extent_of(cql_type: CqlType) -> _Extent:
    """Return how many types a type has in it, and how deep they are nested."""
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element, _):
            within = [element]
        case MapType(key, value):
            within = [key, value]
        case TupleType(elements):
            within = list(elements)
        case types.UserType():
            within = [each for _, each in cql_type.fields]
        case _:
            within = []
    extents = [_extent_of(each) for each in within]
    return _Extent(
        1 + sum(each.parts for each in extents), 1 + max((each.depth for each in extents), default=0)
    )


class Types:
    """Builds the user-defined types of a keyspace, and reads the texts of types in it.

    Args:
        keyspace: the name of the keyspace.
        rows: those of its types; None to take the earlier ones.
        earlier: the types that were known before. They stay if their rows cannot be used, or are missing while
            something has such a type: a server drops no type that is in use.
        plain: what was read already of texts without user-defined types; it is filled, and may be shared.
        complain: told of what is wrong: the name of the type, "" for what has it, what, and whether the earlier type
            stays.
    """

    def __init__(
        self,
        keyspace: str,
        rows: Iterable[Row] | None,
        earlier: Mapping[str, UserType],
        plain: dict[str, CqlType],
        complain: Callable[[str, str, bool], None],
    ) -> None:
        self._keyspace = keyspace
        self._earlier = earlier
        self._plain = plain
        self._complain = complain
        self._rows: dict[str, Row] = {}
        self._built: dict[str, UserType] = {} if rows is not None else dict(earlier)
        self._extents: dict[str, _Extent] = {}
        self._own: dict[str, CqlType] = {}
        self._used: list[str] = []
        plain.setdefault("empty", _EMPTY)
        for row in rows or ():
            self._add(row)

    def build(self) -> Steps[None]:
        """Build all types."""
        for number, name in enumerate(list(self._rows)):
            yield from self._build(name)
            if number % _A_STEP == 0:
                yield

    @property
    def found(self) -> dict[str, UserType]:
        """All types of the keyspace, by name."""
        return dict(sorted(self._built.items()))

    def read(self, cql_type: str) -> CqlType:
        """Return what the text of a type means. What cannot be read is a CustomType of that text."""
        known = self._plain.get(cql_type) or self._own.get(cql_type)
        if known is not None:
            return known
        self._used.clear()
        try:
            read = parse_type(cql_type, self._resolve)
        except (OptionError, RecursionError) as error:
            self._complain("", f"the type {shown(cql_type)} cannot be read: {error}", False)
            read = self._own[cql_type] = CustomType(cql_type)
            return read
        (self._own if self._used else self._plain)[cql_type] = read
        return read

    # --- Building ------------------------------------------------------------------------------------------

    def _add(self, row: Row) -> None:
        name = row.get("type_name")
        if type(name) is not str:
            self._complain(shown(name), "a row of a type has no name", False)
        elif self._rows.setdefault(name, row) != row:
            self._complain(name, "there are two rows of it, which differ; the first is taken", False)

    def _build(self, name: str) -> Steps[None]:
        """Build a type, and before it those that it is made of."""
        waiting = [name]
        while waiting:
            building = waiting[-1]
            try:
                if building not in self._built:
                    self._built[building] = self._read_row(building)
            except _Wanted as wanted:
                if wanted.name not in waiting:
                    waiting.append(wanted.name)
                    if len(waiting) % _A_STEP == 0:
                        yield
                    continue
                self._keep(building, f"it is made of itself, by {shown(wanted.name)}")
            except (Unreadable, OptionError) as error:
                self._keep(building, str(error))
            waiting.pop()

    def _keep(self, name: str, why: str) -> None:
        """Take the earlier type, if there is one, and the row no more."""
        self._rows.pop(name, None)
        earlier = self._earlier.get(name)
        if earlier is not None:
            self._built[name] = earlier
        self._complain(name, why, earlier is not None)

    def _read_row(self, name: str) -> UserType:
        row = self._rows.get(name)
        if row is None:
            raise Unreadable("its row is missing")
        names, cql_types = texts(row, "field_names"), texts(row, "field_types")
        if len(names) != len(cql_types) or len(set(names)) != len(names):
            raise Unreadable(f"its fields {shown(names)} do not fit their types {shown(cql_types)}")
        self._used.clear()
        fields = tuple(
            (field, parse_type(each, self._within)) for field, each in zip(names, cql_types, strict=True)
        )
        self._measure(name, cql_types)
        built = UserType(
            text(row, "keyspace_name"),
            name,
            types.UserType(self._keyspace, name, fields),
            cql_types,
            others(row, _KNOWN),
        )
        earlier = self._earlier.get(name)
        return earlier if earlier is not None and earlier == built else built

    def _measure(self, name: str, cql_types: tuple[str, ...]) -> None:
        """Refuse a type that is too large to be compared: few types suffice for billions of parts."""
        within = [self._extent(each) for each in self._used]
        own = sum(each.count(",") + each.count("<") + 1 for each in cql_types)
        depth = max((each.count("<") for each in cql_types), default=0) + 1
        extent = _Extent(
            own + sum(each.parts for each in within), depth + max((each.depth for each in within), default=0)
        )
        if extent.parts > MOST_PARTS or extent.depth > MAX_DEPTH:
            raise Unreadable(f"it is nested {extent.depth} deep, and has {extent.parts} parts")
        self._extents[name] = extent

    def _extent(self, name: str) -> _Extent:
        found = self._extents.get(name)
        if found is None:
            # An earlier type: it was refused then if it was too large.
            found = self._extents[name] = _extent_of(self._built[name].type)
        return found

    # --- Names ---------------------------------------------------------------------------------------------

    def _within(self, keyspace: str, name: str) -> types.UserType:
        """Return a type that another one is made of."""
        if name not in self._built and name in self._rows:
            raise _Wanted(name)
        return self._resolve(keyspace, name)

    def _resolve(self, keyspace: str, name: str) -> types.UserType:
        self._used.append(name)
        if keyspace not in ("", self._keyspace):
            raise OptionError(f"it has the type {shown(name)} of the keyspace {shown(keyspace)}")
        found = self._built.get(name)
        if found is None:
            found = self._earlier.get(name)
            if found is None:
                raise OptionError(f"there is no type {shown(name)} in its keyspace")
            self._complain(name, "its row is missing, and it is in use", True)
            self._built[name] = found
        return found.type
