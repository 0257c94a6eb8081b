"""The scalar types of CQL: their numbers on the wire, and values to and from bytes (section 6 of the specification)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DAY_ZERO = 2**31
_MILLISECOND = dt.timedelta(milliseconds=1)


class Scalar(NamedTuple):
    """The facts of a scalar type.

    Attributes:
        id: its number as an [option]; versions before `since` name its class instead.
        marshal: the name of its class in Cassandra.
        size: bytes of each value in a vector, None if they vary.
        since: the first protocol version that has the number.
    """

    id: int
    marshal: str
    size: int | None
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    since: int = 3


# --- Numbers -------------------------------------------------------------------------------------------------


def _number(code: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    packing = struct.Struct(code)
    return packing.pack, lambda data: packing.unpack(data)[0]


def _encode_varint(number: int) -> bytes:
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return int(number).to_bytes(size, "big", signed=True)


def _decode_varint(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _encode_decimal(value: Any) -> bytes:
    sign, digits, exponent = Decimal(value).as_tuple()
    unscaled = int("".join(map(str, digits)) or "0")
    return struct.pack(">i", -int(exponent)) + _encode_varint(-unscaled if sign else unscaled)


def _decode_decimal(data: bytes) -> Decimal:
    unscaled = _decode_varint(data[4:])
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((int(unscaled < 0), digits, -int.from_bytes(data[:4], "big", signed=True)))


# --- Times ---------------------------------------------------------------------------------------------------


def _encode_timestamp(value: Any) -> bytes:
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        value = (aware - _EPOCH) // _MILLISECOND
    return struct.pack(">q", value)


def _decode_timestamp(data: bytes) -> Any:
    (milliseconds,) = struct.unpack(">q", data)
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return milliseconds


def _encode_date(value: Any) -> bytes:
    days = value.toordinal() - _EPOCH_DAY if isinstance(value, dt.date) else value
    return struct.pack(">I", days + _DAY_ZERO)


def _decode_date(data: bytes) -> Any:
    days = struct.unpack(">I", data)[0] - _DAY_ZERO
    try:
        return dt.date.fromordinal(days + _EPOCH_DAY)
    except (ValueError, OverflowError):
        return days


def _encode_time(value: Any) -> bytes:
    if isinstance(value, dt.time):
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        value = (seconds * 1_000_000 + value.microsecond) * 1000
    return struct.pack(">q", value)


def _decode_time(data: bytes) -> Any:
    (nanoseconds,) = struct.unpack(">q", data)
    if nanoseconds % 1000:
        return nanoseconds
    return (dt.datetime.min + dt.timedelta(microseconds=nanoseconds // 1000)).time()


# --- Lengths and durations -----------------------------------------------------------------------------------


def encode_vint(number: int) -> bytes:
    """Write an unsigned vint: as many leading ones in the first byte as bytes follow it."""
    extra = 0
    while extra < 8 and number >> (7 * (extra + 1)):
        extra += 1
    data = bytearray(number.to_bytes(extra + 1, "big"))
    data[0] |= (0xFF00 >> extra) & 0xFF
    return bytes(data)


def decode_vint(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned vint; returns it and where it ends."""
    first = data[at]
    extra = 8 - (~first & 0xFF).bit_length()
    rest = data[at + 1 : at + 1 + extra]
    return (first & (0xFF >> extra)) << (8 * extra) | int.from_bytes(rest, "big"), at + 1 + extra


def _encode_duration(value: Any) -> bytes:
    parts = value if isinstance(value, tuple) else (value.months, value.days, value.nanoseconds)
    return b"".join(encode_vint(part << 1 if part >= 0 else (~part << 1) | 1) for part in parts)


def _decode_duration(data: bytes) -> tuple[int, ...]:
    at, parts = 0, []
    for _ in range(3):
        folded, at = decode_vint(data, at)
        parts.append(folded >> 1 if not folded & 1 else ~(folded >> 1))
    return tuple(parts)


# --- All of them ---------------------------------------------------------------------------------------------


def _encode_uuid(value: Any) -> bytes:
    return (value if isinstance(value, UUID) else UUID(value)).bytes


def _decode_uuid(data: bytes) -> UUID:
    return UUID(bytes=data)


def _encode_inet(value: Any) -> bytes:
    return ipaddress.ip_address(value).packed


def _encode_boolean(value: Any) -> bytes:
    return b"\1" if value else b"\0"


def _encode_text(value: str) -> bytes:
    return value.encode()


_TEXT = (_encode_text, bytes.decode)
_UUID = (_encode_uuid, _decode_uuid)

SCALARS: dict[str, Scalar] = {
    "ascii": Scalar(0x01, "AsciiType", None, *_TEXT),
    "bigint": Scalar(0x02, "LongType", 8, *_number(">q")),
    "blob": Scalar(0x03, "BytesType", None, bytes, bytes),
    "boolean": Scalar(0x04, "BooleanType", 1, _encode_boolean, any),
    "counter": Scalar(0x05, "CounterColumnType", 8, *_number(">q")),
    "decimal": Scalar(0x06, "DecimalType", None, _encode_decimal, _decode_decimal),
    "double": Scalar(0x07, "DoubleType", 8, *_number(">d")),
    "float": Scalar(0x08, "FloatType", 4, *_number(">f")),
    "int": Scalar(0x09, "Int32Type", 4, *_number(">i")),
    "timestamp": Scalar(0x0B, "TimestampType", 8, _encode_timestamp, _decode_timestamp),
    "uuid": Scalar(0x0C, "UUIDType", 16, *_UUID),
    "text": Scalar(0x0D, "UTF8Type", None, *_TEXT),
    "varchar": Scalar(0x0D, "UTF8Type", None, *_TEXT),
    "varint": Scalar(0x0E, "IntegerType", None, _encode_varint, _decode_varint),
    "timeuuid": Scalar(0x0F, "TimeUUIDType", 16, *_UUID),
    "inet": Scalar(0x10, "InetAddressType", None, _encode_inet, ipaddress.ip_address),
    "date": Scalar(0x11, "SimpleDateType", None, _encode_date, _decode_date, 4),
    "time": Scalar(0x12, "TimeType", None, _encode_time, _decode_time, 4),
    "smallint": Scalar(0x13, "ShortType", None, *_number(">h"), 4),
    "tinyint": Scalar(0x14, "ByteType", None, *_number(">b"), 4),
    "duration": Scalar(0x15, "DurationType", None, _encode_duration, _decode_duration, 5),
    "empty": Scalar(0x00, "EmptyType", None, bytes, bytes, 99),
}
