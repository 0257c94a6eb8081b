"""Whatever goes wrong: each row comes once, or its range is told of."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.bulk.table import NAME, Shop, watching
from triocql.bulk.pieces import Discarded
from triocql.errors import ScanIncomplete
from triocql.session.session import Session
from triocql.testing.server import ErrorCode, Request, error

FAULTS = [
    error(ErrorCode.READ_TIMEOUT, received=0, required=1, data_present=0),
    error(ErrorCode.READ_FAILURE, received=0, required=1, failures=1, data_present=0),
    error(ErrorCode.OVERLOADED),
    error(ErrorCode.SERVER_ERROR),
    error(ErrorCode.UNAVAILABLE, required=1, alive=0),
]


class Trouble:
    """A table, and what goes wrong with it, as a seed says."""

    def __init__(self, seed: int) -> None:
        self.random = rng = random.Random(seed)
        sizes = [rng.choice([0, 1, 1, 2, 5, 40]) for _ in range(rng.choice([1, 10, 60]))]
        self.shop = shop = Shop(
            partitions=len(sizes),
            size=sizes.__getitem__,
            nodes=3,
            replication=rng.choice([1, 2, 3]),
            num_tokens=rng.choice([1, 4]),
            seed=seed,
            reconnection_base=0.1,
        )
        for id_ in rng.sample(range(len(sizes)), min(len(sizes), rng.choice([0, 0, 1, 3]))):
            shop.table.fail(
                shop.table.token(id_),
                rng.choice(FAULTS),
                node=rng.choice([None, None, 0, 1]),
                times=rng.choice([1, 3, 5, None]),
            )
        self.down: int | None = None
        shop.table.page = self.page
        self.options: dict[str, Any] = {
            "page_size": rng.choice([None, 1, 3, 10]),
            "tasks": rng.choice([None, 1, 2, 30]),
            "max_bytes": rng.choice([1, 500, 5_000, 2**26]),
            "concurrency_per_node": rng.choice([1, 4]),
            "columns": rng.choice([None, ["n", "v"]]),
            "ordered": rng.random() < 0.3,
            "timeout": 2.0,
        }
        if self.options["page_size"] is None:
            del self.options["page_size"]

    def page(self, request: Request, rows: int) -> int:
        """Have a page be short at times, and nodes die and come back."""
        rng = self.random
        if rng.random() < 0.05:
            self.change()
        return rng.choice([0, 1, rows]) if rng.random() < 0.2 else rows

    def change(self) -> None:
        """Have a node die, or come back."""
        nodes = self.shop.server.nodes
        if self.down is not None:
            nodes[self.down].start()
            self.down = None
        else:
            self.down = self.random.choice([1, 2])
            nodes[self.down].stop()

    def check(self, found: list[tuple[Any, ...]], failed: list[Any]) -> None:
        """Check that rows are there once, but those of ranges that have failed, which are at most."""
        texts = [row[-1] for row in found]
        assert len(set(texts)) == len(texts)
        missing = {row[2]: row for row in self.shop.rows if row[2] not in set(texts)}
        assert set(texts) <= {row[2] for row in self.shop.rows}
        for row in missing.values():
            token = self.shop.table.token(row[0])
            assert any(start < token <= end for (start, end), _ in failed), (row, failed)


@pytest.mark.parametrize(
    "seed", [*range(40), *(pytest.param(each, marks=pytest.mark.long) for each in range(40, 400))]
)
def test_each_row_comes_once_or_its_range_is_told_of(seed: int) -> None:
    trouble = Trouble(seed)
    max_bytes = trouble.options["max_bytes"]

    async def reading(session: Session) -> tuple[list[tuple[Any, ...]], list[Any]]:
        found: list[tuple[Any, ...]] = []
        async with session.scan(NAME, **trouble.options) as scan:
            try:
                async for batch in scan:
                    if trouble.random.random() < 0.1:
                        await trouble.shop.reactor.sleep(trouble.random.random())
                    found += batch.rows(tuple)
            except ScanIncomplete:
                assert scan.progress.fraction < 1
            else:
                assert scan.progress.fraction == 1
                assert scan.checkpoint().rows == len(found)
            return found, scan.failed_ranges

    with trouble.shop.session() as session, watching() as seen:
        found, failed = trouble.shop.call(reading, session)
    trouble.check(found, failed)
    assert all(size <= max_bytes or pages == 1 for size, pages in seen)


@pytest.mark.parametrize(
    "seed", [*range(20), *(pytest.param(each, marks=pytest.mark.long) for each in range(20, 200))]
)
def test_tasks_that_count_as_a_whole_come_once_as_a_whole(seed: int) -> None:
    trouble = Trouble(seed)

    async def reading(session: Session) -> tuple[list[tuple[Any, ...]], list[Any]]:
        parts: dict[Any, list[tuple[Any, ...]]] = {}
        done: list[tuple[Any, ...]] = []
        async with session.scan(NAME, **trouble.options).parts(restart=True) as pieces:
            try:
                async for piece in pieces:
                    if isinstance(piece, Discarded):
                        assert len(parts.pop(piece.task.range)) == piece.rows
                        continue
                    rows = parts.setdefault(piece.task.range, [])
                    if piece.page is not None:
                        rows += [row[: 2 if trouble.options["columns"] else 3] for row in piece.page.rows()]
                    if piece.ended:
                        done += parts.pop(piece.task.range)
                        pieces.acknowledge(piece.task)
            except ScanIncomplete:
                pass
            else:
                assert pieces.progress.fraction == 1
            assert parts == {}
            assert pieces.checkpoint().rows == pieces.progress.rows == len(done)
            return done, pieces.failed_ranges

    with trouble.shop.session() as session:
        trouble.check(*trouble.shop.call(reading, session))
