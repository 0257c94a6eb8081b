"""Sets of ranges: merged, and exact to the last token."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.bulk.intervals import Intervals, TokenRange, space_of
from triocql.metadata.partitioners import BYTE_ORDERED, MAX_LONG, MIN_LONG, MURMUR3, RANDOM

SMALL = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda each: each[0] < each[1]), max_size=6
)


def numbers(ranges: object) -> set[int]:
    """Return what is in some ranges, one by one."""
    return {number for start, end in ranges for number in range(start + 1, end + 1)}  # type: ignore[attr-defined]


@given(SMALL, SMALL)
def test_they_are_sets_of_numbers(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b = Intervals.of(one), Intervals.of(other)
    assert numbers(a) == numbers(one)
    assert a.width == len(numbers(one))
    assert numbers(a | b) == numbers(one) | numbers(other)
    assert numbers(a - b) == numbers(one) - numbers(other)
    merged = list(a - b)
    assert all(left.end < right.start for left, right in pairwise(merged))
    assert (a | b) - b == a - b
    assert Intervals.from_json(json.loads(json.dumps(a.as_json()))) == a
    assert (a == b) == (numbers(a) == numbers(b))
    assert a != b or hash(a) == hash(b)
    for start, end in other:
        assert numbers(a.within(start, end)) == numbers(a) & numbers([(start, end)])
        assert ((start, end) in a) == (numbers([(start, end)]) <= numbers(a))
        assert a.plus(start, end) == a | Intervals.of([(start, end)])


@pytest.mark.parametrize("bad", [(1, 1), (2, 1), (MAX_LONG, MIN_LONG)])
def test_a_range_over_the_end_is_none(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="its start is not before its end"):
        Intervals.of([(0, 5), bad])
    with pytest.raises(ValueError, match="its start is not before its end"):
        Intervals.of([(0, 5)]).plus(*bad)


@pytest.mark.parametrize(
    "bad", [None, 5, {}, "ab", [1, 2], [[1]], [[1, 2, 3]], [[1, "2"]], [[1, True]], [[2, 1]]]
)
def test_what_is_no_list_of_pairs_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="range"):
        Intervals.from_json(bad)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("part", [TokenRange(MIN_LONG, MAX_LONG), TokenRange(-3, 4), TokenRange(0, 1)])
def test_parts_of_a_range_are_all_of_it(part: TokenRange, parts: int) -> None:
    found = part.split(parts)
    assert len(found) == min(parts, part.width)
    assert (found[0].start, found[-1].end) == part
    assert all(left.end == right.start for left, right in pairwise(found))
    widths = [each.width for each in found]
    assert min(widths) > 0
    assert max(widths) - min(widths) <= 1


def test_the_space_of_a_partitioner() -> None:
    space = space_of(MURMUR3)
    assert space is not None
    assert space.whole == (MIN_LONG, MAX_LONG)
    assert space.unwrapped(3, 7) == [(3, 7)]
    assert space.unwrapped(7, 3) == [(MIN_LONG, 3), (7, MAX_LONG)]
    assert space.unwrapped(7, 7) == [(MIN_LONG, 7), (7, MAX_LONG)]
    assert space.unwrapped(MAX_LONG, MIN_LONG) == []
    assert space.unwrapped(MIN_LONG, MIN_LONG) == [space.whole]
    random = space_of(RANDOM)
    assert random is not None
    assert random.whole == (-1, 2**127)
    assert space_of(BYTE_ORDERED) is None
