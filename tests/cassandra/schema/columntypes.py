"""The grammar of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .writer import quoted

if TYPE_CHECKING:
    from .writer import Writer

NATIVES = [
    *(
        "ascii",
        "bigint",
        "blob",
        "boolean",
        "date",
        "decimal",
        "double",
        "float",
        "inet",
        "int",
        "smallint",
        "text",
    ),
    *("time", "timestamp", "timeuuid", "tinyint", "uuid", "varchar", "varint"),
]
_MARSHAL = "org.apache.cassandra.db.marshal"
_CUSTOM = [
    f"'{_MARSHAL}.LexicalUUIDType'",
    f"'{_MARSHAL}.CompositeType({_MARSHAL}.Int32Type,{_MARSHAL}.UTF8Type)'",
    f"'{_MARSHAL}.DynamicCompositeType(a=>{_MARSHAL}.BytesType,b=>{_MARSHAL}.TimeUUIDType)'",
]


class Type(NamedTuple):
    """A type as it is written.

    Attributes:
        cql: its text.
        kind: "native", "list", "set", "map", "udt", "tuple", "vector" or "custom".
        multicell: whether it is a collection or a user-defined type that is not frozen.
        durations: whether there are durations in it.
    """

    cql: str
    kind: str = "native"
    multicell: bool = False
    durations: bool = False

    @property
    def is_native(self) -> bool:
        return self.kind == "native" and not self.durations


class UserType(NamedTuple):
    """A user-defined type: its name, and what is in its fields."""

    name: str
    multicell: bool
    durations: bool


def native(writer: Writer, *, key: bool = False) -> Type:
    """Draw a type without parameters."""
    if not key and writer.sometimes("durations", 8):
        return Type("duration", durations=True)
    return Type(writer.pick(NATIVES))


def draw_type(
    writer: Writer, types: list[UserType], *, key: bool = False, field: bool = False, depth: int = 2
) -> Type:
    """Draw a type of a column or a field.

    Args:
        writer: what draws.
        types: the user-defined types that are there.
        key: whether it is for a key, of a table or of a map, or for a set: frozen, and without durations.
        field: whether it is for a field of a user-defined type: what is in it is frozen.
        depth: how deep types may be nested.
    """
    kinds = ["native", "native", "list", "set", "map", "tuple"] if depth else ["native"]
    if depth and writer.server.vectors:
        kinds.append("vector")
    if types and depth:
        kinds += ["udt", "udt"]
    if depth == 2 and not field:
        kinds.append("custom")
    kind = writer.pick(kinds)
    match kind:
        case "native":
            return native(writer, key=key)
        case "custom":
            writer.has("custom types")
            return Type(writer.pick(_CUSTOM), kind)
        case "udt":
            return _user_type(writer, types, key=key, field=field)
        case "vector":
            writer.has("vectors")
            inner = _inner(writer, types, key=key, depth=depth)
            return Type(f"vector<{inner.cql}, {writer.count(1, 4)}>", kind, durations=inner.durations)
        case "tuple":
            writer.has("tuples")
            inners = [_inner(writer, types, key=key, depth=depth) for _ in range(writer.count(1, 3))]
            cql = f"tuple<{', '.join(inner.cql for inner in inners)}>"
            return Type(cql, kind, durations=any(inner.durations for inner in inners))
    return _collection(writer, types, kind, key=key, depth=depth)


def _inner(writer: Writer, types: list[UserType], *, key: bool, depth: int) -> Type:
    """Draw a type within another one: frozen."""
    inner = draw_type(writer, types, key=key, depth=depth - 1)
    if inner.kind not in ("native", "custom"):
        writer.has("nested types")
    return inner._replace(cql=f"frozen<{inner.cql}>", multicell=False) if inner.multicell else inner


def _collection(writer: Writer, types: list[UserType], kind: str, *, key: bool, depth: int) -> Type:
    writer.has("collections")
    ordered = kind in ("set", "map")
    inners = [_inner(writer, types, key=key or ordered, depth=depth)]
    if kind == "map":
        inners.append(_inner(writer, types, key=key, depth=depth))
    cql = f"{kind}<{', '.join(inner.cql for inner in inners)}>"
    durations = any(inner.durations for inner in inners)
    if key or writer.sometimes("frozen collections", 4):
        return Type(f"frozen<{cql}>", kind, durations=durations)
    return Type(cql, kind, multicell=True, durations=durations)


def _user_type(writer: Writer, types: list[UserType], *, key: bool, field: bool) -> Type:
    usable = [each for each in types if not (key and each.durations)]
    if not usable:
        return native(writer, key=key)
    chosen = writer.pick(usable)
    if (
        not key
        and not field
        and not chosen.multicell
        and writer.sometimes("user-defined types that are not frozen")
    ):
        return Type(quoted(chosen.name), "udt", multicell=True, durations=chosen.durations)
    writer.has("frozen user-defined types")
    return Type(f"frozen<{quoted(chosen.name)}>", "udt", durations=chosen.durations)


def write_types(writer: Writer) -> list[UserType]:
    """Write user-defined types, each of which may be in those that follow."""
    types: list[UserType] = []
    for _ in range(writer.count(0, 3)):
        name, taken = writer.name(), set[str]()
        if name in ("int", "counter"):  # Cassandra keeps them without quotes, and cannot read them any more
            name += "_"
        writer.has_called(name)
        fields = [
            (writer.name(taken), draw_type(writer, types, field=True)) for _ in range(writer.count(1, 4))
        ]
        if any(each.kind == "udt" for _, each in fields):
            writer.has("user-defined types in others")
        written = ", ".join(f"{quoted(field)} {each.cql}" for field, each in fields)
        writer.write(f"CREATE TYPE {writer.qualified(name)} ({written})")
        if writer.sometimes("altered types", 3):
            added = writer.name(taken)
            writer.write(
                f"ALTER TYPE {writer.qualified(name)} ADD {quoted(added)} {native(writer, key=True).cql}"
            )
            renamed = writer.name(taken)
            writer.write(
                f"ALTER TYPE {writer.qualified(name)} RENAME {quoted(fields[0][0])} TO {quoted(renamed)}"
            )
        multicell = any(each.multicell for _, each in fields)
        types.append(UserType(name, multicell, any(each.durations for _, each in fields)))
    return types
