"""How often a node may be dialled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from triocql.cluster.allowance import Allowance


@given(wanted=st.integers(1, 2000), pauses=st.lists(st.floats(0, 20), max_size=300))
def test_so_many_at_once_and_so_many_a_second(wanted: int, pauses: list[float]) -> None:
    """Whoever dials as soon as it is allowed and wanted never dials more, at whatever time one begins to count."""
    pool: Any = SimpleNamespace(wanted=wanted)
    allowance, now, dials = Allowance(pool), 0.0, []
    for pause in pauses:
        now = max(now + pause / wanted, allowance.next)
        allowance.spend(now)
        dials.append(now)
    for number, began in enumerate(dials):
        for count, at in enumerate(dials[number:], 1):
            assert count <= wanted + 64 + 32 * (at - began) + 1.001


def test_the_first_dial_is_allowed_at_once_and_a_pool_can_be_filled_at_once() -> None:
    pool: Any = SimpleNamespace(wanted=2)
    allowance = Allowance(pool)
    assert allowance.next < 0
    allowance.spend(5.0)
    pool.wanted = 500  # as the first connection has told
    for _ in range(500 + 63):
        assert allowance.next <= 5.0
        allowance.spend(5.0)
    allowance.spend(5.0)
    assert allowance.next == 5.0 + 1 / 32
