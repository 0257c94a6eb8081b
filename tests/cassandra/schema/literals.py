"""The grammar of literals, of types that have others within."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.codecs.typeparser import parse_type
from triocql.errors import OptionError
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, VectorType

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType

    from .writer import Writer

# Without quotes: nodes write those of texts within other values such that they cannot read them again.
_NATIVES = {
    "ascii": ["'a'", "'b: c'"],
    "bigint": ["-1", "9223372036854775807"],
    "blob": ["0x", "0x00ff"],
    "boolean": ["true", "false"],
    "date": ["'2020-01-02'"],
    "decimal": ["1.50", "-1E-20", "1E+20"],
    "double": ["1.0", "-2.5E10", "1.0E-9"],
    "duration": ["1y2mo3d4h5m6s7ms8us9ns", "-3d", "90s"],
    "float": ["0.1", "3.0E10", "-1.5E-8"],
    "inet": ["'10.0.0.1'", "'::1'"],
    "int": ["0", "-2147483648"],
    "smallint": ["7"],
    "text": ["'a b'", "'größe @ ☕'", "''"],
    "time": ["'08:12:54.123456789'", "'23:00:00'"],
    "timestamp": ["'2020-01-02 03:04:05.678+0000'", "0"],
    "timeuuid": ["50554d6e-29bb-11e5-b345-feff819cdc9f"],
    "tinyint": ["-128"],
    "uuid": ["00000000-0000-0000-0000-000000000001"],
    "varint": ["123456789012345678901234567890"],
}


def literal(writer: Writer, cql: str) -> str | None:
    """Draw a literal of a type; None if it has user-defined types within, or is none of CQL."""
    try:
        return _literal(writer, parse_type(cql))
    except (OptionError, LookupError):
        return None


def _literal(writer: Writer, cql_type: CqlType) -> str:
    match cql_type:
        case NativeType(name):
            return writer.pick(_NATIVES[name])
        case ListType(element):
            return f"[{', '.join(_several(writer, element, 2))}]"
        case SetType(element):
            return f"{{{', '.join(dict.fromkeys(_several(writer, element, 2)))}}}"
        case MapType(key, value):
            return f"{{{_literal(writer, key)}: {_literal(writer, value)}}}"
        case VectorType(element, dimension):
            return f"[{', '.join(_literal(writer, element) for _ in range(dimension))}]"
        case TupleType(elements):
            values = (writer.pick([_literal(writer, each), "null"]) for each in elements)
            return f"({', '.join(values)})"
        case _:
            raise LookupError(cql_type)


def _several(writer: Writer, element: CqlType, least: int) -> list[str]:
    return [_literal(writer, element) for _ in range(writer.count(1, least))]
