"""What a scan asks for, and what it gives, while all goes well."""

from __future__ import annotations

import gc
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.bulk.table import NAME, QUESTION, Shop, estimates, read, watching
from triocql.bulk.reading import Reading
from triocql.bulk.sizes import LEAST, PageSizes
from triocql.metadata.node import Node
from triocql.metadata.partitioners import MIN_LONG
from triocql.observability.tracker import Tracked
from triocql.testing.server import ErrorCode, Gate, ServerNode, as_usual, delay, error, no_response


def test_each_row_comes_once() -> None:
    shop = Shop(partitions=300, size=3)
    with shop.session() as session:
        assert sorted(shop.call(read, session)) == sorted(shop.rows)


def test_a_wide_partition_takes_several_pages() -> None:
    shop = Shop(partitions=5, size=100)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=7)) == sorted(shop.rows)


def test_rows_are_counted_by_the_nodes() -> None:
    shop = Shop(partitions=300)

    with shop.session() as session:

        async def counting() -> int:
            return await session.scan(NAME).count()

        assert shop.call(counting) == 300


# --- In bounded memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("max_bytes", [1, 1_000, 10_000, 2**26])
def test_pages_that_are_here_or_under_way_have_so_many_bytes_at_most(max_bytes: int, ordered: bool) -> None:
    shop = Shop(partitions=200, size=lambda id_: id_ % 7)
    with shop.session() as session, watching() as seen:
        found = shop.call(read, session, page_size=10, max_bytes=max_bytes, ordered=ordered)
    assert sorted(found) == sorted(shop.rows)
    # A page has about 250 bytes; what the first ones have is not known before.
    most = max(size for size, pages in seen if pages > 1) if max_bytes > 2**20 else 0
    assert all(size <= max_bytes or pages == 1 for size, pages in seen)
    assert max_bytes < 2**20 or most > 2**21


def test_who_stops_reading_stops_the_requests() -> None:
    shop = Shop(partitions=200, size=5)
    with shop.session() as session:

        async def reading() -> None:
            async with session.scan(NAME, page_size=2, concurrency_per_node=1) as scan:
                await anext(aiter(scan))
                await shop.reactor.sleep(1)
                before = len(shop.pages())
                await shop.reactor.sleep(1000)
                assert len(shop.pages()) == before <= 4

        shop.call(reading)


def test_the_next_page_of_a_range_is_asked_for_when_one_is_handed_over() -> None:
    """Of the same node, and no further ahead."""
    shop = Shop(partitions=60)
    with shop.session() as session:

        async def reading() -> None:
            async with session.scan(NAME, page_size=10, tasks=1) as scan:
                for taken in range(1, 6):
                    await anext(aiter(scan))
                    await shop.reactor.sleep(1)
                    assert len(shop.pages()) == taken + 1

        shop.call(reading)
    assert len({request.node for request in shop.pages()}) == 1


def test_no_node_is_asked_for_more_pages_at_once_than_it_may() -> None:
    shop = Shop(partitions=300, size=3)
    gate = Gate()
    shop.server.when(shop.table.about, times=100).then(gate, as_usual())
    with shop.session() as session:
        task = shop.start(read, session, page_size=2, concurrency_per_node=2)
        asked = Counter(request.node.index for request in gate.waiting)
        assert asked == {0: 2, 1: 2, 2: 2}
        while not task.done:
            gate.open()
            shop.reactor.settle()
        assert sorted(task.result()) == sorted(shop.rows)


# --- By which nodes ----------------------------------------------------------------------------------------------


def test_each_range_comes_from_one_of_its_replicas_and_all_nodes_do_their_part() -> None:
    shop = Shop(partitions=1000, replication=2, num_tokens=8)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=20)) == sorted(shop.rows)
        replica_map = session.metadata.replica_map("shop")
        assert replica_map is not None
        nodes = {node.address: node for node in session.metadata.nodes}
        for request in shop.pages():
            end = request.decoded_values[1]
            assert nodes[request.node.address] in replica_map.find(end)
    load = Counter(request.node.index for request in shop.pages())
    assert max(load.values()) <= 1.3 * sum(load.values()) / 3


