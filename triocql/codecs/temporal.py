"""Dates, times and durations: the standard classes where they fit, classes of our own where they do not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar

from triocql._brief import brief
from triocql.codecs.node import FixedNode, Node, type_name
from triocql.codecs.vint import pack_signed_vint, read_signed_vint
from triocql.errors import BindValueError, DecodeError
from triocql.protocol.constants import MAX_INT

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType

MAX_LONG = 2**63 - 1
NANOSECONDS_OF_DAY = 86_400_000_000_000
UTC = dt.UTC
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MIN_MILLISECONDS = -62_135_596_800_000
_MAX_MILLISECONDS = 253_402_300_799_999
_MILLISECOND = dt.timedelta(milliseconds=1)
_ZERO_DAY = 2**31
"""The number that stands for 1970-01-01 in a ``date``."""


def _settle(owner: Any, name: str, low: int, high: int) -> None:
    """Make an attribute of a frozen dataclass an int, whatever says by ``__index__`` that it is one, and check it."""
    value = getattr(owner, name)
    try:
        number = int.__index__(index(value))  # an int proper, even of a subclass of int
    except TypeError:
        raise TypeError(f"{name} has to be an int, not {type_name(value)}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} has to be from {low} to {high}, not {brief(number)}")
    if type(value) is not int:
        object.__setattr__(owner, name, number)


@dataclass(frozen=True, order=True, slots=True)
class Duration:
    """A CQL ``duration``: months, days and nanoseconds, kept apart since neither months nor days are of one
    length.

    All three have to be of one sign (or zero) to be bound.

    Raises:
        TypeError: one is no integer.
        ValueError: one is out of range (32 bits for months and days, 64 for nanoseconds).

    >>> Duration(months=1, days=2, nanoseconds=3_000_000_000)
    Duration(months=1, days=2, nanoseconds=3000000000)
    """

    months: int = 0
    days: int = 0
    nanoseconds: int = 0

    def __post_init__(self) -> None:
        _settle(self, "months", -MAX_INT - 1, MAX_INT)
        _settle(self, "days", -MAX_INT - 1, MAX_INT)
        _settle(self, "nanoseconds", -MAX_LONG - 1, MAX_LONG)


@dataclass(frozen=True, order=True, slots=True)
class Date:
    """A CQL ``date`` of a year that `datetime.date` does not have: days since 1970-01-01, negative before it.

    >>> Date(days=-1_000_000)
    Date(days=-1000000)
    """

    days: int

    def __post_init__(self) -> None:
        _settle(self, "days", -_ZERO_DAY, MAX_INT)


@dataclass(frozen=True, order=True, slots=True)
class Time:
    """A CQL ``time`` that `datetime.time` does not have: nanoseconds since midnight.

    It is finer than microseconds, or none of a day: the server stores whatever has 8 bytes.

    >>> Time(nanoseconds=1)
    Time(nanoseconds=1)
    """

    nanoseconds: int

    def __post_init__(self) -> None:
        _settle(self, "nanoseconds", -MAX_LONG - 1, MAX_LONG)


@dataclass(frozen=True, order=True, slots=True)
class Timestamp:
    """A CQL ``timestamp`` of a year that `datetime.datetime` does not have: milliseconds since 1970-01-01
    UTC.

    >>> Timestamp(milliseconds=2**60)
    Timestamp(milliseconds=1152921504606846976)
    """

    milliseconds: int

    def __post_init__(self) -> None:
        _settle(self, "milliseconds", -MAX_LONG - 1, MAX_LONG)


def _datetime64(value: Any, unit: str) -> int | None:
    """Return a numpy.datetime64 as a count of `unit` since 1970; None if `value` is not one."""
    if getattr(getattr(value, "dtype", None), "kind", "") != "M" or value.ndim:
        return None
    count = int(value.astype(f"datetime64[{unit}]").astype("int64"))
    if count == -MAX_LONG - 1:
        raise BindValueError("NaT is not a time")
    return count


class TimestampNode(FixedNode):
    """timestamp: aware `datetime.datetime` in UTC. Also taken: naive ones, as UTC; `datetime.date`, as its
    midnight in UTC; ints, as milliseconds since 1970; `Timestamp`; numpy.datetime64. Finer parts than
    milliseconds are cut off.
    """

    __slots__ = ()
    takes = "a datetime, an int of milliseconds or a triocql.Timestamp"

    def __init__(self, cql_type: CqlType) -> None:
        super().__init__(cql_type, "q")

    @staticmethod
    def convert(milliseconds: int) -> dt.datetime | Timestamp:
        """Return the time as a datetime where it fits."""
        if _MIN_MILLISECONDS <= milliseconds <= _MAX_MILLISECONDS:
            return _EPOCH + milliseconds * _MILLISECOND
        return Timestamp(milliseconds)

    def encode(self, value: Any) -> bytes:
        """Return the milliseconds since 1970, rounded towards the past."""
        milliseconds = self._milliseconds(value)
        if milliseconds is None:
            return self.encode_other(value)
        if not -MAX_LONG - 1 <= milliseconds <= MAX_LONG:
            return self.encode_other(value, "out of range for 8 bytes of milliseconds")
        return self._pack(milliseconds)

    @staticmethod
    def _milliseconds(value: Any) -> int | None:
        # A datetime is a date, too: it goes first.
        if isinstance(value, dt.datetime):
            aware = value if value.utcoffset() is not None else value.replace(tzinfo=UTC)
            return (aware - _EPOCH) // _MILLISECOND
        if isinstance(value, int):
            return value
        if isinstance(value, Timestamp):
            return value.milliseconds
        if isinstance(value, dt.date):
            return (value.toordinal() - _EPOCH_ORDINAL) * 86_400_000
        return _datetime64(value, "ms")


class DateNode(FixedNode):
    """date: `datetime.date`, `Date`, numpy.datetime64. A datetime is refused, since it may mean another day
    in UTC, and an int, since CQL and Python count days from different ones.
    """

    __slots__ = ()
    takes = "a datetime.date (of a datetime: its date()) or a triocql.Date"

    def __init__(self, cql_type: CqlType) -> None:
        super().__init__(cql_type, "I")

    @staticmethod
    def convert(number: int) -> dt.date | Date:
        """Return the day as a `datetime.date` where it fits."""
        ordinal = number - _ZERO_DAY + _EPOCH_ORDINAL
        if 1 <= ordinal <= dt.date.max.toordinal():
            return dt.date.fromordinal(ordinal)
        return Date(number - _ZERO_DAY)

    def encode(self, value: Any) -> bytes:
        """Return the days since 1970, with 2**31 for that day itself."""
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return self._pack(value.toordinal() - _EPOCH_ORDINAL + _ZERO_DAY)
        days = value.days if isinstance(value, Date) else _datetime64(value, "D")
        if days is None:
            return self.encode_other(value)
        if not -_ZERO_DAY <= days <= MAX_INT:
            return self.encode_other(value, "out of range for 4 bytes of days")
        return self._pack(days + _ZERO_DAY)


class TimeNode(FixedNode):
    """time: `datetime.time` without a time zone, `Time`, and ints, as nanoseconds since midnight."""

    __slots__ = ()
    takes = "a datetime.time, an int of nanoseconds or a triocql.Time"

    def __init__(self, cql_type: CqlType) -> None:
        super().__init__(cql_type, "q")

    @staticmethod
    def convert(nanoseconds: int) -> dt.time | Time:
        """Return the time as a `datetime.time` where it fits."""
        microseconds, rest = divmod(nanoseconds, 1000)
        if rest or not 0 <= nanoseconds < NANOSECONDS_OF_DAY:
            return Time(nanoseconds)
        seconds, microseconds = divmod(microseconds, 1_000_000)
        minutes, seconds = divmod(seconds, 60)
        return dt.time(minutes // 60, minutes % 60, seconds, microseconds)

    def encode(self, value: Any) -> bytes:
        """Return the nanoseconds since midnight."""
        if isinstance(value, dt.time):
            if value.tzinfo is not None:
                return self.encode_other(value, "a time of day cannot have a time zone")
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return self._pack((seconds * 1_000_000 + value.microsecond) * 1000)
        if isinstance(value, Time):
            return self._pack(value.nanoseconds)
        if not isinstance(value, int):
            return self.encode_other(value)
        if not 0 <= value < NANOSECONDS_OF_DAY:
            return self.encode_other(value, "out of range for nanoseconds since midnight")
        return self._pack(value)


class DurationNode(Node):
    """duration: `Duration`, and whatever has its three attributes (v5, section 5.10)."""

    __slots__ = ()
    takes: ClassVar[str] = "a triocql.Duration"

    def decode(self, raw: bytes) -> Any:
        """Return the duration, EMPTY for no bytes. What follows it is passed over, as by the server."""
        if not raw:
            return self.odd_length(raw)
        months, at = read_signed_vint(raw, 0)
        days, at = read_signed_vint(raw, at)
        nanoseconds, at = read_signed_vint(raw, at)
        try:
            return Duration(months, days, nanoseconds)
        except ValueError:
            raise DecodeError("the parts of a duration are out of range") from None

    def encode(self, value: Any) -> bytes:
        """Return three variable-length integers."""
        if not isinstance(value, Duration):
            try:
                value = Duration(value.months, value.days, value.nanoseconds)
            except (AttributeError, TypeError):
                return self.encode_other(value)
            except ValueError:
                return self.encode_other(value, "months, days or nanoseconds are out of range")
        parts = (value.months, value.days, value.nanoseconds)
        if min(parts) < 0 < max(parts):
            return self.encode_other(value, "months, days and nanoseconds have to be of one sign")
        return b"".join(map(pack_signed_vint, parts))
