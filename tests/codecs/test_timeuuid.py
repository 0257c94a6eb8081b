from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs.timeuuid import max_time_uuid, min_time_uuid, time_of, time_uuid_from
from triocql.errors import BindTypeError, BindValueError

TIMES = st.datetimes(dt.datetime(1583, 1, 1), dt.datetime(5236, 1, 1), timezones=st.just(dt.UTC))


def order(value: UUID) -> tuple[int, list[int]]:
    """Return what Cassandra orders time-UUIDs by: the time, then the other bytes as signed numbers."""
    return value.time, [(byte + 128) % 256 - 128 for byte in value.bytes[8:]]


@given(TIMES)
def test_back_and_forth(when: dt.datetime) -> None:
    value = time_uuid_from(when)
    assert time_of(value) == when
    assert (value.version, value.variant) == (1, "specified in RFC 4122")


@given(TIMES, st.integers(0, 2**48 - 1), st.integers(0, 2**14 - 1))
def test_smallest_and_largest(when: dt.datetime, node: int, clock_seq: int) -> None:
    value = time_uuid_from(when, node=node, clock_seq=clock_seq)
    smallest, largest = min_time_uuid(when), max_time_uuid(when)
    assert order(smallest) <= order(value) <= order(largest)
    assert time_of(smallest) == time_of(largest) == when
    next_microsecond = min_time_uuid(when + dt.timedelta(microseconds=1))
    assert order(largest) < order(next_microsecond)


def test_of_other_makers() -> None:
    value = uuid1()
    assert abs(time_of(value) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    example = UUID("C232AB00-9414-11EC-B3C8-9F6BDECED846")  # RFC 9562, appendix A.1
    assert time_of(example) == dt.datetime(2022, 2, 22, 19, 22, 22, tzinfo=dt.UTC)


def test_times_that_users_pass() -> None:
    aware = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    for when in (1_700_000_000, 1_700_000_000.0, aware, aware.replace(tzinfo=None)):
        assert time_of(time_uuid_from(when)) == aware
    assert time_of(time_uuid_from(0.25)).microsecond == 250_000


def test_two_calls_give_two_values() -> None:
    assert time_uuid_from(0) != time_uuid_from(0)
    assert time_uuid_from(0, node=1, clock_seq=2) == time_uuid_from(0, node=1, clock_seq=2)


def test_what_is_refused() -> None:
    with pytest.raises(BindValueError, match="version 1"):
        time_of(uuid4())
    with pytest.raises(BindValueError, match="1582"):
        time_uuid_from(dt.datetime(1500, 1, 1))
    with pytest.raises(BindValueError, match="5236"):
        min_time_uuid(dt.datetime(6000, 1, 1))
    with pytest.raises(BindValueError, match="48 bits"):
        time_uuid_from(0, node=2**48)
    with pytest.raises(BindValueError, match="14 bits"):
        time_uuid_from(0, clock_seq=-1)


@pytest.mark.parametrize("make", [time_uuid_from, min_time_uuid, max_time_uuid])
def test_what_is_no_time(make: Callable[[Any], UUID]) -> None:
    for value in ("x", b"x", None, dt.date(2024, 1, 1)):
        with pytest.raises(BindTypeError, match=f"seconds since 1970, not {type(value).__name__}"):
            make(value)
    for number in (math.inf, math.nan):
        with pytest.raises(BindValueError, match=f"cannot be {number}"):
            make(number)
    assert time_of(make(Decimal(5))) == time_of(make(5))


def test_what_is_no_uuid_has_no_time() -> None:
    value: Any = "x"
    with pytest.raises(BindTypeError, match=r"a uuid\.UUID is needed, not str"):
        time_of(value)
