"""Tables as data frames of Dask: read by two processes, each row once, only the columns that are wanted."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import triocql.dask
import triocql.sync
from tests.bulk.files.test_exports import ROWS, SCHEMA
from triocql.codecs.columns import extras
from triocql.errors import MissingExtraError, OptionError, UsageError
from triocql.testing.server import CqlServer

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture
def server() -> Iterator[CqlServer]:
    with CqlServer(2, num_tokens=3, schema=SCHEMA) as server:
        server.serve_table("shop.events", ROWS)
        yield server
        for session in triocql.dask._sessions.values():
            session.close()
        triocql.dask._sessions.clear()


def rows_of(frame: Any) -> list[tuple[Any, ...]]:
    return sorted(frame.itertuples(index=False, name=None))


@pytest.fixture
def threads() -> Iterator[None]:
    with dask.config.set(scheduler="threads"):
        yield


def test_a_table_in_this_process(server: CqlServer, threads: None) -> None:
    frame = triocql.dask.read_table("shop.events", server.contact_points, tasks=8)
    assert frame.npartitions >= 8
    assert rows_of(frame.compute()) == ROWS
    assert list(frame.columns) == ["id", "n", "Name"]
    assert frame.n.sum().compute() == sum(row[1] for row in ROWS)
    assert len(triocql.dask._sessions) == 1
    assert dict(frame.dtypes) == dict(frame.compute().dtypes)


def test_only_the_columns_that_are_used_are_read(
    server: CqlServer, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    scan = triocql.dask._Table.scan

    def noted(table: Any, columns: Any, tasks: Any = None) -> Any:
        read.append(columns)
        return scan(table, columns, tasks)

    frame = triocql.dask.read_table("shop.events", server.contact_points, tasks=4)
    monkeypatch.setattr(triocql.dask._Table, "scan", noted)
    frame.n.sum().compute()
    assert {tuple(each) for each in read} == {("n",)}
    read.clear()
    assert rows_of(frame[["Name", "id"]].compute()) == sorted((name, id_) for id_, _, name in ROWS)
    assert {frozenset(each) for each in read} == {frozenset(("id", "Name"))}


def test_counting_reads_no_columns(server: CqlServer, threads: None) -> None:
    assert triocql.dask.count("shop.events", server.contact_points, tasks=4) == len(ROWS)
    for limit in (1, 7, len(ROWS), len(ROWS) + 1):
        found = triocql.dask.count("shop.events", server.contact_points, tasks=4, limit=limit)
        assert found == min(limit, len(ROWS))


def test_a_task_is_plain_data_of_some_hundred_bytes(server: CqlServer, threads: None) -> None:
    frame = triocql.dask.read_table("shop.events", server.contact_points, tasks=8)
    graph = dict(frame.optimize().__dask_graph__())
    assert len(graph) == frame.npartitions
    assert max(len(pickle.dumps(task)) for task in graph.values()) < 2_000


def test_what_is_refused(server: CqlServer) -> None:
    with pytest.raises(OptionError, match="nix"):
        triocql.dask.read_table("shop.events", server.contact_points, columns=["nix"])
    with pytest.raises(OptionError, match=r"triocql\.dask\.count"):
        triocql.dask.read_table("shop.events", server.contact_points, columns=[])
    with pytest.raises(OptionError, match=r"limit= is not for data frames.*head\(\)"):
        triocql.dask.read_table("shop.events", server.contact_points, limit=5)
    with pytest.raises(OptionError, match=r'auth.*; write a function that connects.*"module:function"'):
        triocql.dask.read_table("shop.events", server.contact_points, auth=None)
    with pytest.raises(OptionError, match=r"npartitions.*; write tasks="):
        triocql.dask.count("shop.events", server.contact_points, npartitions=5)
    with (
        triocql.sync.connect(server.contact_points) as session,
        pytest.raises(UsageError, match="belongs to its process"),
    ):
        triocql.dask.read_table("shop.events", session)  # type: ignore[arg-type]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Any:
        raise ImportError(f"No module named {package!r}", name="dask")

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"dask is not installed.*triocql\[dask\]"):
        triocql.dask.read_table("shop.events", ["127.0.0.1"])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_two_processes(server: CqlServer) -> None:
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        frame = triocql.dask.read_table("shop.events", server.contact_points, tasks=8)
        assert rows_of(frame.compute()) == ROWS
        assert triocql.dask.count("shop.events", server.contact_points, tasks=8) == len(ROWS)
        opened = client.run(_opened)
        assert len(opened) == 2
        assert max(opened.values()) == 1


def _opened() -> int:
    return len(triocql.dask._sessions)
