"""Exports by sessions, on every loop and without one: each row once, whatever ends them, and gone on with."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.parquet
import pytest
import trio

import triocql
import triocql.sync
from tests.bulk.files.reading import csv_rows, jsonl_rows
from tests.codecs.helpers import cql
from triocql.bulk import failures
from triocql.bulk.files import parts
from triocql.bulk.files.directory import MANIFEST
from triocql.errors import CheckpointError, OptionError, ScanIncomplete, UsageError
from triocql.protocol.types import ColumnSpec
from triocql.session.session import Session
from triocql.testing.server import CqlServer, ErrorCode, error

SCHEMA = (
    "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '2'};"
    'CREATE TABLE shop.events (id int, n int, "Name" text, PRIMARY KEY (id, n));'
    "CREATE TABLE shop.empty (id int PRIMARY KEY)"
)
ROWS = [(id_, n, f"{id_}/{n}") for id_ in range(40) for n in range(5)]
COLUMNS = tuple(
    ColumnSpec("shop", "events", name, cql(kind))
    for name, kind in (("id", "int"), ("n", "int"), ("Name", "text"))
)
READ: dict[str, Callable[[bytes], Any]] = {
    "csv": lambda data: csv_rows(COLUMNS, data),
    "jsonl": lambda data: jsonl_rows(COLUMNS, data),
    "parquet": lambda data: _listed(pyarrow.parquet.read_table(io.BytesIO(data))),
    "ipc": lambda data: _listed(pa.ipc.open_file(data).read_all()),
}
SUFFIXES = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "ipc": ".arrow"}

Scenario = Callable[[Session, CqlServer], Awaitable[None]]


def _listed(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.to_pydict().values(), strict=True))


def rows_in(path: Path, form: str = "csv") -> list[tuple[Any, ...]]:
    """Return the rows of all complete files, sorted."""
    files = path.glob(f"part_*{SUFFIXES[form]}")
    return sorted(tuple(row) for file in files for row in READ[form](file.read_bytes()))


def names_in(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def serving() -> CqlServer:
    return CqlServer(2, num_tokens=3, schema=SCHEMA)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(failures, "_DELAYS", (0.001,))


async def play(scenario: Scenario) -> None:
    async with serving() as server:
        server.serve_table("shop.events", ROWS)
        server.serve_table("shop.empty", [])
        async with triocql.connect(server.contact_points, connections_local=1) as session:
            await scenario(session, server)
            assert session.stats().in_flight == 0


@pytest.fixture(params=["trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    if request.param == "trio":
        return lambda scenario: trio.run(play, scenario)
    return lambda scenario: asyncio.run(play(scenario))


@pytest.mark.parametrize("form", READ)
def test_a_table(run: Callable[[Scenario], None], form: Any, tmp_path: Path) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        scan = session.scan("shop.events", page_size=7, tasks=6)
        assert await scan.export(tmp_path / "all", format=form) == len(ROWS)
        assert rows_in(tmp_path / "all", form) == ROWS
        assert await session.scan("shop.empty").export(tmp_path / "none", format=form) == 0
        assert len(names_in(tmp_path / "none")) > 1

    run(scenario)


def test_files_are_written_by_threads_and_not_by_the_loop(
    run: Callable[[Scenario], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    publish = parts.Part.publish

    def noted(part: parts.Part) -> Any:
        threads.add(threading.current_thread())
        return publish(part)

    monkeypatch.setattr(parts.Part, "publish", noted)

    async def scenario(session: Session, server: CqlServer) -> None:
        await session.scan("shop.events").export(tmp_path / "all")
        assert threads
        assert threading.main_thread() not in threads

    run(scenario)


def test_hidden_columns_are_not_exported(run: Callable[[Scenario], None], tmp_path: Path) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        for form in ("parquet", "csv"):
            await session.scan("shop.events", columns=["n"]).export(tmp_path / form, format=form)
        table = pyarrow.parquet.read_table(next((tmp_path / "parquet").glob("part*")))
        assert table.column_names == ["n"]
        assert next((tmp_path / "csv").glob("part*")).read_text().startswith("n\n")

    run(scenario)


def test_an_export_that_is_cancelled_leaves_complete_files_and_is_gone_on_with(
    run: Callable[[Scenario], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, going = threading.Event(), threading.Event()
    publish = parts.Part.publish
    published = []

    def slow(part: parts.Part) -> Any:
        published.append(part.range)
        if len(published) == 3:
            held.set()
            going.wait(30)
        return publish(part)

    monkeypatch.setattr(parts.Part, "publish", slow)

    async def scenario(session: Session, server: CqlServer) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_export, session, tmp_path)
            await anyio.to_thread.run_sync(held.wait, 30)
            group.cancel_scope.cancel()
            threading.Timer(0.05, going.set).start()
        names = names_in(tmp_path)
        assert len(names) == 4
        assert names[0] == MANIFEST
        assert all(name.startswith("part_") for name in names[1:])  # the third one, too, had begun
        assert await session.scan("shop.events", tasks=17).export(tmp_path, format="csv", resume=True) == len(
            ROWS
        )
        assert rows_in(tmp_path) == ROWS

    run(scenario)


async def _export(session: Session, path: Path) -> None:
    await session.scan("shop.events", tasks=8, page_size=3).export(path, format="csv")
    raise AssertionError("it was to be cancelled")


def test_a_range_that_cannot_be_read_is_missing_and_comes_later(
    run: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        table = server.serve_table("shop.events", ROWS)
        table.fail(table.token(7), error(ErrorCode.READ_FAILURE))
        with pytest.raises(ScanIncomplete):
            await session.scan("shop.events", page_size=7, tasks=4).export(tmp_path, format="csv")
        assert rows_in(tmp_path) == [row for row in ROWS if row[0] != 7]
        table.heal()
        rows = await session.scan("shop.events").export(tmp_path, format="csv", resume=True)
        assert rows == len(ROWS)
        assert rows_in(tmp_path) == ROWS
        rows = await session.scan("shop.events").export(tmp_path, format="csv", resume=True)
        assert (rows, rows_in(tmp_path)) == (len(ROWS), ROWS)

    run(scenario)


def test_streams(run: Callable[[Scenario], None], tmp_path: Path) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        for form in ("csv", "jsonl"):
            with io.BytesIO() as file:
                rows = await session.scan("shop.events", page_size=7).export(file, format=form)
                assert rows == len(ROWS)
                assert sorted(map(tuple, READ[form](file.getvalue()))) == ROWS
        with io.BytesIO() as file:
            await session.scan("shop.events", page_size=7, limit=50).export(file, format="ipc")
            assert pa.ipc.open_stream(file.getvalue()).read_all().num_rows == 50

    run(scenario)


def test_what_is_refused_leaves_nothing(run: Callable[[Scenario], None], tmp_path: Path) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        scan = session.scan("shop.events")
        for target, options, match in (
            (tmp_path / "a", {"format": "orc"}, "format is 'orc'"),
            (io.BytesIO(), {"format": "parquet"}, "parquet is written to a directory only"),
            (io.BytesIO(), {"format": "csv", "resume": True}, "cannot be resumed"),
            (io.StringIO(), {"format": "csv"}, "open for bytes"),
            (7, {}, "not int"),
        ):
            with pytest.raises(OptionError, match=match):
                await scan.export(target, **options)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="limit= is for streams"):
            await session.scan("shop.events", limit=5).export(tmp_path / "a")
        with pytest.raises(OptionError, match="nothing to be written"):
            await session.scan("shop.events", columns=[]).export(tmp_path / "a")
        await session.scan("shop.empty").export(tmp_path / "b", format="csv")
        with pytest.raises(
            CheckpointError, match=r"of the table shop.empty, and the scan of the table shop.events"
        ):
            await scan.export(tmp_path / "b", format="csv", resume=True)
        with pytest.raises(UsageError, match="has an export already"):
            await session.scan("shop.empty").export(tmp_path / "b", format="csv")
        assert not (tmp_path / "a").exists()

    run(scenario)


def test_a_disk_that_is_full_ends_it(
    run: Callable[[Scenario], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.Part, "publish", _no_space)

    async def scenario(session: Session, server: CqlServer) -> None:
        with pytest.raises(OSError, match="No space left"):
            await session.scan("shop.events", page_size=7).export(tmp_path, format="csv")
        assert names_in(tmp_path) == [MANIFEST]

    run(scenario)


def _no_space(part: parts.Part) -> Any:
    raise OSError(28, "No space left on device", "part")


@pytest.mark.parametrize("form", READ)
def test_programs_that_block(form: Any, tmp_path: Path) -> None:
    with serving() as server:
        table = server.serve_table("shop.events", ROWS)
        with triocql.sync.connect(server.contact_points, connections_local=1) as session:
            table.fail(table.token(7), error(ErrorCode.READ_FAILURE))
            with pytest.raises(ScanIncomplete):
                session.scan("shop.events", page_size=7, tasks=4).export(tmp_path, format=form)
            assert rows_in(tmp_path, form) == [row for row in ROWS if row[0] != 7]
            table.heal()
            rows = session.scan("shop.events", page_size=7).export(tmp_path, format=form, resume=True)
            assert rows == len(ROWS)
            assert rows_in(tmp_path, form) == ROWS
            with io.BytesIO() as file:
                session.scan("shop.events").export(file, format="csv")
                assert sorted(map(tuple, csv_rows(COLUMNS, file.getvalue()))) == ROWS


def test_the_export_of_a_session_that_is_closed_ends(run: Callable[[Scenario], None], tmp_path: Path) -> None:
    async def scenario(session: Session, server: CqlServer) -> None:
        async with triocql.connect(server.contact_points, connections_local=1) as other:
            scan = other.scan("shop.events")
        with pytest.raises(UsageError, match="closed"):
            await scan.export(tmp_path / "all", format="csv")

    run(scenario)


def test_a_session_that_is_closed_while_files_are_written_leaves_none_open(
    run: Callable[[Scenario], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, going = threading.Event(), threading.Event()
    write = parts.Part.write

    def slow(part: parts.Part, page: Any) -> None:
        going.set()
        held.wait(1)
        write(part, page)

    async def scenario(session: Session, server: CqlServer) -> None:
        monkeypatch.setattr(parts.Part, "write", slow)

        async def close(other: Session) -> None:
            await anyio.to_thread.run_sync(going.wait, 10)
            await other.aclose()
            held.set()

        async with (
            triocql.connect(server.contact_points, connections_local=1) as other,
            anyio.create_task_group() as group,
        ):
            group.start_soon(close, other)
            with pytest.raises(UsageError, match="closed"):
                await other.scan("shop.events", page_size=7, tasks=6).export(tmp_path / "all", format="csv")
        assert not [name for name in names_in(tmp_path / "all") if name.endswith(".part")]
        monkeypatch.setattr(parts.Part, "write", write)
        await session.scan("shop.events").export(tmp_path / "all", format="csv", resume=True)
        assert rows_in(tmp_path / "all") == ROWS

    run(scenario)
