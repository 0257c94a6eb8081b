"""A session in each process, made on first use and closed at the end of the process."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import triocql.sync
from tests.sync.programs import run
from tests.sync.served import Served
from triocql.errors import UnknownAttribute, UsageError

CHECK_REFUSAL = """
def check_refusal(*looks):
    for look in looks:
        try:
            look()
        except triocql.errors.UsageError as error:
            assert "before the process forked" in str(error)
        else:
            os._exit(2)
"""


def test_threads_of_one_process_share_one() -> None:
    with Served() as served:
        the_session = triocql.sync.per_process(served.connect)
        assert served.node.links == []
        barrier = threading.Barrier(4)
        found: list[Any] = []

        def ask() -> None:
            barrier.wait()
            found.append(the_session())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(map(id, found)) == {id(the_session())}
        assert the_session().execute("SELECT a").scalar() == "SELECT a"
        the_session.close()
        assert not found[0].health().is_open
        assert the_session() is not found[0]
        the_session.close()
        the_session.close()


def test_what_makes_no_session_is_told_of() -> None:
    wrong: Any = lambda: "session"  # noqa: E731
    with pytest.raises(UsageError, match="it has returned 'session'"):
        triocql.sync.per_process(wrong)()
    with pytest.raises(UsageError, match=r"takes a function.*lambda: triocql\.sync\.connect"):
        triocql.sync.per_process("session")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "hint"), [("execute", r"call it .*: the_session\(\)\.execute$"), ("nix", "returns$")]
)
def test_it_is_called_to_have_the_session(name: str, hint: str) -> None:
    with Served() as served:
        the_session = triocql.sync.per_process(served.connect)
        with pytest.raises(UnknownAttribute, match=f"'{name}' is no attribute .*{hint}"):
            getattr(the_session, name)
        assert served.node.links == []


def test_each_child_of_a_fork_has_its_own_and_closes_it() -> None:
    """One by ``os.fork``, and one of `multiprocessing`, which ends without `atexit`."""
    program = """
        import multiprocessing

        closed = triocql.sync.Session.close

        def close(self, timeout=5.0):
            closed(self, timeout)
            print("closed", flush=True)

        triocql.sync.Session.close = close
        the_session = triocql.sync.per_process(connect)
        print(the_session().execute("SELECT 1").scalar(), flush=True)
        child = os.fork()
        if not child:
            print(the_session().execute("SELECT 2").scalar(), flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0

        def work():
            print(the_session().execute("SELECT 3").scalar(), flush=True)

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        assert process.exitcode == 0
        print(the_session().execute("SELECT 4").scalar(), flush=True)
    """
    with Served() as served:
        lines, _ = run(program, served.port)
    assert lines == ["SELECT 1", "SELECT 2", "closed", "SELECT 3", "closed", "SELECT 4", "closed"]


@pytest.mark.parametrize(
    ("fork", "number"),
    [
        pytest.param("os.fork", "lambda: 7", id="the number of an ended process"),
        pytest.param("ctypes.PyDLL(None).fork", "os.getpid", id="a fork that Python does not notice"),
    ],
)
def test_a_process_is_told_from_those_before_it(fork: str, number: str) -> None:
    """As by uWSGI, whose forks run none of Python's hooks; and where the system gives a number again."""
    program = f"""
        import ctypes
        os.getpid = {number}
        the_session = triocql.sync.per_process(connect)
        before = the_session()
        before.execute("SELECT 1")
        child = {fork}()
        if not child:
            assert the_session() is not before
            print(the_session().execute("SELECT 2").scalar(), flush=True)
            check_refusal(before.health, lambda: before.metrics)
            the_session.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert the_session() is before
        print(before.execute("SELECT 3").scalar(), flush=True)
    """
    with Served() as served:
        lines, _ = run(program, served.port, first=CHECK_REFUSAL)
    assert lines == ["SELECT 2", "SELECT 3"]


def test_a_session_that_was_being_opened_when_the_process_forked_is_the_parents() -> None:
    program = """
        children = []

        def forking():
            session = connect()
            if not children:
                children.append(os.fork())
            return session

        the_session = triocql.sync.per_process(forking)
        found = the_session().execute("SELECT 1").scalar()
        if not children[0]:
            print("child", found, flush=True)
            sys.exit(0)
        assert os.waitpid(children[0], 0)[1] == 0
        print("parent", found, flush=True)
    """
    with Served() as served:
        lines, _ = run(program, served.port)
    assert lines == ["child SELECT 1", "parent SELECT 1"]


def test_opening_and_closing_again_and_again_leaves_nothing_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered: list[Any] = []
    monkeypatch.setattr("atexit.register", registered.append)
    with Served() as served:
        the_session = triocql.sync.per_process(served.connect)
        for _ in range(3):
            the_session()
            the_session.close()
    assert registered == [the_session.close]


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_the_child_of_a_fork_tells_nothing_of_a_session_of_an_event_loop(loop: str) -> None:
    program = f"""
        import asyncio, prometheus_client, trio, triocql
        from triocql.observability.prometheus import Collector

        collector = Collector(prometheus_client.CollectorRegistry())

        async def main():
            async with triocql.connect(port=PORT) as session:
                collector.add(session, "shop")
                assert list(collector.collect())
                child = os.fork()
                if not child:
                    check_refusal(session.health, lambda: session.metrics)
                    os._exit(len(list(collector.collect())))
                print(os.waitpid(child, 0)[1], len(list(collector.collect())) > 0, flush=True)

        {"trio.run(main)" if loop == "trio" else "asyncio.run(main())"}
    """
    with Served() as served:
        lines, _ = run(program, served.port, first=f"{CHECK_REFUSAL}\nPORT = {served.port}")
    assert lines == ["0 True"]
