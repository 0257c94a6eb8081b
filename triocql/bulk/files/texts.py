"""Values as text: one text for each value of a native type, which can be read back exactly.

The types of CQL are known where a file is read, so that no text has to say what it is a text of. Each is one that CQL
takes, or that ISO 8601 knows where the years of Python's classes do not reach.
"""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from triocql.codecs.digits import EXACT, to_decimal
from triocql.codecs.scalars import pack_varint
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.values import EMPTY
from triocql.protocol.types import NativeType

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.protocol.types import CqlType

_CYCLE_DAYS: Final = 146_097
_CYCLE_YEARS: Final = 400
"""After so many days the calendar repeats itself."""
_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()
_DAY_MS: Final = 86_400_000
_DAY_NS: Final = 86_400_000_000_000
_SINGLE: Final = struct.Struct("f")
_ODD_FLOATS: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_DIGITS_AT_ONCE: Final = 1 << 8
"""An int of so many bytes at most is written by `str`, which refuses those of more than 4,300 digits."""
_UNITS: Final = (
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)


def optional(render: Callable[[Any], str], null: str) -> Callable[[Any], str]:
    """Return what makes texts of values that may be null, or have no bytes though those of their type do: that is the
    empty text, in quotes.
    """

    def rendered(value: Any) -> str:
        if value is None:
            return null
        return '""' if value is EMPTY else render(value)

    return rendered


def text_of(cql_type: CqlType) -> Callable[[Any], str]:
    """Return what makes texts of the values of a type that has no parts; types that are not known are blobs."""
    return _TEXTS.get(cql_type.name, _blob) if isinstance(cql_type, NativeType) else _blob


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _double(value: float) -> str:
    text = repr(value)
    return _ODD_FLOATS.get(text, text)


def _float(value: float) -> str:
    """Return the shortest text that only this number of 32 bits has."""
    for digits in (6, 7, 8):
        text = f"{value:.{digits}g}"
        try:
            if _SINGLE.pack(float(text)) == _SINGLE.pack(value):
                break
        except OverflowError:  # rounded up beyond the largest one
            continue
    else:
        text = f"{value:.9g}"
    text = _ODD_FLOATS.get(text, text)
    return text if not text.lstrip("-").isdigit() else text + ".0"


def _varint(value: int) -> str:
    if value.bit_length() <= 8 * _DIGITS_AT_ONCE:
        return str(value)
    return EXACT.to_sci_string(to_decimal(pack_varint(value)))


def _decimal(value: Decimal) -> str:
    """Return the digits with an exponent where there are many zeros: never more text than there are digits."""
    return EXACT.to_sci_string(value)


def _blob(value: bytes) -> str:
    return f"0x{value.hex()}"


def _date(value: dt.date | Date) -> str:
    return _day(value.days) if isinstance(value, Date) else value.isoformat()


def _day(days: int) -> str:
    """Return a day by its distance from 1970-01-01, of any year, by the calendar of today."""
    cycles, ordinal = divmod(days + _EPOCH_ORDINAL - 1, _CYCLE_DAYS)
    day = dt.date.fromordinal(ordinal + 1)
    year = day.year + cycles * _CYCLE_YEARS
    spelled = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+05d}"
    return spelled + day.isoformat()[4:]


def _timestamp(value: dt.datetime | Timestamp) -> str:
    if not isinstance(value, Timestamp):
        return f"{value.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    days, milliseconds = divmod(value.milliseconds, _DAY_MS)
    return f"{_day(days)}T{_clock(milliseconds, 1000, 3)}Z"


def _time(value: dt.time | Time) -> str:
    """Return the time of day; of what the server has beyond one, the nanoseconds alone."""
    if not isinstance(value, Time):
        return value.isoformat()
    if not 0 <= value.nanoseconds < _DAY_NS:
        return str(value.nanoseconds)
    return _clock(value.nanoseconds, 1_000_000_000, 9)


def _clock(count: int, per_second: int, digits: int) -> str:
    seconds, fraction = divmod(count, per_second)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{fraction:0{digits}d}"


def _duration(value: Duration) -> str:
    """Return a literal of CQL; where the signs differ, which no server stores, each part has its own, after a plus."""
    parts = [(value.months, "mo"), (value.days, "d")]
    sign = "-" if min(value.months, value.days, value.nanoseconds) < 0 else ""
    if sign and max(value.months, value.days, value.nanoseconds) > 0:
        return f"+{value.months}mo{value.days}d{value.nanoseconds}ns"
    rest = abs(value.nanoseconds)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        parts.append((count, unit))
    return sign + ("".join(f"{abs(count)}{unit}" for count, unit in parts if count) or "0s")


_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "ascii": str,
    "bigint": str,
    "blob": _blob,
    "boolean": _boolean,
    "counter": str,
    "date": _date,
    "decimal": _decimal,
    "double": _double,
    "duration": _duration,
    "float": _float,
    "inet": str,
    "int": str,
    "smallint": str,
    "text": str,
    "time": _time,
    "timestamp": _timestamp,
    "timeuuid": str,
    "tinyint": str,
    "uuid": str,
    "varint": _varint,
}
