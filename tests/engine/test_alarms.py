"""Calls at times: in their order, by one timer, to the millisecond, and none that was cancelled."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from triocql.engine.requests.alarms import Alarms
from triocql.testing.simulated import SimulatedReactor


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(0, 50)),
            st.tuples(st.just("cancel"), st.integers(0, 200)),
            st.tuples(st.just("advance"), st.integers(0, 20)),
        ),
        max_size=200,
    )
)
def test_each_is_made_once_when_it_is_due_unless_cancelled(steps: list[tuple[str, int]]) -> None:
    reactor = SimulatedReactor()
    alarms = Alarms(reactor)
    made: list[int] = []
    expected: dict[int, float] = {}
    all_: list[Callable[[], None]] = []
    for step, number in steps:
        if step == "set":
            index = len(all_)
            expected[index] = when = reactor.now() + number / 1024  # exactly, as sums are, too
            all_.append(alarms.set(when, lambda index=index: made.append(index)))  # type: ignore[misc]
        elif step == "cancel" and all_:
            index = number % len(all_)
            all_[index]()
            if index not in made:
                expected.pop(index, None)
        else:
            reactor.advance(number / 1024)
            due = {index for index, when in expected.items() if when <= reactor.now()}
            assert set(made) == due
    assert (alarms.next_due == math.inf) is (not set(expected) - set(made))
    reactor.advance(1)
    assert sorted(made) == sorted(expected)
    assert [expected[index] for index in made] == sorted(expected[index] for index in made)
    assert alarms.next_due == math.inf
    assert reactor._timers.next_due() == math.inf


def test_what_is_cancelled_in_masses_is_not_kept() -> None:
    reactor = SimulatedReactor()
    alarms = Alarms(reactor)
    made: list[int] = []
    for _ in range(10_000):
        alarms.set(100.0, lambda: made.append(1))()
    assert alarms.next_due == math.inf
    assert len(alarms._timers._heap) < 200


def test_one_that_raises_keeps_no_other_from_its_call() -> None:
    reactor = SimulatedReactor()
    alarms = Alarms(reactor)
    made: list[str] = []

    def broken() -> None:
        raise KeyError("alarm")

    alarms.set(0.1, broken)
    second = alarms.set(0.1, lambda: third())
    third = alarms.set(0.1, lambda: made.append("cancelled by the one before"))
    alarms.set(0.1, lambda: made.append("last"))
    reactor.advance(0.2)
    second()
    assert made == ["last"]
    assert alarms.next_due == math.inf


def test_closed_it_makes_no_call() -> None:
    reactor = SimulatedReactor()
    alarms = Alarms(reactor)
    made: list[int] = []
    alarm = alarms.set(0.1, lambda: made.append(1))
    alarms.close()
    alarm()
    alarms.set(0.1, lambda: made.append(2))
    reactor.advance(1)
    assert made == []
