"""Values that system tables have as text, as Cassandra writes them in CQL: the arguments of masks.

Of values that have others in them, the text is of two kinds: the bytes of collections and vectors in hexadecimal
digits, and the parts of tuples and user-defined types with colons between.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from uuid import UUID

from triocql.codecs.vint import read_signed_vint, read_unsigned_vint
from triocql.codecs.widths import fixed_width
from triocql.metadata.schema import ddl
from triocql.protocol.types import (
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triocql.protocol.types import CqlType

# A backslash is before what is meant by itself, but before no backslash.
_COLON: Final = re.compile(r"(?<!\\):")
_ESCAPED: Final = re.compile(r"\\([:@])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_TO_1970: Final = date(1970, 1, 1).toordinal() - 2**31
_UNITS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1000,
    "ns": 1,
}


def literal(cql_type: CqlType, text: str) -> str:
    """Return a value of which a system table has the text.

    Raises:
        ValueError: the text is none of such a value.

    >>> literal(ListType(NativeType("int")), "000000010000000400000007")
    '[7]'
    >>> literal(TupleType((NativeType("int"), NativeType("text"))), "@:a b")
    "(null, 'a b')"
    """
    match cql_type:
        case ListType() | SetType() | MapType() | VectorType():
            return _of_bytes(cql_type, bytes.fromhex(text))
        case TupleType(elements):
            return f"({', '.join(_of_parts(elements, text))})"
        case UserType():
            return _fields(cql_type, _of_parts(tuple(each for _, each in cql_type.fields), text))
        case _:
            return ddl.argument(str(cql_type), text)


# --- Text --------------------------------------------------------------------------------------------------


def _of_parts(types: tuple[CqlType, ...], text: str) -> Iterator[str]:
    parts = _COLON.split(text)
    if len(parts) > len(types):
        raise ValueError(f"{len(parts)} parts instead of {len(types)}")
    for cql_type, part in zip(types, [*parts, *["@"] * (len(types) - len(parts))], strict=True):
        yield "null" if part == "@" else literal(cql_type, _ESCAPED.sub(r"\1", part))


def _fields(cql_type: UserType, values: Iterator[str]) -> str:
    names = (ddl.name(name) for name, _ in cql_type.fields)
    return "{" + ", ".join(f"{name}: {each}" for name, each in zip(names, values, strict=True)) + "}"


# --- Bytes -------------------------------------------------------------------------------------------------


def _of_bytes(cql_type: CqlType, raw: bytes) -> str:
    match cql_type:
        case ListType(element):
            return f"[{', '.join(_elements(element, raw))}]"
        case SetType(element):
            return f"{{{', '.join(_elements(element, raw))}}}"
        case MapType(key, value):
            return f"{{{', '.join(_entries(key, value, raw))}}}"
        case VectorType(element, dimension):
            return f"[{', '.join(_of_bytes(element, each) for each in _in_vector(element, dimension, raw))}]"
        case TupleType(elements):
            return f"({', '.join(_in_tuple(elements, raw))})"
        case UserType():
            return _fields(cql_type, _in_tuple(tuple(each for _, each in cql_type.fields), raw))
        case NativeType(name) if name in _NATIVE:
            return _NATIVE[name](raw)
        case _:
            return f"0x{raw.hex()}"


def _taken(raw: bytes, at: int) -> tuple[bytes | None, int]:
    """Return a value with its length before it, None for null, and where it ends."""
    length = int.from_bytes(raw[at : at + 4], "big", signed=True)
    end = at + 4 + max(0, length)
    if end > len(raw):
        raise ValueError("a value goes beyond its end")
    return (None if length < 0 else raw[at + 4 : end]), end


def _count(raw: bytes, size: int) -> int:
    count = int.from_bytes(raw[:4], "big", signed=True)
    if not 0 <= count * size <= len(raw):
        raise ValueError(f"it cannot have {count} values")
    return count


def _elements(element: CqlType, raw: bytes) -> Iterator[str]:
    at = 4
    for _ in range(_count(raw, 4)):
        each, at = _taken(raw, at)
        yield "null" if each is None else _of_bytes(element, each)


def _entries(key: CqlType, value: CqlType, raw: bytes) -> Iterator[str]:
    at = 4
    for _ in range(_count(raw, 8)):
        (first, at), (second, at) = (took := _taken(raw, at)), _taken(raw, took[1])
        yield f"{_of_bytes(key, first or b'')}: {_of_bytes(value, second or b'')}"


def _in_vector(element: CqlType, dimension: int, raw: bytes) -> Iterator[bytes]:
    width, at = fixed_width(element), 0
    if len(raw) < dimension * max(1, width):
        raise ValueError(f"it cannot have {dimension} values")
    for _ in range(dimension):
        length, at = (width, at) if width else read_unsigned_vint(raw, at)
        yield raw[at : at + length]
        at += length


def _in_tuple(types: tuple[CqlType, ...], raw: bytes) -> Iterator[str]:
    at = 0
    for cql_type in types:
        each, at = _taken(raw, at) if at < len(raw) else (None, at)
        yield "null" if each is None else _of_bytes(cql_type, each)


# --- Without others within ---------------------------------------------------------------------------------


def _number(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big", signed=True))


def _float(raw: bytes) -> str:
    """Return a number in the fewest digits that mean it."""
    (value,) = struct.unpack(">f", raw)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= 3.5e38 and struct.pack(">f", min(max(short, -3.4028235e38), 3.4028235e38)) == raw:
            return ddl.number(short)
    return ddl.number(value)


def _decimal(raw: bytes) -> str:
    scale = int.from_bytes(raw[:4], "big", signed=True)
    sign, digits, _ = Decimal(int.from_bytes(raw[4:], "big", signed=True)).as_tuple()
    return str(Decimal((sign, digits, -scale)))


def _timestamp(raw: bytes) -> str:
    milliseconds = int.from_bytes(raw, "big", signed=True)
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:  # a year that Python does not have
        return str(milliseconds)
    return f"'{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z'"


def _date(raw: bytes) -> str:
    days = int.from_bytes(raw, "big")
    try:
        return f"'{date.fromordinal(days + _DAYS_TO_1970).isoformat()}'"
    except (ValueError, OverflowError):  # a year that Python does not have
        return str(days)


def _time(raw: bytes) -> str:
    seconds, nanoseconds = divmod(int.from_bytes(raw, "big"), 1_000_000_000)
    minutes, seconds = divmod(seconds, 60)
    return f"'{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{nanoseconds:09}'"


def _inet(raw: bytes) -> str:
    match address := ip_address(raw):
        case IPv4Address():
            return f"'{address}'"
        case IPv6Address():  # as Java writes it
            return (
                f"'{':'.join(f'{high << 8 | low:x}' for high, low in zip(raw[::2], raw[1::2], strict=True))}'"
            )


def _duration(raw: bytes) -> str:
    months, at = read_signed_vint(raw, 0)
    days, at = read_signed_vint(raw, at)
    nanoseconds, at = read_signed_vint(raw, at)
    years, rest = divmod(abs(months), 12)
    parts = [(years, "y"), (rest, "mo"), (abs(days), "d")]
    left = abs(nanoseconds)
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        parts.append((count, unit))
    sign = "-" if min(months, days, nanoseconds) < 0 else ""
    return sign + ("".join(f"{count}{unit}" for count, unit in parts if count) or "0s")


_NATIVE: Final[dict[str, Callable[[bytes], str]]] = {
    **dict.fromkeys(("text", "ascii"), lambda raw: ddl.string(raw.decode())),
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "varint"), _number),
    **dict.fromkeys(("uuid", "timeuuid"), lambda raw: str(UUID(bytes=raw))),
    "boolean": lambda raw: "true" if any(raw) else "false",
    "float": _float,
    "double": lambda raw: ddl.number(*struct.unpack(">d", raw)),
    "decimal": _decimal,
    "timestamp": _timestamp,
    "date": _date,
    "time": _time,
    "inet": _inet,
    "duration": _duration,
}