def test_no_statement_has_a_range_that_is_none() -> None:
    shop = Shop(partitions=100, num_tokens=16)
    with shop.session() as session:
        shop.call(read, session)
    for request in shop.pages():
        start, end = request.decoded_values
        assert -(2**63) <= start < end


def test_a_small_table_is_read_at_once() -> None:
    shop = Shop(partitions=10)
    shop.server.edit("system.size_estimates", estimates(10, 100))
    with shop.session() as session:
        assert sorted(shop.call(read, session)) == sorted(shop.rows)
    assert len(shop.pages()) == 1


def test_a_large_table_is_read_in_parts() -> None:
    shop = Shop(partitions=10)
    shop.server.edit("system.size_estimates", estimates(2**20, 2**8))
    with shop.session() as session:
        assert sorted(shop.call(read, session)) == sorted(shop.rows)
    assert 48 <= len(shop.pages()) <= 60


def test_estimates_are_waited_for_two_seconds_only() -> None:
    shop = Shop(partitions=10)
    shop.server.when(QUESTION, node=1).then(no_response())
    with shop.session() as session:
        began = shop.reactor.now()
        assert sorted(shop.call(read, session)) == sorted(shop.rows)
        assert 2 <= shop.reactor.now() - began < 2.5


class Started:
    """A tracker that keeps what it is told of."""

    def __init__(self) -> None:
        self.requests: list[Tracked] = []

    def start(self, request: Tracked) -> None:
        self.requests.append(request)

    def attempt(self, token: None, node: Node, seconds: float, error: BaseException | None) -> None:
        """Do nothing."""

    def retry(self, token: None, error: Exception) -> None:
        """Do nothing."""

    def finish(self, token: None, error: BaseException | None) -> None:
        """Do nothing."""


def test_the_question_for_estimates_is_no_request_of_the_users() -> None:
    tracker = Started()
    shop = Shop(partitions=10, tracker=tracker)
    shop.server.edit("system.size_estimates", estimates(10, 100))
    with shop.session() as session:
        assert sorted(shop.call(read, session)) == sorted(shop.rows)
        kinds = {(each.keyspace, each.operation): each.durations.count for each in session.metrics.requests}
    assert kinds == {("", "PREPARE"): 1, ("shop", "SELECT"): 1}
    own = [each.statement for each in tracker.requests if each.is_internal]
    assert sum("size_estimates" in statement for statement in own) == 3
    assert not [
        each for each in tracker.requests if not each.is_internal and "size_estimates" in each.statement
    ]


# --- Pages -------------------------------------------------------------------------------------------------------


def test_pages_grow_to_a_mebibyte_and_no_further() -> None:
    sizes = PageSizes(None)
    for _ in range(10):
        sizes.came(sizes.rows, sizes.rows, sizes.rows * 139)
    assert sizes.rows == 8_000
    assert sizes.expected == pytest.approx(8_000 * 139, rel=0.01)
    sizes.came(8_000, 8_000, 8_000 * 1_000)
    assert sizes.rows == 4_000
    assert sizes.was_too_large(4_000)
    assert sizes.rows == 2_000
    for _ in range(10):
        sizes.was_too_large(sizes.rows)
    assert sizes.rows == LEAST
    assert not sizes.was_too_large(LEAST)
    assert sizes.was_too_large(400, always=True)
    for _ in range(10):
        sizes.came(sizes.rows, sizes.rows, sizes.rows)
    assert sizes.rows == 200


def test_pages_grow_fast_until_one_is_too_large() -> None:
    sizes = PageSizes(None)
    seen = [sizes.rows]
    while seen[-1] != 16_000:
        sizes.came(sizes.rows, sizes.rows, sizes.rows * 95)
        seen.append(sizes.rows)
    assert seen == [1_000, 4_000, 16_000]
    sizes.was_too_large(16_000)
    sizes.was_too_large(8_000)
    sizes.came(4_000, 4_000, 4_000 * 20)
    assert sizes.rows == 8_000


