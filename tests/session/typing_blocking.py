"""What a type checker has to make of the blocking session and its futures; checked by `test_typing`, never run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, assert_type

import triocql
from triocql.results.result import Trace
from triocql.results.row import Row
from triocql.sync import Result, ResultFuture, RowStream, Session


@dataclass
class Data:
    id: int


class Named(NamedTuple):
    id: int


class Mapped(TypedDict):
    id: int


def results(session: Session) -> None:
    assert_type(session.execute("SELECT"), Result[Row])
    assert_type(session.execute("SELECT", row_type=None), Result[Row])
    assert_type(session.execute("SELECT", [1], row_type=Row, timeout=1.0), Result[Row])
    assert_type(session.execute("SELECT", row_type=dict), Result[dict[str, Any]])
    assert_type(session.execute("SELECT", row_type=tuple), Result[tuple[Any, ...]])
    assert_type(session.execute("SELECT", row_type=Data), Result[Data])
    assert_type(session.execute("SELECT", row_type=Named), Result[Named])
    assert_type(session.execute("SELECT", row_type=Mapped), Result[Mapped])


def rows(result: Result[Row], typed: Result[Data]) -> None:
    assert_type(result.rows, list[Row])
    assert_type(result[0], Row)
    assert_type(result[1:], list[Row])
    assert_type(result.one(), Row | None)
    assert_type(result.all(), list[Row])
    assert_type(iter(result), Iterator[Row])
    assert_type(result.exactly_one().name, Any)
    assert_type(result.trace(), Trace)
    assert_type(typed.one(), Data | None)
    assert_type(typed.exactly_one().id, int)
    assert_type([row for row in typed], list[Data])  # noqa: C416 - it is the loop that is tested


def streams(session: Session) -> None:
    assert_type(session.stream("SELECT"), RowStream[Row])
    assert_type(session.stream("SELECT", row_type=dict), RowStream[dict[str, Any]])
    assert_type(session.stream("SELECT", row_type=tuple), RowStream[tuple[Any, ...]])
    assert_type(session.stream("SELECT", prefetch=2, row_type=Mapped), RowStream[Mapped])
    with session.stream("SELECT", row_type=Data) as found:
        assert_type(found, RowStream[Data])
        assert_type([row for row in found], list[Data])  # noqa: C416 - it is the loop that is tested


def futures(session: Session) -> None:
    assert_type(session.execute_async("SELECT"), ResultFuture[Row])
    assert_type(session.execute_async("SELECT").result(), Result[Row])
    assert_type(session.execute_async("SELECT", row_type=dict).result(), Result[dict[str, Any]])
    assert_type(session.execute_async("SELECT", row_type=tuple).result(1.0), Result[tuple[Any, ...]])
    assert_type(session.execute_async("SELECT", row_type=Named).result().one(), Named | None)
    future = session.execute_async("SELECT", [1], row_type=Data, timeout=1.0)
    assert_type(future, ResultFuture[Data])
    assert_type(future.add_callback(print), ResultFuture[Data])
    assert_type(future.add_callbacks(print, print).result().exactly_one().id, int)
    assert_type(future.exception(), BaseException | None)


def handed_on(session: Session, pool: ThreadPoolExecutor) -> None:
    assert_type(pool.submit(session.execute, "SELECT").result(), Result[Row])


def connecting(codecs: triocql.Registry) -> None:
    with triocql.sync.connect("10.0.0.1", keyspace="shop", codecs=codecs) as session:
        assert_type(session, Session)
        triocql.sync.connect(codecs=session.codecs)  # type: ignore[arg-type]
        triocql.sync.connect(row_type=Data)  # type: ignore[call-arg]


def rows_are_tuples(result: Result[Row]) -> Result[tuple[Any, ...]]:
    return result
