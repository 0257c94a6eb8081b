"""Durations that are counted in buckets: compiled and pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.errors import OptionError
from triocql.observability import meter as pure
from triocql.observability.meter import EDGES
from triocql.observability.metrics import Durations

if TYPE_CHECKING or find_spec("triocql.observability._meter") is None:
    compiled: Any = None
else:
    from triocql.observability import _meter as compiled

BOTH = [
    pytest.param(module, id=name, marks=pytest.mark.skipif(module is None, reason="it is not compiled"))
    for name, module in (("python", pure), ("cython", compiled))
]
OF_OPENTELEMETRY = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


@pytest.mark.parametrize("module", BOTH)
@given(st.lists(st.one_of(st.sampled_from(EDGES), st.floats(0, 1000))))
def test_each_duration_is_in_the_first_bucket_whose_edge_it_does_not_pass(
    module: Any, durations: list[float]
) -> None:
    histogram = module.Histogram()
    for seconds in durations:
        histogram.record(seconds)
    expected = [0] * (len(EDGES) + 1)
    for seconds in durations:
        expected[bisect_left(EDGES, seconds)] += 1
    assert histogram.counts() == tuple(expected)
    assert histogram.sum == pytest.approx(math.fsum(durations))
    assert histogram.largest == max(durations, default=0.0)


def test_the_edges_rise_and_are_those_of_opentelemetry_among_others() -> None:
    assert list(EDGES) == sorted(set(EDGES))
    assert set(OF_OPENTELEMETRY) <= set(EDGES)
    assert max(later / earlier for earlier, later in pairwise(EDGES)) < 1.7


@pytest.mark.parametrize("module", BOTH)
def test_a_percentile_is_never_too_short_and_by_one_bucket_too_long(module: Any) -> None:
    histogram = module.Histogram()
    durations = sorted(0.0001 * 1.003**number for number in range(3000))
    for seconds in durations:
        histogram.record(seconds)
    read = Durations.read(histogram)
    for percent in (1, 25, 50, 75, 95, 99, 99.9, 100):
        exact = durations[math.ceil(percent / 100 * len(durations)) - 1]
        assert exact <= read.percentile(percent) < 1.7 * exact
    assert read.percentile(100) == durations[-1]


def test_several_are_added_up() -> None:
    one, other = pure.Histogram(), pure.Histogram()
    one.record(0.002)
    other.record(0.002)
    other.record(100.0)
    together = Durations.together([Durations.read(one), Durations.read(other)])
    assert (together.count, together.largest) == (3, 100.0)
    assert together.sum == pytest.approx(100.004)
    assert together.counts[-1] == 1
    assert Durations.together([]) == Durations()
    assert Durations().percentile(99) == Durations().mean == 0.0


@pytest.mark.parametrize("percent", [-1, 0, 0.99, 100.1, float("nan"), "99", None])
def test_a_percentile_is_of_a_hundred(percent: Any) -> None:
    """0.99 is hardly what takes 0.99 % of requests."""
    with pytest.raises(OptionError, match="from 1 to 100, such as 99"):
        Durations().percentile(percent)
