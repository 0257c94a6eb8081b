"""When a throttle lets the next request start."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.errors import OptionError
from triocql.policies import NeverThrottle, Throttle


def test_so_many_at_a_time() -> None:
    throttle = Throttle(2)
    assert [throttle.turn(5.0, in_flight) for in_flight in (0, 1, 2, 3)] == [5.0, 5.0, math.inf, math.inf]


def test_so_many_a_second_after_a_burst() -> None:
    throttle = Throttle(rate=4.0, burst=2)
    assert [throttle.turn(10.0, 0) <= 10.0 for _ in range(3)] == [True, True, False]
    assert throttle.turn(10.0, 0) == 10.25
    assert throttle.turn(10.25, 0) <= 10.25
    assert throttle.turn(10.25, 0) == 10.5
    assert [throttle.turn(99.0, 0) <= 99.0 for _ in range(3)] == [True, True, False]


def test_a_burst_is_a_tenth_of_a_second_s_by_default() -> None:
    throttle = Throttle(rate=50)
    assert [throttle.turn(0.0, 0) <= 0.0 for _ in range(6)] == [True] * 5 + [False]
    assert [Throttle(rate=0.5).turn(0.0, 0) <= 0.0 for _ in range(1)] == [True]


def test_what_is_full_takes_nothing_from_the_rate() -> None:
    throttle = Throttle(1, rate=1.0, burst=1)
    assert throttle.turn(0.0, 1) == math.inf
    assert throttle.turn(0.0, 0) <= 0.0


@given(
    st.floats(0.01, 1e5), st.integers(1, 20), st.lists(st.floats(0, 0.5), max_size=100), st.floats(-1e6, 1e6)
)
def test_the_rate_is_never_exceeded_by_more_than_the_burst(
    rate: float, burst: int, pauses: list[float], start: float
) -> None:
    throttle, now, started = Throttle(rate=rate, burst=burst), start, list[float]()
    for pause in pauses:
        now += pause
        when = throttle.turn(now, 0)
        if when <= now:
            started.append(now)
        else:
            assert throttle.turn(when, 0) <= when  # it keeps its word
            now = when
            started.append(now)
    for first, begun in enumerate(started):
        for last in range(first, len(started)):
            assert last - first + 1 <= burst + rate * (started[last] - begun) + 1e-3


def test_each_session_has_its_own() -> None:
    throttle = Throttle(3, rate=1.0, burst=1, max_queue=7)
    throttle.turn(100.0, 0)
    own = throttle.in_session()
    assert (repr(own), own.max_queue) == ("Throttle(concurrency=3, rate=1.0, burst=1)", 7)
    assert own.turn(0.0, 0) <= 0.0


def test_none() -> None:
    assert NeverThrottle().turn(3.0, 10_000) == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "takes concurrency=, how many at a time, or rate="),
        ({"concurrency": 0}, "concurrency is 0; it has to be an integer from 1"),
        ({"concurrency": True}, "concurrency is True"),
        ({"rate": 0}, "rate is 0; it has to be a number of requests a second"),
        ({"rate": math.inf}, "rate is inf"),
        ({"rate": math.nan}, "rate is nan"),
        ({"rate": 5e-324}, "rate is 5e-324; it has to be a number of requests a second, from 1e-06"),
        ({"rate": 10**400}, r"rate is 10+\.\.\.0+; it has to be"),
        ({"rate": 1.0, "burst": 10**400}, r"burst is 10+\.\.\.0+; it has to be"),
        ({"concurrency": 10**400}, r"concurrency is 10+\.\.\.0+; it has to be"),
        ({"rate": 5, "burst": 0}, "burst is 0; it has to be an integer from 1"),
        ({"concurrency": 5, "burst": 2}, "burst= belongs to rate="),
        ({"concurrency": 5, "max_queue": -1}, "max_queue is -1; it has to be an integer from 0"),
        ({"concurency": 5}, "unknown option 'concurency' of Throttle; did you mean 'concurrency'"),
    ],
)
def test_what_is_no_throttle(arguments: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Throttle(**arguments)
