"""Scans on every loop: as batches, as rows, as columns, and counted; and what has a clear outcome all the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from inspect import signature
from typing import Any, NamedTuple

import anyio
import numpy as np
import pyarrow as pa
import pytest
import trio

import triocql
from triocql.bulk.pieces import Piece
from triocql.errors import OptionError, UsageError
from triocql.session.session import Session
from triocql.testing.server import CqlServer

SCHEMA = (
    "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '2'};"
    'CREATE TABLE shop.events (id int, n int, "Name" text, PRIMARY KEY (id, n));'
    "CREATE TABLE shop.empty (id int PRIMARY KEY)"
)
ROWS = [(id_, n, f"{id_}/{n}") for id_ in range(40) for n in range(5)]
OPTIONS = {"connections_local": 1}

Scenario = Callable[[Session], Awaitable[None]]


async def play(scenario: Scenario) -> None:
    async with CqlServer(2, num_tokens=3, schema=SCHEMA) as server:
        server.serve_table("shop.events", ROWS)
        server.serve_table("shop.empty", [])
        async with triocql.connect(server.contact_points, connections_local=1) as session:
            await scenario(session)
            assert session.stats().in_flight == 0


@pytest.fixture(params=["trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    if request.param == "trio":
        return lambda scenario: trio.run(play, scenario)
    return lambda scenario: asyncio.run(play(scenario))


def test_batches(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        found: list[Any] = []
        kept = []
        async with session.scan("shop.events", page_size=7) as scan:
            async for batch in scan:
                assert 0 < len(batch) <= 7
                assert batch.node in session.metadata.nodes
                assert batch.token_range[0] < batch.token_range[1]
                assert [column.name for column in batch.columns] == ["id", "n", "Name"]
                found += batch.rows(tuple)
                kept.append(batch)
        assert sorted(found) == ROWS
        assert sorted(row.n for batch in kept for row in batch) == sorted(row[1] for row in ROWS)
        assert scan.failed_ranges == []

    run(scenario)


def test_rows(run: Callable[[Scenario], None]) -> None:
    class Event(NamedTuple):
        n: int
        Name: str

    async def scenario(session: Session) -> None:
        async with session.scan("events", keyspace="shop", page_size=7) as scan:
            assert sorted([tuple(row) async for row in scan.rows()]) == ROWS
        async with session.scan("shop.events", columns=["n", "Name"]) as scan:
            events = [event async for event in scan.rows(Event)]
        assert sorted(events) == sorted(Event(n, name) for _, n, name in ROWS)
        async with session.scan("shop.events", columns=["Name"]) as scan:
            assert {"Name": "3/4"} in [row async for row in scan.rows(dict)]

    run(scenario)


def test_columns(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        table = await session.scan("shop.events", page_size=7).arrow()
        assert sorted(zip(*table.to_pydict().values(), strict=True)) == ROWS
        frame = await session.scan("shop.events", columns=["Name"]).polars()
        assert sorted(frame["Name"]) == sorted(row[2] for row in ROWS)
        assert len(await session.scan("shop.events").pandas()) == len(ROWS)
        scan = session.scan("shop.events")
        assert len(await scan.arrow()) == len(ROWS)
        with pytest.raises(UsageError, match="this scan was read as a whole already"):
            await scan.arrow()
        empty = await session.scan("shop.empty").arrow()
        assert empty.schema == pa.schema([("id", pa.int32())])

    run(scenario)


def test_columns_within_a_block_are_what_no_loop_has_read(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async with session.scan("shop.events", page_size=7) as scan:
            first = await anext(aiter(scan))
            rest = await scan.arrow()
            assert len(first) + len(rest) == len(ROWS)
            with pytest.raises(UsageError, match="read to its end"):
                await scan.arrow()

    run(scenario)


def test_hidden_columns_are_never_seen(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async with session.scan("shop.events", columns=["n"]) as scan:
            async for batch in scan:
                assert batch.arrow().column_names == ["n"]
                assert batch.polars().columns == ["n"]
                assert list(batch.pandas().columns) == ["n"]
                assert pa.record_batch(batch).schema.names == ["n"]
                assert isinstance(batch.numpy("n"), np.ndarray)
                assert {row._fields for row in batch} == {("n",)}
                with pytest.raises(OptionError, match="the columns are 'n'"):
                    batch.arrow(types={"system.token(id)": "string"})

    run(scenario)


def test_counting(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        assert await session.scan("shop.events").count() == len(ROWS)
        assert await session.scan("shop.empty").count() == 0
        assert await session.scan("shop.events", limit=7).count() == 7
        assert await session.scan("shop.events", limit=999).count() == len(ROWS)

    run(scenario)


def test_parts(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async with session.scan("shop.events").parts(restart=True) as parts:
            assert parts.plan.names == ("id", "n", "Name")
            found = []
            async for piece in parts:
                assert isinstance(piece, Piece)
                found += [] if piece.page is None else piece.page.rows()
                if piece.ended:
                    parts.acknowledge(piece.task)
        assert sorted(found) == ROWS

    run(scenario)


# --- What users may do -------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_before_anything_is_sent(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        for options, message in (
            ({"columns": ["nope"]}, "nope"),
            ({"max_bytes": 0}, "max_bytes"),
            ({"concurrency_per_node": 0}, "concurrency_per_node"),
            ({"tasks": 0}, "tasks"),
            ({"on_error": "ignore"}, "on_error"),
            ({"node": session.metadata.nodes[0]}, "node="),
            ({"paging_state": b"x"}, "paging_state="),
            ({"concurrency": 3}, "unknown option 'concurrency'; write concurrency_per_node="),
            ({"token_range": (0, 5)}, r"write within\(start, end\) of the scan"),
            ({"row_type": dict}, r"write rows\(row_type\) of the scan"),
            ({"column": ["n"]}, "did you mean 'columns'"),
            ({"parameter": [5]}, "did you mean 'parameters'"),
        ):
            with pytest.raises(OptionError, match=message):
                session.scan("shop.events", **options)
        with pytest.raises(UsageError, match="nowhere"):
            session.scan("shop.nowhere")
        with pytest.raises(UsageError, match=r"no name of a table.*session\.stream\(\)"):
            session.scan("SELECT * FROM shop.events")
        assert await session.scan("shop.events", node=None, timestamp=None).count() == len(ROWS)

    run(scenario)


def refusal(session: Session, options: dict[str, Any]) -> str:
    """Return what is said of options; "" if nothing is."""
    try:
        session.scan("shop.events", **options)
    except UsageError as error:
        return str(error)
    return ""


def test_the_options_that_are_listed_are_those_that_are_taken(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        with pytest.raises(OptionError, match="unknown option 'xyz'; the options are: ") as unknown:
            session.scan("shop.events", xyz=5)  # type: ignore[call-arg]
        listed = str(unknown.value).partition("are: ")[2].split(", ")
        own = [
            each.name
            for each in signature(session.scan).parameters.values()
            if each.kind is each.KEYWORD_ONLY
        ]
        assert {*own, "timeout", "consistency", "page_size", "keyspace"} <= {*listed}
        for name in listed:
            said = refusal(session, {name: object()})  # about the value, if anything
            assert not re.search("unknown option|single request", said)

    run(scenario)


def test_values_that_do_not_fit_are_refused_when_the_block_is_entered(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(session: Session) -> None:
        scan = session.scan("shop.events", where="n > ?", parameters=["x"], allow_filtering=True)
        with pytest.raises(UsageError):
            async with scan:
                raise AssertionError

    run(scenario)


def test_outside_of_its_block(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        scan = session.scan("shop.events")
        with pytest.raises(UsageError, match="write `async with"):
            aiter(scan)
        with pytest.raises(UsageError, match="asynchronous"):
            iter(scan)  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="a Scan of triocql is not awaited: write `async with`"):
            await scan  # type: ignore[misc]
        async with scan:
            batch = await anext(aiter(scan))
        assert len(batch.rows()) == len(batch)
        with pytest.raises(UsageError, match="after its block"):
            await anext(scan)
        with pytest.raises(UsageError, match="entered once"):
            async with scan:
                raise AssertionError

    run(scenario)


def test_two_tasks_at_one_scan(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async with session.scan("shop.events", page_size=1) as scan, anyio.create_task_group() as group:
            failed = []

            async def another() -> None:
                try:
                    while True:
                        await anext(scan)
                except (UsageError, StopAsyncIteration) as error:
                    failed.append(error)

            group.start_soon(another)
            group.start_soon(another)
        assert "two tasks" in str(failed[0])

    run(scenario)


def test_what_the_body_raises_ends_all(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async def failing() -> None:
            async with session.scan("shop.events", page_size=1) as scan:
                async for _ in scan:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await failing()
        assert session.stats().in_flight == 0

    run(scenario)


def test_a_scan_within_a_scan(run: Callable[[Scenario], None]) -> None:
    async def scenario(session: Session) -> None:
        async with session.scan("shop.events", page_size=50) as scan:
            async for _ in scan:
                assert await session.scan("shop.events").count() == len(ROWS)

    run(scenario)
