"""What a scan does about pages that it cannot have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bulk.table import NAME, Shop, read
from triocql import Decision, PolicyOptions
from triocql.errors import (
    CheckpointError,
    InvalidQuery,
    ScanIncomplete,
    SchemaChanged,
    SessionClosed,
    Unauthorized,
)
from triocql.session.session import Session
from triocql.testing.server import ErrorCode, error, no_response

TIMEOUT = error(ErrorCode.READ_TIMEOUT, received=0, required=1, data_present=0)


async def read_all_there_is(session: Session, **options: Any) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """Return the rows of a scan, and the ranges that could not be read."""
    found: list[tuple[Any, ...]] = []
    async with session.scan(NAME, **options) as scan:

        async def reading() -> None:
            async for batch in scan:
                found.extend(batch.rows(tuple))

        with pytest.raises(ScanIncomplete) as incomplete:
            await reading()
    assert list(incomplete.value.failed_ranges) == scan.failed_ranges
    return found, scan.failed_ranges


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_page_is_tried_again_on_the_next_replica(times: int) -> None:
    shop = Shop(partitions=50, size=4)
    token = shop.table.token(7)
    shop.table.fail(token, TIMEOUT, times=times)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=3)) == sorted(shop.rows)


def test_a_partition_that_cannot_be_read_costs_nothing_else() -> None:
    shop = Shop(partitions=50, size=4)
    token = shop.table.token(7)
    shop.table.fail(token, TIMEOUT)
    with shop.session() as session:
        found, failed = shop.call(read_all_there_is, session, page_size=3)
    others = [row for row in shop.rows if row[0] != 7]
    assert sorted(row for row in found if row[0] != 7) == sorted(others)
    assert len(set(found)) == len(found)
    assert [tuple(each.range) for each in failed] == [(token - 1, token)]


def test_a_page_in_the_middle_of_a_partition_is_gone_on_with_after_the_rows_that_came() -> None:
    """The pages of the first statement fail for good after some rows of a partition; another statement does not."""
    shop = Shop(partitions=3, size=30)

    def fail() -> None:
        for each in range(3):
            shop.table.fail(shop.table.token(each), TIMEOUT, times=4)

    shop.at_page(4, fail)
    with shop.session() as session:
        found = shop.call(read, session, page_size=4, tasks=1)
    assert sorted(found) == sorted(shop.rows)


@pytest.mark.parametrize("limit", [1, 13, 20, 40, 50, 60])
def test_a_limit_is_kept_though_a_partition_begins_again(limit: int) -> None:
    shop = Shop(partitions=1, size=50)
    shop.at_page(4, lambda: shop.table.fail(shop.table.token(0), TIMEOUT, times=4))
    with shop.session() as session:
        found = shop.call(read, session, page_size=4, tasks=1, limit=limit)
    assert sorted(found) == shop.rows[:limit]


def test_pages_without_rows_are_no_reason_to_go_on_dividing() -> None:
    """Each part begins with a page that has no rows, and goes no further."""
    shop = Shop(partitions=50)
    shop.table.page = lambda request, rows: 0 if request.paging_state is None else rows
    shop.server.when(shop.table.about, match=lambda request: request.paging_state is not None).then(TIMEOUT)
    with shop.session() as session:
        found, failed = shop.call(read_all_there_is, session, tasks=1)
    assert found == []
    assert 0 < len(failed) <= 64
    assert len(shop.pages()) < 100


def test_everything_fails() -> None:
    shop = Shop(partitions=40)
    for id_ in range(40):
        shop.table.fail(shop.table.token(id_), TIMEOUT)
    with shop.session() as session:
        found, failed = shop.call(read_all_there_is, session, tasks=2)
    assert found == []
    for id_ in range(40):
        token = shop.table.token(id_)
        assert any(start < token <= end for (start, end), _ in failed)


def test_the_first_failure_ends_all_if_wanted() -> None:
    shop = Shop(partitions=50)
    shop.table.fail(shop.table.token(7), TIMEOUT)
    with shop.session() as session, pytest.raises(ScanIncomplete):
        shop.call(read, session, on_error="raise")


def test_a_node_that_is_silent_costs_the_timeout_of_a_page() -> None:
    shop = Shop(partitions=50, size=2)
    shop.server.when(shop.table.rule.query, node=1).then(no_response())
    with shop.session() as session:
        found = shop.call(read, session, timeout=1.0)
        assert sorted(found) == sorted(shop.rows)


def test_pages_that_a_policy_has_ignored_are_missing_and_no_end() -> None:
    class Ignoring:
        def decide(self, error: Exception, *, idempotent: bool, retries: int) -> Decision:
            return Decision.IGNORE

    shop = Shop(partitions=50, size=4, policies=PolicyOptions(retry=Ignoring()))
    shop.table.fail(shop.table.token(7), TIMEOUT, times=2)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=3)) == sorted(shop.rows)


def test_a_page_that_is_larger_than_a_guardrail_is_asked_for_again_smaller() -> None:
    shop = Shop(partitions=50, size=4)
    message = "Guardrail page size violated: Query for table events with page size 1000 bigger than 300"
    shop.server.when(shop.table.about, match=lambda request: (request.page_size or 0) > 300).then(
        error(ErrorCode.INVALID, message)
    )
    with shop.session() as session:
        assert sorted(shop.call(read, session, tasks=1)) == sorted(shop.rows)
        assert [request.page_size for request in shop.pages()] == [250]
        with pytest.raises(InvalidQuery):
            shop.call(read, session, page_size=500)


def test_what_cannot_pass_ends_all_at_once() -> None:
    shop = Shop(partitions=50)
    shop.table.fail(shop.table.token(7), error(ErrorCode.UNAUTHORIZED, "no"))
    with shop.session() as session, pytest.raises(Unauthorized):
        shop.call(read, session)


def test_nodes_that_die_between_pages() -> None:
    shop = Shop(partitions=50, size=10)
    shop.at_page(20, shop.server.nodes[1].stop)
    shop.at_page(40, shop.server.nodes[2].stop)
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=3)) == sorted(shop.rows)


def test_the_end_of_the_session_ends_the_scan() -> None:
    shop = Shop(partitions=50, size=4)
    with shop.session() as session:

        async def reading() -> None:
            async with session.scan(NAME, page_size=2) as scan:
                async for _ in scan:
                    await session.aclose()

        with pytest.raises(SessionClosed):
            shop.call(reading)


def test_the_end_of_the_session_ends_a_wait_for_another_try() -> None:
    shop = Shop(partitions=50, size=4)
    for id_ in range(50):
        shop.table.fail(shop.table.token(id_), TIMEOUT)
    with shop.session() as session:
        task = shop.start(read, session)
        shop.reactor.advance(0.05)
        shop.call(session.aclose)
        with pytest.raises(SessionClosed):
            task.result()


def test_a_table_that_is_altered_meanwhile() -> None:
    shop = Shop(partitions=50, size=4)
    shop.at_page(20, lambda: shop.server.schema.execute("ALTER TABLE shop.events DROP v"))
    with shop.session() as session, pytest.raises(SchemaChanged):
        shop.call(read, session, page_size=3)


@pytest.mark.parametrize(
    "change", ["ALTER TABLE shop.events ADD w int", "CREATE TABLE shop.others (id int PRIMARY KEY)"]
)
def test_what_is_altered_meanwhile_and_is_not_read_makes_no_difference(change: str) -> None:
    shop = Shop(partitions=50, size=4)
    shop.at_page(20, lambda: shop.server.announce_schema(*shop.server.schema.execute(change)))
    with shop.session() as session:
        assert sorted(shop.call(read, session, page_size=3)) == sorted(shop.rows)


@pytest.mark.parametrize("reads", ["batches", "count", "parts"])
@pytest.mark.parametrize("page", [1, 20, 67])
def test_a_table_that_is_dropped_and_made_again_meanwhile_is_another_one(page: int, reads: str) -> None:
    """It has the same columns, so that statements that were prepared before read it: the last page of all, too."""
    shop = Shop(partitions=50, size=4)

    def replace() -> None:
        for text in (
            "DROP TABLE shop.events",
            f"CREATE TABLE {NAME} (id int, n int, v text, PRIMARY KEY (id, n))",
        ):
            shop.server.announce_schema(*shop.server.schema.execute(text))

    async def reading(session: Session) -> None:
        scan = session.scan(NAME, page_size=3, tasks=1)
        if reads == "count":
            replace()
            await scan.count()
        elif reads == "parts":
            async with scan.parts() as parts:
                async for _ in parts:
                    pass
        else:
            async with scan:
                async for _ in scan:
                    pass

    with shop.session() as session:
        shop.at_page(page, replace)
        with pytest.raises(
            SchemaChanged, match="events was dropped while it was read, and there is another one"
        ):
            shop.call(reading, session)


def test_a_table_that_others_have_made_anew_is_another_one_to_a_checkpoint() -> None:
    shop = Shop(partitions=50, size=4)
    with shop.session() as session:
        before = session.scan(NAME).checkpoint()
        shop.call(session.execute, f"DROP TABLE {NAME}")
        shop.call(session.execute, f"CREATE TABLE {NAME} (id int, n int, v text, PRIMARY KEY (id, n))")
        with pytest.raises(CheckpointError, match="of the table with the id"):
            session.scan(NAME, resume=before)


def test_counting_divides_what_takes_too_long_as_a_whole() -> None:
    shop = Shop(partitions=50, size=4)
    shop.table.fail(shop.table.token(7), TIMEOUT, times=20)
    with shop.session() as session:

        async def counting() -> int:
            return await session.scan(NAME).count()

        assert shop.call(counting) == 200


def test_counting_says_that_a_range_is_missing() -> None:
    shop = Shop(partitions=50)
    shop.table.fail(shop.table.token(7), TIMEOUT)
    with shop.session() as session, pytest.raises(ScanIncomplete):
        shop.call(lambda: session.scan(NAME).count())


def test_a_node_that_takes_over_gives_its_ranges() -> None:
    """A node joins in the middle, with ranges that were others', and one leaves: each range is asked of whoever has it
    then.
    """
    shop = Shop(partitions=300, size=2, nodes=4, replication=1, num_tokens=8, reconnection_base=0.1)
    joins, leaves = shop.server.nodes[3], shop.server.nodes[2]
    joins.member = False
    joins.refuse()
    changed = False

    def page(request: Any, rows: int) -> int:
        nonlocal changed
        if shop.table.pages == 5 and not changed:
            changed = True
            joins.member = True
            joins.start()
            shop.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", joins)
        return rows

    shop.table.page = page
    with shop.session() as session:

        async def reading() -> list[Any]:
            found: list[Any] = []
            async with session.scan(
                NAME, page_size=5, concurrency_per_node=1, tasks=100, max_bytes=1
            ) as scan:
                async for batch in scan:
                    found += batch.rows(tuple)
                    await shop.reactor.sleep(0.1)
                    if len(found) > 300 and leaves.member:
                        leaves.member = False
                        leaves.stop()
                        shop.server.announce("TOPOLOGY_CHANGE", "REMOVED_NODE", leaves)
            return found

        assert sorted(shop.call(reading)) == sorted(shop.rows)
    asked = [request.node.index for request in shop.pages()]
    assert asked[:5].count(3) == 0
    assert asked.count(3) > 5
    assert 2 not in asked[-20:]


@pytest.mark.parametrize("stops", [False, True])
def test_a_table_of_which_each_node_has_rows_of_its_own_is_read_from_one(stops: bool) -> None:
    shop = Shop(partitions=1, nodes=3)
    shop.server.schema.execute(
        "CREATE KEYSPACE own WITH replication = {'class': 'LocalStrategy'};"
        "CREATE TABLE own.facts (id int PRIMARY KEY)"
    )
    table = shop.server.serve_table("own.facts", [(number,) for number in range(50)])

    def page(request: Any, rows: int) -> int:
        if stops and table.pages == 5:
            request.node.stop()
        return rows

    table.page = page
    with shop.session() as session:

        async def reading() -> int:
            async with session.scan("own.facts", page_size=1) as scan:
                return len([row async for row in scan.rows()])

        if stops:
            with pytest.raises(ScanIncomplete):
                shop.call(reading)
        else:
            assert shop.call(reading) == 50
    assert len({request.node.index for request in table.rule.calls}) == 1
