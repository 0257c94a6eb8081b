"""The blocking session: every method, pages, errors, and its end."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.sync.served import INSERT, SELECT, Served, session
from triocql import Batch, Statement, errors
from triocql.protocol.constants import Opcode
from triocql.reactors.calls import Slot

PAGED = "SELECT v FROM paged"


_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_of_others() -> None:
    """Leave out the threads that were there before the test."""
    _others.clear()
    _others.update(threading.enumerate())


def threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("triocql") and thread not in _others
    ]


def test_every_kind_of_statement() -> None:
    with session() as (_, s):
        select, insert = s.prepare(SELECT), s.prepare(INSERT)
        assert s.execute("SELECT a").scalar() == "SELECT a"
        assert s.execute(Statement("SELECT b")).scalar() == "SELECT b"
        assert s.execute(SELECT, [1]).scalar() == 1
        assert s.execute(select, [2]).scalar() == 2
        assert s.execute(select.bind(3)).scalar() == 3
        assert s.execute(select, {"p0": 4}, timeout=5.0).exactly_one().v == 4
        batch = Batch()
        batch.add(insert, [1])
        batch.add("INSERT INTO t (k) VALUES (2)")
        assert s.execute(batch).all() == []


def test_row_types() -> None:
    with session() as (_, s):
        assert s.execute(SELECT, [1]).rows[0]._fields == ("v",)
        assert s.execute(SELECT, [1], row_type=dict).all() == [{"v": 1}]
        assert type(s.execute(SELECT, [1], row_type=tuple)[0]) is tuple


@pytest.mark.parametrize("text", [PAGED, "SELECT v FROM paged WHERE k = ?"])
def test_a_plain_loop_goes_over_all_pages(text: str) -> None:
    with session() as (served, s):
        served.node.pages[text] = [[1, 2], [], [3], [4, 5], []]
        result = s.execute(text, [1] if "?" in text else None)
        assert [row.v for row in result] == [1, 2, 3, 4, 5]
        assert [row.v for row in result] == [1, 2, 3, 4, 5]
        assert result.all() == [(1,), (2,), (3,), (4,), (5,)]
        assert result.rows == [(1,), (2,)]
        assert (len(result), result[1].v, result.has_more_pages) == (2, 2, True)
        following = s.execute(text, [1] if "?" in text else None, paging_state=result.paging_state)
        assert following.rows == []
        assert following.all() == [(3,), (4,), (5,)]


def test_a_page_that_cannot_tell() -> None:
    with session() as (served, s):
        served.node.pages[PAGED] = [[], [1]]
        result = s.execute(PAGED)
        for call in (result.one, result.exactly_one, result.__bool__):
            with pytest.raises(errors.PagesRemain, match=r"use a plain loop or `result.all\(\)`"):
                call()


def test_the_same_paging_state_again_and_again() -> None:
    with session() as (served, s):
        served.node.pages[PAGED] = [[1], [2], [3]]
        result = s.execute(PAGED)

        def first_page_always(asked: Asked) -> bool:
            asked.paging_state = None
            return False

        served.node.script = first_page_always
        with pytest.raises(errors.PagingLoop):
            result.all()


def test_stream() -> None:
    with session() as (served, s):
        served.node.pages[PAGED] = [[1, 2], [], [3], []]
        with s.stream(PAGED) as rows:
            for row in rows:
                assert row.v == 1
                break
            assert [row.v for row in rows] == [2, 3]
        with s.stream(PAGED, row_type=dict, prefetch=0) as dicts:
            assert next(dicts) == {"v": 1}
        assert s.stats().in_flight == 0


def test_stream_misused() -> None:
    with session() as (_, s):
        with pytest.raises(errors.UsageError, match=r"write `with session.stream\(...\) as rows:`"):
            next(s.stream(PAGED))
        with pytest.raises(errors.OptionError, match="prefetch"):
            s.stream(PAGED, prefetch=-1)


def test_a_stream_is_read_within_its_block_and_once() -> None:
    with session() as (served, s):
        served.node.pages[PAGED] = [[1, 2], [3]]
        with s.stream(PAGED) as rows:
            assert len(list(rows)) == 3
            with pytest.raises(errors.UsageError, match="read to its end already"):
                iter(rows)
            with pytest.raises(StopIteration):
                next(rows)
        with s.stream(PAGED) as rows:
            assert next(rows).v == 1
        for read in (rows.__next__, rows.__iter__):
            with pytest.raises(errors.UsageError, match="after its block"):
                read()
        with pytest.raises(errors.UsageError, match="entered once"):
            rows.__enter__()


def test_properties() -> None:
    with session() as (served, s):
        assert s.protocol_version == 5
        assert s.keyspace is None
        s.execute("USE shop")
        assert s.keyspace == "shop"
        assert s.stats() == (1, 0, 0, 0)
        assert repr(s) == f"<triocql.sync.Session 127.0.0.1:{served.port}>"


def test_codecs() -> None:
    """Registered while other threads work with a statement: it counts from then on."""

    class Doubled:
        def encode(self, value: int) -> int:
            return value * 2

        def decode(self, value: int) -> int:
            return value // 2

    with session() as (_, s), ThreadPoolExecutor(4) as pool:
        select = s.prepare(SELECT)
        working = [
            pool.submit(lambda: [s.execute(select, [3]).scalar() for _ in range(200)]) for _ in range(4)
        ]
        s.codecs.register("int", Doubled())
        seen = {number for each in working for number in each.result()}
        assert seen <= {3, 6, 1}  # on its way, a value may be written in one way and read in the other
        assert s.execute(select, [5]).scalar() == 5
        s.codecs.register_column("", "t", "v", Doubled())
        with pytest.raises(errors.OptionError):
            s.codecs.register_udt("shop", "address", 7)  # type: ignore[arg-type]


def test_it_has_every_method_of_the_other_session() -> None:
    internal = {"reactor", "executor", "protected", "call_options"}
    for name in vars(triocql.Session).keys() - internal:
        if not name.startswith("_"):
            assert hasattr(triocql.sync.Session, {"aclose": "close"}.get(name, name)), name


def test_errors_reach_the_caller() -> None:
    with session() as (served, s):
        with pytest.raises(errors.UsageError, match="cannot execute int"):
            s.execute(7)  # type: ignore[call-overload]
        with pytest.raises(errors.BindTypeError):
            s.execute(SELECT, ["no number"])
        served.node.script = lambda asked: asked.error(0x2200, "no such table")
        with pytest.raises(errors.InvalidQuery, match="no such table"):
            s.execute("SELECT a")
        served.node.script = None
        assert s.execute("SELECT a").one()


def test_timeout() -> None:
    with session() as (served, s):
        served.hold()
        with pytest.raises(errors.RequestTimeout) as caught:
            s.execute("SELECT a", timeout=0.05)
        assert (caught.value.phase, caught.value.written) == ("waiting", True)
        assert s.stats().orphans == 1
        served.answer_all()
        assert s.execute("SELECT a").one()
        assert s.stats().orphans == 0


def test_closed() -> None:
    with session() as (served, s):
        served.node.pages[PAGED] = [[1], [2]]
        result = s.execute(PAGED)
        s.close()
        s.close()
        calls: list[Callable[[], Any]] = [
            lambda: s.execute("SELECT a"),
            lambda: s.execute_async("SELECT a"),
            lambda: s.prepare(SELECT),
            lambda: s.execute_concurrent(["SELECT a"]),
            s.stream(PAGED).__enter__,
            s.stream_concurrent(["SELECT a"]).__enter__,
            result.all,
            s.stats,
        ]
        for call in calls:
            with pytest.raises(errors.SessionClosed, match="the session is closed"):
                call()


def test_closing_lets_what_is_in_flight_end() -> None:
    with Served() as served, ThreadPoolExecutor() as pool:
        s = served.connect()
        served.hold()
        future = s.execute_async("SELECT a")
        served.until_held(1)
        closing = pool.submit(s.close)
        served.loop.run(served.until, lambda: s._portal.context.executor.router.ending is not None)
        served.answer_all()
        assert future.result(60).one()
        closing.result(60)


def test_closing_fails_what_is_under_way() -> None:
    with Served() as served, ThreadPoolExecutor() as pool:
        s = served.connect()
        served.hold()
        waiting = [pool.submit(s.execute, "SELECT a") for _ in range(3)]
        served.until_held(3)
        future = s.execute_async("SELECT b")
        s.close(0)
        for each in [*waiting, future]:
            assert isinstance(each.exception(10), errors.SessionClosed)
        served.answer_all()
    assert threads() == []


def test_many_close_at_once() -> None:
    with Served() as served, ThreadPoolExecutor(8) as pool:
        s = served.connect()
        for each in [pool.submit(s.close) for _ in range(8)]:
            each.result()


def test_exception_leaves_the_block_as_it_is() -> None:
    with Served() as served:
        with pytest.raises(KeyError, match="mine"), served.connect():
            raise KeyError("mine")
        assert threads() == ["triocql"]


def test_nobody_listens() -> None:
    with Served() as served:
        pass
    with pytest.raises(errors.ConnectError):
        served.connect()
    with pytest.raises(errors.OptionError, match="unknown option"):
        served.connect(curio=1)
    assert threads() == []


def test_what_is_raised_while_connecting_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(slot: Slot[Any]) -> None:
        raise KeyboardInterrupt

    with Served() as served:
        monkeypatch.setattr(Slot, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            served.connect()
        monkeypatch.undo()
        assert threads() == ["triocql"]


@pytest.fixture
def handler_of_its_own() -> Iterator[None]:
    """The main thread has a signal handler, and leaves all work to the session's."""
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handler_of_its_own")
def test_what_is_raised_while_waiting_abandons_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatience(BaseException):
        """Such as gevent.Timeout."""

    with session() as (served, s):
        served.hold()
        wait = Slot.wait

        def interrupted(slot: Slot[Any]) -> None:
            monkeypatch.setattr(Slot, "wait", wait)
            served.until_held(1)
            raise Impatience

        monkeypatch.setattr(Slot, "wait", interrupted)
        with pytest.raises(Impatience):
            s.execute("SELECT a")
        s.stats()  # gives the loop a turn
        assert s.stats().orphans == 1
        served.answer_all()
        assert s.execute("SELECT a").one()
        assert s.stats() == (1, 0, 0, 0)


def test_two_sessions_at_once() -> None:
    with session() as (_, one), session() as (_, other):
        assert one.execute("SELECT a").scalar() == other.execute("SELECT a").scalar()


def test_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def peek() -> int:
        return variable.get()

    with session() as (_, s):
        variable.set(7)
        assert s._portal.run(peek) == 7


def test_prepared_in_one_thread_used_in_others() -> None:
    with session() as (served, s), ThreadPoolExecutor(8) as pool:
        select = s.prepare(SELECT)
        results = pool.map(lambda number: s.execute(select, [number]).scalar(), range(100))
        assert list(results) == list(range(100))
        assert served.node.counts[Opcode.PREPARE] == 1
