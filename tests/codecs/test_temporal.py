from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.errors import BindTypeError, BindValueError, DecodeError

from .helpers import decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

UTC = dt.UTC
TOKYO = dt.timezone(dt.timedelta(hours=9))
DAY = 86_400_000

BYTES: list[tuple[str, Any, str]] = [
    ("timestamp", dt.datetime(1970, 1, 1, tzinfo=UTC), "00" * 8),
    ("timestamp", dt.datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "ff" * 8),
    ("timestamp", dt.datetime(1, 1, 1, tzinfo=UTC), "ffffc77cedd32800"),
    ("timestamp", dt.datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "0000e677d21fdbff"),
    ("timestamp", Timestamp(253_402_300_800_000), "0000e677d21fdc00"),
    ("timestamp", Timestamp(-62_135_596_800_001), "ffffc77cedd327ff"),
    ("timestamp", Timestamp(-(2**63)), "8000000000000000"),
    ("date", dt.date(1970, 1, 1), "80000000"),
    ("date", dt.date(1, 1, 1), "7ff506c6"),
    ("date", dt.date(9999, 12, 31), "802cc0a0"),
    ("date", Date(2_932_897), "802cc0a1"),
    ("date", Date(-719_163), "7ff506c5"),
    ("date", Date(-(2**31)), "00000000"),
    ("time", dt.time(), "00" * 8),
    ("time", dt.time(23, 59, 59, 999_999), (86_399_999_999_000).to_bytes(8).hex()),
    ("time", Time(1), "0000000000000001"),
    ("time", Time(86_399_999_999_999), (86_399_999_999_999).to_bytes(8).hex()),
    ("time", Time(86_400_000_000_000), (86_400_000_000_000).to_bytes(8).hex()),
    ("time", Time(-1), "ff" * 8),
    ("time", Time(2**63 - 1), "7f" + "ff" * 7),
    ("time", Time(-(2**63)), "80" + "00" * 7),
    ("duration", Duration(), "000000"),
    ("duration", Duration(1, 2, 3), "020406"),
    ("duration", Duration(-1, -2, -3), "010305"),
    ("duration", Duration(2**31 - 1, 0, 2**63 - 1), "f0fffffffe00fffffffffffffffffe"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BYTES)
def test_bytes(registry: Registry, name: str, value: Any, expected: str) -> None:
    assert encode(registry, name, value).hex() == expected
    read = decode(registry, name, bytes.fromhex(expected))
    assert (type(read), read) == (type(value), value)


def test_what_follows_a_duration_is_passed_over(registry: Registry) -> None:
    """The server stores it, and reads it so."""
    assert decode(registry, "duration", bytes.fromhex("020406" + "ff00")) == Duration(1, 2, 3)


def test_every_day_of_python(registry: Registry) -> None:
    """Both ways of counting days agree with Python's, over leap years and centuries."""
    days = [dt.date.fromordinal(ordinal) for ordinal in range(1, dt.date.max.toordinal() + 1, 61)]
    moments = [dt.datetime(day.year, day.month, day.day, 11, 22, 33, 456_000, tzinfo=UTC) for day in days]
    first = (days[0].toordinal() - dt.date(1970, 1, 1).toordinal() + 2**31).to_bytes(4)
    raw = encode(registry, "list<date>", days)
    assert raw[8:12] == first
    assert decode(registry, "list<date>", raw) == days
    assert round_trip(registry, "list<timestamp>", moments) == moments


def test_timestamps_are_aware(registry: Registry) -> None:
    assert round_trip(registry, "timestamp", 0).tzinfo is UTC


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("timestamp", dt.datetime(2020, 1, 1, 12), dt.datetime(2020, 1, 1, 12, tzinfo=UTC)),
    ("timestamp", dt.datetime(2020, 1, 1, 12, tzinfo=TOKYO), dt.datetime(2020, 1, 1, 3, tzinfo=UTC)),
    ("timestamp", dt.datetime(2020, 1, 1, 0, 0, 0, 1999), dt.datetime(2020, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
    ("timestamp", dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), dt.datetime.fromtimestamp(-0.001, UTC)),
    ("timestamp", dt.datetime.max, dt.datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ("timestamp", dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, tzinfo=UTC)),
    ("timestamp", 1000, dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ("timestamp", np.int64(1000), dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (
        "timestamp",
        np.datetime64("2020-01-01T00:00:00.5"),
        dt.datetime(2020, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),
    ),
    ("timestamp", np.datetime64("2020-01-01", "ns"), dt.datetime(2020, 1, 1, tzinfo=UTC)),
    ("timestamp", Timestamp(0), dt.datetime(1970, 1, 1, tzinfo=UTC)),
    ("date", np.datetime64("2020-01-01"), dt.date(2020, 1, 1)),
    ("date", Date(0), dt.date(1970, 1, 1)),
    ("time", 1_000_000_000, dt.time(0, 0, 1)),
    ("time", np.int64(1), Time(1)),
    ("time", Time(1000), dt.time(0, 0, 0, 1)),
    ("duration", SimpleNamespace(months=1, days=2, nanoseconds=3), Duration(1, 2, 3)),
]


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_what_users_pass(registry: Registry, name: str, value: Any, expected: Any) -> None:
    read = round_trip(registry, name, value)
    assert (type(read), read) == (type(expected), expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", "2020-01-01"),
        ("timestamp", 1.5),
        ("timestamp", dt.timedelta(1)),
        ("date", dt.datetime(2020, 1, 1)),
        ("date", 0),
        ("date", "2020-01-01"),
        ("time", "00:00"),
        ("time", dt.datetime(2020, 1, 1)),
        ("duration", dt.timedelta(1)),
        ("duration", 1),
    ],
)
def test_wrong_types(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindTypeError, match=f"'c0' \\({name}\\)"):
        encode(registry, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", 2**63),
        ("timestamp", np.datetime64("NaT", "ms")),
        ("date", np.datetime64("NaT", "D")),
        ("date", np.datetime64(2**40, "D")),
        ("time", -1),
        ("time", 86_400_000_000_000),
        ("time", dt.time(1, tzinfo=UTC)),
        ("duration", Duration(1, -1, 0)),
        ("duration", Duration(0, 1, -1)),
        ("duration", SimpleNamespace(months=2**31, days=0, nanoseconds=0)),
    ],
)
def test_out_of_range(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindValueError, match=f"'c0' \\({name}\\)"):
        encode(registry, name, value)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("timestamp", "00" * 7),
        ("date", "00" * 5),
        ("time", "ff" * 7),
        ("duration", "00"),
        ("duration", "0000"),
        ("duration", "0000f0"),
        ("duration", "f1000000000000"),
        ("duration", "ff" * 20),
    ],
)
def test_invalid_bytes(registry: Registry, name: str, raw: str) -> None:
    with pytest.raises(DecodeError, match=f"'c0' \\({name}\\)"):
        decode(registry, name, bytes.fromhex(raw))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Date(2**31),
        lambda: Time(2**63),
        lambda: Timestamp(2**63),
        lambda: Duration(months=2**31),
        lambda: Duration(days=-(2**31) - 1),
        lambda: Duration(nanoseconds=2**63),
    ],
)
def test_values_out_of_range_cannot_be_made(make: Any) -> None:
    with pytest.raises(ValueError, match="has to be from"):
        make()


def test_values_compare_and_hash() -> None:
    assert Date(1) < Date(2)
    assert len({Duration(1), Duration(1), Duration(2)}) == 2
    assert Time(5) == Time(5)
    assert Timestamp(5) != Timestamp(6)
