"""All tablets of a table, as a system table tells them: all, or none where the rows cannot be right."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.metadata.test_tablets import HIGH, LOW, A, B, learn, ranges, store
from triocql.metadata.building import finish
from triocql.metadata.tablethints import Hint
from triocql.metadata.tabletrows import TabletRows

TABLE, BASE = UUID(int=100), UUID(int=200)
ON_BOTH = [(A.host_id, 0), (B.host_id, 3)]
IDS = UUID(int=1).bytes, UUID(int=2).bytes


def row(last: Any, replicas: Any = ON_BOTH, **more: Any) -> dict[str, Any]:
    return {"table_id": TABLE, "last_token": last, "tablet_count": 2, "replicas": replicas, **more}


def told(*rows: dict[str, Any]) -> list[Hint]:
    read = TabletRows(TABLE)
    assert str(TABLE) in read.text
    read.take(rows)
    assert read.wanted is None
    return read.hints


def test_each_row_ends_where_the_next_one_begins() -> None:
    assert told(row(HIGH), row(-1)) == [Hint(LOW, -1, IDS, (0, 3)), Hint(-1, HIGH, IDS, (0, 3))]


def test_older_servers_do_not_tell_all_of_it() -> None:
    (only,) = told({"last_token": HIGH, "replicas": ON_BOTH})
    assert (only.first, only.last) == (LOW, HIGH)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(None)],
        [row("x"), row(HIGH)],
        [row(-1), row(5)],
        [row(HIGH)],
        [row(-1), row(7), row(HIGH)],
        [row(-1), row(-1)],
        [row(LOW), row(HIGH)],
        [row(-1), row(2**63)],
        [row(-1, None), row(HIGH)],
        [row(-1, []), row(HIGH)],
        [row(-1, [(A.host_id, -1)]), row(HIGH)],
        [row(-1, [(A.host_id, 65_535)]), row(HIGH)],
        [row(-1, [(A.host_id, None)]), row(HIGH)],
        [row(-1, [("x", 0)]), row(HIGH)],
        [row(-1, [(A.host_id,)]), row(HIGH)],
        [row(-1, [None]), row(HIGH)],
        [row(-1, [(UUID(int=each), 0) for each in range(300)]), row(HIGH)],
        [row(-1, 7), row(HIGH)],
    ],
)
def test_rows_that_cannot_be_all_are_none(rows: list[dict[str, Any]]) -> None:
    assert told(*rows) == []


def test_a_table_that_has_its_tablets_with_another_one_is_read_there_once() -> None:
    """Whatever nodes say then: they could go in circles."""
    read = TabletRows(TABLE)
    wanted = []
    for base in (BASE, TABLE):
        read.take([{"last_token": None, "base_table": base}])
        wanted.append(read.wanted)
    assert wanted == [BASE, None]
    assert read.hints == []


def test_tablets_that_are_told_at_once_are_learnt() -> None:
    """What is known in the same place stays; nodes that are not known are left out, and are not sought."""
    tablets, asked = store(A, B), []
    tablets.on_unknown = lambda: asked.append(True)
    learn(tablets, 0, 10, B, A)
    (known,) = tablets.of("shop", "carts")
    stranger = UUID(int=9).bytes
    hints = [
        Hint(LOW, 0, (IDS[0], stranger), (1, 2)),
        Hint(0, 10, IDS, (1, 0)),
        Hint(10, 20, (stranger,), (0,)),
        Hint(20, HIGH, IDS, (0, 3)),
    ]
    finish(tablets.learn("shop", "carts", hints))
    assert ranges(tablets) == [(LOW, 0), (0, 10), (20, HIGH)]
    first, second, _ = tablets.of("shop", "carts")
    assert (first.replicas, first.shards) == ((A,), (1,))
    assert second is known
    assert asked == []


def test_many_are_learnt_in_steps() -> None:
    tablets = store(A, B)
    hints = [Hint(number, number + 1, IDS, (0, 1)) for number in range(4096)]
    steps = sum(1 for _ in tablets.learn("shop", "carts", hints))
    assert (steps, len(tablets)) == (16, 4096)