def test_a_page_size_that_is_given_stays() -> None:
    sizes = PageSizes(50)
    for _ in range(10):
        sizes.came(50, 50, 100)
        assert not sizes.was_too_large(50)
    assert sizes.rows == 50


def test_empty_pages_end_no_range() -> None:
    shop = Shop(partitions=30, size=5)
    numbers = count()
    shop.table.page = lambda request, rows: next(numbers) % 3
    with shop.session() as session:
        assert sorted(shop.call(read, session)) == sorted(shop.rows)


# --- What is wanted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 99, 100, 499, 500, 501])
def test_a_limit_is_kept_exactly(limit: int, ordered: bool) -> None:
    shop = Shop(partitions=100, size=5)
    with shop.session() as session:
        found = shop.call(read, session, limit=limit, page_size=7, ordered=ordered)
    assert len(found) == len(set(found)) == min(limit, 500)
    assert set(found) <= set(shop.rows)
    assert all(request.decoded_values[2] <= limit for request in shop.pages())


def test_in_order() -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:
        found = shop.call(read, session, page_size=4, ordered=True)
    assert found == sorted(shop.rows, key=lambda row: (shop.table.token(row[0]), row[1]))


def test_in_order_takes_little_longer_than_in_any() -> None:
    """Though only some pages of all have room."""
    seconds = []
    for ordered in (False, True):
        shop = Shop(partitions=100, size=8)
        with shop.session() as session:
            shop.server.when(shop.table.about).then(delay(0.01), as_usual())
            began = shop.reactor.now()
            shop.call(read, session, page_size=4, ordered=ordered, tasks=80, max_bytes=20_000)
            seconds.append(shop.reactor.now() - began)
    assert seconds[1] < 1.5 * seconds[0] < 0.01 * 200 / 5


def test_in_order_what_follows_is_read_ahead() -> None:
    """While the first range is waited for, those that follow are read to their ends, as far as there is room."""
    shop = Shop(partitions=300, size=3)
    shop.server.edit("system.size_estimates", estimates(2**20, 64))
    gate = Gate()
    shop.server.when(
        shop.table.about, times=1, match=lambda request: request.decoded_values[0] == MIN_LONG
    ).then(gate, as_usual())
    with shop.session() as session:
        task = shop.start(read, session, page_size=4, ordered=True)
        waiting = len(shop.pages())
        assert waiting > 100, "small ranges, and many of them, wait for the first one"
        gate.open()
        shop.reactor.settle()
        found = task.result()
    assert found == sorted(shop.rows, key=lambda row: (shop.table.token(row[0]), row[1]))


@pytest.mark.parametrize(
    ("size", "max_bytes", "tasks"),
    [(2**20, 2**26, 2_304), (2**20, 2**30, 144), (2**10, 2**26, 6), (2**20, 2**20, 3_072)],
)
def test_in_order_ranges_are_such_that_all_that_is_asked_for_at_once_has_room(
    size: int, max_bytes: int, tasks: int
) -> None:
    shop = Shop(partitions=10)
    shop.server.edit("system.size_estimates", estimates(size, 512))
    with shop.session() as session:
        ranges = shop.call(lambda: session.scan(NAME, ordered=True, max_bytes=max_bytes).ranges())
    assert len(ranges) == pytest.approx(tasks, rel=0.02, abs=2)


@pytest.mark.parametrize("ordered", [False, True])
def test_nothing_is_kept_of_ranges_that_were_read(ordered: bool) -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:

        async def kept() -> int:
            async with session.scan(NAME, page_size=4, ordered=ordered) as scan:
                async for _ in scan:
                    pass
                return sum(isinstance(each, Reading) for each in gc.get_objects())

        assert shop.call(kept) == 0


def test_conditions() -> None:
    shop = Shop(partitions=50, size=4)
    with shop.session() as session:
        found = shop.call(read, session, where="n > ?", parameters=[2], allow_filtering=True)
    assert sorted(found) == [row for row in shop.rows if row[1] > 2]


# --- How far -----------------------------------------------------------------------------------------------------


