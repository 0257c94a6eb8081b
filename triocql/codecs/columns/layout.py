"""How the values of each CQL type lie in Arrow: the type map, one node for each type.

It follows from the types of the columns alone, never from their values, so that all pages of a result are alike.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triocql.codecs.widths import fixed_width
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.protocol.types import ColumnSpec, CqlType


@dataclass(frozen=True, slots=True)
class Layout:
    """The place of one CQL type in Arrow.

    Attributes:
        kernel: what fills its buffers, by name; each of the twins has all of them.
        format: the Arrow type, as the C data interface spells it.
        width: how many bytes each value has on the wire, as far as it is not null; 0 if that varies. Of a vector, those
            of each element.
        children: names and layouts of what its values consist of; of a map, its keys and its values.
        extension: the name of the extension type that the Arrow type is the storage of, if any.
        count: the dimension of a vector, the precision of a decimal.
        scale: that of a decimal.
    """

    kernel: str
    format: str
    width: int = 0
    children: tuple[tuple[str, Layout], ...] = ()
    extension: str = ""
    count: int = 0
    scale: int = 0


BLOB = Layout("bytes", "z")
_UUID = Layout("plain", "w:16", 16, extension="arrow.uuid")

NATIVE = {
    "ascii": Layout("ascii", "u"),
    "bigint": Layout("number", "l", 8),
    "blob": BLOB,
    "boolean": Layout("bits", "b", 1),
    "counter": Layout("number", "l", 8),
    "date": Layout("date", "tdD", 4),
    "decimal": Layout("decimal", "u"),
    "double": Layout("number", "g", 8),
    "duration": Layout("duration", "tin"),
    "float": Layout("number", "f", 4),
    "inet": Layout("inet", "u"),
    "int": Layout("number", "i", 4),
    "smallint": Layout("number", "s", 2),
    "text": Layout("text", "u"),
    "time": Layout("time", "ttn", 8),
    "timestamp": Layout("number", "tsm:UTC", 8),
    "timeuuid": _UUID,
    "tinyint": Layout("number", "c", 1),
    "uuid": _UUID,
    "varint": Layout("varint", "u"),
}


def layout_of(cql_type: CqlType) -> Layout:
    """Return the layout of a type; types that are not known are blobs."""
    match cql_type:
        case NativeType(name):
            return NATIVE.get(name, BLOB)
        case ListType(element) | SetType(element):
            return Layout("list", "+l", children=(("item", layout_of(element)),))
        case MapType(key, value):
            return Layout("map", "+m", children=(("key", layout_of(key)), ("value", layout_of(value))))
        case TupleType(elements):
            fields = tuple((f"f{i}", layout_of(element)) for i, element in enumerate(elements))
            return Layout("tuple", "+s", children=fields)
        case UserType(fields=named):
            return Layout(
                "struct", "+s", children=tuple((spelled(name), layout_of(each)) for name, each in named)
            )
        case VectorType(element, dimension):
            child = layout_of(element)
            width = fixed_width(element)
            return Layout("vector", f"+w:{dimension}", width, (("item", child),), count=dimension)
    return BLOB


def spelled(name: str) -> str:
    """Return a name as Arrow can have it: a zero ends it there."""
    return name.replace("\0", "\\0")


Field = tuple[bytes, bytes, bytes, bool, tuple[Any, ...]]
"""A field of a schema as the C data interface has it: name, format, metadata, whether it may be null, and the fields
in it.
"""


def fields_of(columns: Iterable[ColumnSpec], layouts: Iterable[Layout | None]) -> tuple[Field, ...]:
    """Return the fields of a schema: of the columns that have a layout."""
    return tuple(
        _field(spelled(column.name), layout)
        for column, layout in zip(columns, layouts, strict=True)
        if layout is not None
    )


def _field(name: str, layout: Layout, *, nullable: bool = True) -> Field:
    children = tuple(
        _field(each, child, nullable=layout.kernel != "map" or each != "key")
        for each, child in layout.children
    )
    if layout.kernel == "map":
        children = ((b"entries", b"+s", b"", False, children),)
    return name.encode(errors="replace"), layout.format.encode(), _metadata(layout), nullable, children


def _metadata(layout: Layout) -> bytes:
    """Return the metadata of a field: its extension, in the machine's own byte order."""
    if not layout.extension:
        return b""
    parts = (b"ARROW:extension:name", layout.extension.encode(), b"ARROW:extension:metadata", b"")
    return struct.pack("=i", 2) + b"".join(struct.pack("=i", len(part)) + part for part in parts)
