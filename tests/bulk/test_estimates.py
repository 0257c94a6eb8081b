"""Sizes out of what nodes have estimated: a hint, and never an error."""

from __future__ import annotations

from typing import Any

import pytest

from triocql.bulk.estimates import MOST_TASKS, SMALL, TASK_BYTES, TableSize, question, size_of, tasks_for
from triocql.bulk.intervals import TokenSpace, space_of
from triocql.codecs.values import FrozenMap
from triocql.metadata.partitioners import MAX_LONG, MIN_LONG, MURMUR3, RANDOM
from triocql.metadata.schema import Table

HALF = (MIN_LONG, 0)


def space() -> TokenSpace:
    found = space_of(MURMUR3)
    assert found is not None
    return found


def row(start: int, end: int, mean: Any, count: Any) -> dict[str, Any]:
    return {
        "range_start": str(start),
        "range_end": str(end),
        "mean_partition_size": mean,
        "partitions_count": count,
    }


def size(*rows: dict[str, Any]) -> TableSize | None:
    return size_of(rows, MURMUR3, space())


def test_the_ranges_of_all_nodes_are_added_up() -> None:
    assert size(row(MIN_LONG, 0, 100, 10), row(0, 2**62, 50, 4), row(2**62, MIN_LONG, 0, 0)) == (1_200, 14)


def test_what_is_lacking_is_like_the_rest() -> None:
    """A node did not answer, or those of other data centres have not been asked."""
    assert size(row(*HALF, 100, 10)) == (1_999, 19), "the half of all but one"
    assert size(row(*HALF, 100, 10), row(*HALF, 100, 10)) == (1_999, 19), "told twice, while nodes move"


def test_one_token_has_the_whole_ring() -> None:
    assert size(row(5, 5, 100, 10)) == (1_000, 10)
    assert size(row(MIN_LONG, MIN_LONG, 100, 10)) == (1_000, 10)
    assert size(row(2**62, -(2**62), 100, 10)) == (2_000, 20), "over the end of the ring"


@pytest.mark.parametrize(
    "told",
    [
        (),
        (row(*HALF, 0, 0),),
        (row(*HALF, 100, 0),),
        (row(*HALF, -5, 10),),
        (row(*HALF, 100, -10),),
        (row(*HALF, None, 10),),
        (row(*HALF, 100, None),),
        (row(*HALF, "100", 10),),
        (row(*HALF, True, 10),),
        (row(*HALF, 2**62, 2**62),),
        (row(*HALF, 2**59, 2**59),),
        ({},),
        ({**row(*HALF, 100, 10), "range_start": None},),
        ({**row(*HALF, 100, 10), "range_end": "x"},),
        ({**row(*HALF, 100, 10), "range_end": str(2**63)},),
        ({**row(*HALF, 100, 10), "range_end": 7.5},),
        (row(MAX_LONG, MIN_LONG, 100, 10),),
    ],
)
def test_what_is_absent_or_absurd_is_not_known(told: tuple[dict[str, Any], ...]) -> None:
    assert size(*told) is None
    if told and told[0].get("range_end") != str(MIN_LONG):
        assert size(*told, row(0, MAX_LONG, 100, 10)) in (
            (2_000, 20),
            (1_000, 10),
            (1_999, 19),
            (2_000, 19),
            None,
        )


def test_the_random_partitioner_has_its_own_ring() -> None:
    ring = space_of(RANDOM)
    assert ring is not None
    assert size_of([row(-1, 2**126, 100, 10)], RANDOM, ring) == (1_999, 19)


def test_how_many_tasks() -> None:
    assert tasks_for(None, 3) == 24
    assert tasks_for(None, 0) == 8
    assert tasks_for(TableSize(SMALL, 5), 3) == 1
    assert tasks_for(TableSize(SMALL + 1, 5), 3) == 6
    assert tasks_for(TableSize(TASK_BYTES * 100, 5), 3) == 100
    assert tasks_for(TableSize(2**50, 5), 3) == MOST_TASKS
    assert tasks_for(TableSize(SMALL + 1, 5), 9_000) == MOST_TASKS
    assert tasks_for(None, 9_000) == MOST_TASKS


def test_the_names_in_the_question_are_strings() -> None:
    text = question(Table("a'b", "Events", FrozenMap({})))
    assert text.endswith(" WHERE keyspace_name = 'a''b' AND table_name = 'Events'")
