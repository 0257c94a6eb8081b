"""The heap of timers, against a sorted list."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from triocql.reactors.timers import Timers

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 300)),
        st.tuples(st.just("pop"), st.integers(0, 50)),
    ),
    max_size=300,
)


@settings(deadline=None)
@given(steps)
def test_like_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    timers, model, cancels, fired = Timers(), [], [], []
    for number, (step, value) in enumerate(steps):
        if step == "add":
            cancels.append((number, timers.add(value, lambda number=number: fired.append(number))))  # type: ignore[misc]
            model.append((value, number))
        elif step == "cancel" and cancels:
            cancelled, cancel = cancels[value % len(cancels)]
            cancel()
            model = [entry for entry in model if entry[1] != cancelled]
        elif step == "pop":
            fired.clear()
            for fn in timers.pop_due(value):
                fn()
            assert fired == [entry[1] for entry in sorted(model) if entry[0] <= value]
            model = [entry for entry in model if entry[0] > value]
        assert timers.next_due() == min((entry[0] for entry in model), default=math.inf)


def test_what_is_added_meanwhile_waits_for_the_next_turn() -> None:
    timers = Timers()
    fired = []

    def again() -> None:
        fired.append(1)
        timers.add(0, again)

    timers.add(0, again)
    for turn in range(3):
        for fn in timers.pop_due(1):
            fn()
        assert len(fired) == turn + 1


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    for when in range(10_000):
        timers.add(when + 1e6, int)()  # type: ignore[arg-type]
    assert len(timers._heap) < 200
