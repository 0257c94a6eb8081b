"""Time-UUIDs: UUIDs of version 1, whose order in a ``timeuuid`` column is that of their times (RFC 9562,
section 5.1).
"""

from __future__ import annotations

import datetime as dt
from math import isfinite
from os import urandom
from uuid import UUID

from triocql._brief import brief
from triocql.errors import BindTypeError, BindValueError

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_TICKS_BEFORE_1970 = 0x01B21DD213814000
"""The ticks of 100 ns from 1582-10-15, where time-UUIDs begin, to 1970-01-01."""
_MULTICAST = 1 << 40
"""Marks a node that is random, not the address of a network card."""

# What orders equal times: Cassandra compares these 8 bytes one by one, as signed numbers.
_SMALLEST = 0x8080808080808080
_LARGEST = 0xBF7F7F7F7F7F7F7F


def time_uuid_from(
    when: dt.datetime | float, *, node: int | None = None, clock_seq: int | None = None
) -> UUID:
    """Return a new time-UUID for a time: a datetime (UTC, if it is naive) or the seconds since 1970.

    `node` (48 bits) and `clock_seq` (14 bits) are random unless given, so that two calls give two values.

    Raises:
        BindTypeError: the time is neither.
        BindValueError: the time is before 1582 or after 5236, or `node` or `clock_seq` is out of range.

    >>> time_of(time_uuid_from(1_700_000_000))
    datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    """
    node = _random_bits(48) | _MULTICAST if node is None else node
    clock_seq = _random_bits(14) if clock_seq is None else clock_seq
    if not 0 <= node < 1 << 48:
        raise BindValueError(f"the node of a time-UUID has 48 bits; {brief(node)} has more, or is negative")
    if not 0 <= clock_seq < 1 << 14:
        raise BindValueError(
            f"the clock sequence of a time-UUID has 14 bits; {brief(clock_seq)} has more, or is negative"
        )
    return _time_uuid(_ticks(when), (0x8000 | clock_seq) << 48 | node)


def min_time_uuid(when: dt.datetime | float) -> UUID:
    """Return the smallest time-UUID of a time, to be compared with: ``WHERE id >= ?``. Times as for
    `time_uuid_from`.
    """
    return _time_uuid(_ticks(when), _SMALLEST)


def max_time_uuid(when: dt.datetime | float) -> UUID:
    """Return the largest time-UUID of a time, down to the microsecond: ``WHERE id <= ?``. Times as for
    `time_uuid_from`."""
    return _time_uuid(_ticks(when) + 9, _LARGEST)


def time_of(value: UUID) -> dt.datetime:
    """Return the time of a time-UUID as an aware datetime in UTC, cut off to microseconds.

    Raises:
        BindTypeError: it is no UUID.
        BindValueError: the UUID is not of version 1.
    """
    if not isinstance(value, UUID):
        raise BindTypeError(f"a uuid.UUID is needed, not {type(value).__name__}")
    if value.int >> 76 & 0xF != 1:
        raise BindValueError("only a UUID of version 1 has a time")
    return _EPOCH + (value.time - _TICKS_BEFORE_1970) // 10 * _MICROSECOND


def _random_bits(count: int) -> int:
    return int.from_bytes(urandom(8)) >> (64 - count)


def _ticks(when: dt.datetime | float) -> int:
    if isinstance(when, dt.datetime):
        aware = when if when.utcoffset() is not None else when.replace(tzinfo=dt.UTC)
        microseconds = (aware - _EPOCH) // _MICROSECOND
    elif not hasattr(when, "__float__"):
        raise BindTypeError(
            f"the time of a time-UUID is a datetime or the seconds since 1970, not {type(when).__name__}"
        )
    elif not isfinite(when):
        raise BindValueError(f"the time of a time-UUID cannot be {when}")
    else:
        microseconds = round(when * 1_000_000)
    ticks = microseconds * 10 + _TICKS_BEFORE_1970
    if not 0 <= ticks < (1 << 60) - 9:
        raise BindValueError("a time-UUID can only be of the years from 1582 to 5236")
    return ticks


def _time_uuid(ticks: int, clock_and_node: int) -> UUID:
    low, mid, high = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48
    return UUID(int=(low << 96) | (mid << 80) | (0x1000 | high) << 64 | clock_and_node)
