"""What nodes tell of a table: how many rows it has, and how large it is. What they tell is checked."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.bulk.table import NAME, QUESTION, Shop, read
from triocql.bulk.estimating import SECONDS
from triocql.errors import ScanIncomplete
from triocql.testing.server import Raw, rows


class Texts:
    """A codec of the user's, for what is no text to others."""

    def encode(self, value: Any) -> Any:
        return int(value)

    def decode(self, value: Any) -> str:
        return str(value)


@pytest.mark.parametrize("limit", [1, 7, 299, 300, 301])
def test_a_limit_holds_for_counting(limit: int) -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:

        async def counting(**options: Any) -> int:
            return await session.scan(NAME, limit=limit, tasks=6, **options).count()

        assert shop.call(counting) == min(limit, 300)
        before = session.scan(NAME, limit=limit).checkpoint()
        assert shop.call(counting, resume=before.reached(before.done, rows=5)) == min(max(limit - 5, 0), 300)


@pytest.mark.parametrize(
    "answer",
    [
        rows({"count": "bigint"}, [[None]]),
        rows({"count": "bigint"}, []),
        rows({"count": "bigint"}, [[1], [2]]),
        rows({"count": "bigint", "other": "int"}, [[1, 2]]),
        rows({"count": "bigint"}, [[-5]]),
        rows({"count": "bigint"}, [[Raw(b"\0")]]),
        rows({"count": "text"}, [["many"]]),
    ],
    ids=["null", "no row", "two rows", "two columns", "negative", "short", "text"],
)
def test_a_node_that_counts_nonsense_is_an_error(answer: Any) -> None:
    shop = Shop(partitions=10, nodes=1, replication=1, num_tokens=1)
    shop.server.when(re.compile(r"SELECT count")).then(answer)
    with shop.session() as session:

        async def counting() -> int:
            return await session.scan(NAME, tasks=1).count()

        with pytest.raises(ScanIncomplete, match="has not answered with a number"):
            shop.call(counting)


def test_codecs_of_the_users_have_no_part_in_counting() -> None:
    shop = Shop(partitions=10)
    with shop.session() as session:
        session.codecs.register("bigint", Texts())

        async def counting() -> int:
            return await session.scan(NAME).count()

        assert shop.call(counting) == 10


@pytest.mark.parametrize("start", [Raw(b"\xff\xfe"), Raw(b"\xff")])
def test_estimates_that_cannot_be_decoded_are_left_out_at_once(
    start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(partitions=10)
    types = dict.fromkeys(("range_start", "range_end"), "text")
    types |= dict.fromkeys(("mean_partition_size", "partitions_count"), "bigint")
    shop.server.when(QUESTION).then(rows(types, [[start, "1", 1, 1]], table="system.size_estimates"))
    with shop.session() as session:
        began = shop.reactor.now()
        assert sorted(shop.call(read, session)) == shop.rows
        assert shop.reactor.now() - began < SECONDS
    assert not caplog.records