def test_progress_never_falls_and_is_whole_at_the_end_only() -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:

        async def reading() -> None:
            fractions = [0.0]
            async with session.scan(NAME, page_size=10) as scan:
                async for _ in scan:
                    fractions.append(scan.progress.fraction)
            assert fractions == sorted(fractions)
            assert fractions[-1] < 1 == scan.progress.fraction
            assert scan.progress.rows == 300

        shop.call(reading)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_what_was_acknowledged_is_left_out_when_it_is_resumed(after: int) -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:

        async def reading() -> None:
            first: list[Any] = []
            async with session.scan(NAME, page_size=5) as scan:
                async for batch in scan:
                    if after <= len(first) // 5:
                        break
                    first += [(batch.token_range, row) for row in batch.rows(tuple)]
            checkpoint = scan.checkpoint()
            done = [row for part, row in first if part in checkpoint.done]
            assert checkpoint.rows == len(done)
            rest: list[Any] = []
            async with session.scan(NAME, resume=checkpoint, tasks=50) as scan:
                async for batch in scan:
                    rest += batch.rows(tuple)
            assert sorted(done + rest) == sorted(shop.rows)
            assert scan.progress.fraction == 1

        shop.call(reading)


@pytest.mark.parametrize("rows", [99, 100, 101])
def test_a_limit_counts_what_was_read_before(rows: int) -> None:
    shop = Shop(partitions=100, size=3)
    with shop.session() as session:
        before = session.scan(NAME, limit=100).checkpoint()
        found = shop.call(read, session, limit=100, resume=before.reached(before.done, rows=rows))
    assert len(found) == max(100 - rows, 0)


# --- The empty key, which a view may have ------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("columns", [None, ["n"]])
@pytest.mark.parametrize(("page_size", "tasks"), [(2, 1), (3, 7), (100, 1)])
def test_rows_of_the_empty_key_come_once(
    columns: list[str] | None, page_size: int, tasks: int, ordered: bool
) -> None:
    """Its token is the least number, which nodes give with the range that begins there."""
    shop = views_shop()
    with shop.session() as session:
        options = {"columns": columns, "page_size": page_size, "tasks": tasks, "ordered": ordered}
        found = shop.call(read, session, **options)
        assert sorted(row[-1] for row in found) == list(range(40))
        assert shop.call(lambda: session.scan(NAME).count()) == 40


@pytest.mark.parametrize("times", [4, 8])
def test_rows_of_the_empty_key_come_once_though_what_follows_them_cannot_be_read(times: int) -> None:
    """As with Cassandra, which fails with a page that begins within such a partition."""
    shop = views_shop()
    shop.at_page(
        2, lambda: shop.server.when(shop.table.about, times=times).then(error(ErrorCode.SERVER_ERROR))
    )
    with shop.session() as session:
        found = shop.call(read, session, page_size=5, tasks=1)
    assert sorted(row[-1] for row in found) == list(range(40))


def views_shop() -> Shop:
    """Return nodes with a table in place of a view: of 40 rows, ten have the empty key."""
    shop = Shop(partitions=0)
    shop.server.schema.execute(f"DROP TABLE {NAME}")
    shop.server.schema.execute(f"CREATE TABLE {NAME} (v text, n int, PRIMARY KEY (v, n))")
    shop.table.set([(str(n % 4 or ""), n) for n in range(40)])
    return shop


def test_where_tokens_are_no_numbers_one_page_is_read_after_the_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop(partitions=30, size=4)
    shop.server.partitioner = "org.apache.cassandra.dht.ByteOrderedPartitioner"

    def in_hexadecimal(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "tokens": [f"{int(token) % 2**64:016x}" for token in row["tokens"]]} for row in rows]

    for name in ("local", "peers_v2"):
        shop.server.edit(f"system.{name}", in_hexadecimal)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=7, tasks=20)) == sorted(shop.rows)
        assert shop.call(lambda: session.scan(NAME).count()) == len(shop.rows)
    assert "is read page after page: its partitioner has no ranges" in caplog.text
    assert {request.text for request in shop.pages()} == {
        "SELECT id, n, v FROM shop.events",
        "SELECT count(*) FROM shop.events",
    }
