"""How far a scan has come: never back, and at the end only at the end."""

from __future__ import annotations

from random import Random

import pytest

from tests.bulk.tables import EVENTS
from triocql.bulk.checkpoint import Checkpoint
from triocql.bulk.intervals import Intervals, TokenRange, TokenSpace, space_of
from triocql.bulk.progress import Tally, duration_text, size_text
from triocql.bulk.selection import select
from triocql.metadata.partitioners import MAX_LONG, MIN_LONG, MURMUR3

BEGIN = Checkpoint.of(select(EVENTS))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def space() -> TokenSpace:
    found = space_of(MURMUR3)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(20))
def test_it_never_falls_and_is_whole_at_the_end_only(seed: int) -> None:
    random, clock = Random(seed), Clock()
    bounds = sorted(
        {MIN_LONG, MAX_LONG, MAX_LONG - 1, *(random.randint(MIN_LONG, MAX_LONG) for _ in range(40))}
    )
    ranges = list(map(TokenRange, bounds, bounds[1:]))
    random.shuffle(ranges)
    tally = Tally(space(), BEGIN, clock)
    before = tally.progress()
    assert (before.fraction, before.rows, before.total_rows, before.remaining) == (0.0, 0, None, None)
    for number, part in enumerate(ranges):
        clock.now += 1
        tally.give(10, 100)
        between = tally.progress()
        assert between.fraction == before.fraction
        tally.complete(part, 10, 100)
        after = tally.progress()
        assert before.fraction <= after.fraction
        assert (after.fraction == 1.0) == (number == len(ranges) - 1)
        before = after
    assert before.rows == before.total_rows == 10 * len(ranges)
    assert before.bytes == 100 * len(ranges)
    assert before.remaining == 0
    assert before.rows_per_second == 10
    assert tally.checkpoint().done == Intervals.of([space().whole])


def test_the_rest_is_estimated_by_what_is_done() -> None:
    clock = Clock()
    tally = Tally(space(), BEGIN, clock)
    clock.now += 10
    tally.give(1_500, 12_000)
    tally.complete(TokenRange(MIN_LONG, MIN_LONG + 2**62), 1_000, 8_000)
    progress = tally.progress()
    assert progress.fraction == 0.25
    assert (progress.rows, progress.total_rows) == (1_500, 4_000)
    assert progress.remaining == pytest.approx(30)
    assert str(progress) == "25.0 %, 1,500 rows, 12.0 kB, 150 rows/s, 30 s left"
    assert tally.checkpoint().rows == 1_000, "only what is done"


def test_a_resumed_scan_begins_where_the_other_one_ended() -> None:
    clock = Clock()
    half = BEGIN.reached(Intervals.of([(MIN_LONG, 0)]), rows=500, bytes=4_000)
    tally = Tally(space(), half, clock)
    assert tally.progress().fraction == 0.5
    assert (tally.progress().rows, tally.progress().total_rows, tally.progress().remaining) == (
        500,
        1_000,
        None,
    )
    clock.now += 10
    tally.give(250, 2_000)
    tally.complete(TokenRange(0, 2**62), 250, 2_000)
    progress = tally.progress()
    assert progress.fraction == 0.75
    assert (progress.rows, progress.bytes, progress.rows_per_second) == (750, 6_000, 25)
    assert progress.remaining == pytest.approx(10)
    checkpoint = tally.checkpoint()
    assert (checkpoint.rows, checkpoint.bytes, checkpoint.done.as_json()) == (750, 6_000, [[MIN_LONG, 2**62]])
    assert checkpoint.started == half.started


def test_rows_that_are_thrown_away_do_not_count() -> None:
    tally = Tally(space(), BEGIN, Clock())
    tally.give(250, 2_000)
    tally.give(-250, -2_000)
    assert (tally.progress().rows, tally.progress().bytes) == (0, 0)


def test_what_has_no_ranges_is_done_at_once() -> None:
    clock = Clock()
    tally = Tally(None, BEGIN, clock)
    tally.give(10, 100)
    clock.now += 1
    assert (tally.progress().fraction, tally.progress().total_rows) == (0.0, None)
    tally.finish()
    assert (tally.progress().fraction, tally.progress().total_rows) == (1.0, 10)
    assert tally.checkpoint().done == Intervals()
    assert tally.checkpoint().rows == 10


def test_the_clock_stops() -> None:
    clock = Clock()
    tally = Tally(space(), BEGIN, clock)
    clock.now += 5
    tally.end()
    clock.now += 5
    assert tally.progress().seconds == 5


def test_a_clock_that_stands_still_divides_by_nothing() -> None:
    tally = Tally(space(), BEGIN, Clock())
    tally.give(5, 5)
    tally.complete(TokenRange(MIN_LONG, 0), 5, 5)
    assert tally.progress().rows_per_second == 0
    assert tally.progress().remaining == 0


def test_numbers_as_people_read_them() -> None:
    assert [size_text(size) for size in (0, 999, 1_000, 999_949, 999_951, 10**9, 10**15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "1.0 GB",
        "1000.0 TB",
    ]
    assert [duration_text(seconds) for seconds in (0, 59.4, 59.6, 3_599, 3_600, 90_061)] == [
        "0 s",
        "59 s",
        "1:00 min",
        "59:59 min",
        "1:00 h",
        "25:01 h",
    ]
