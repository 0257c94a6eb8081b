"""Forks, exits, Ctrl-C and forgotten sessions, each in a process of its own."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import trustme

import triocql
from tests.reactors.certificates import server_context
from tests.sync.programs import run, start
from tests.sync.served import Served
from triocql.errors import UsageError
from triocql.testing.server import CqlServer


def test_fork() -> None:
    """In the child an error at once, from every call; in the parent nothing changes."""
    program = """
        from triocql.observability.sessions import Sessions

        session = connect()
        told = Sessions()
        told.add(session, "shop")
        result = session.execute("SELECT a")
        future = session.execute_async("SELECT a")
        future.result()
        child = os.fork()
        if not child:
            for call in (
                lambda: session.execute("SELECT b"),
                lambda: session.execute_async("SELECT b"),
                lambda: session.execute_concurrent(["SELECT b"]),
                lambda: session.stream("SELECT b").__enter__(),
                session.stats,
                session.health,
                lambda: session.metrics,
                lambda: session.events().__enter__(),
                lambda: triocql.Session(session._portal.context).events()._reader.open(),
            ):
                try:
                    call()
                except triocql.errors.UsageError as error:
                    assert "before the process forked" in str(error), error
                else:
                    os._exit(2)
            assert told.open() == []
            session.close()
            with connect() as own:
                assert own.execute("SELECT own").scalar() == "SELECT own"
            print("child", result.scalar(), future.result().scalar(), flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for number in range(100):
            assert session.execute(f"SELECT {number}").scalar() == f"SELECT {number}"
        assert [each.name for each in told.open()] == ["shop"]
        print("parent", session.stats()[:2])
        session.close()
    """
    with Served() as served:
        out, err = run(program, served.port, "-X", "dev", "-W", "error")
    assert (out, err) == (["child SELECT a SELECT a", "parent (1, 0)"], "")


def test_fork_in_the_middle_of_everything(tmp_path: Path) -> None:
    """Threads that go on executing, over TLS: no child says anything in the parent's name, not even goodbye."""
    program = """
        import ssl, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, which this is about
        tls = ssl.create_default_context(cafile=CA)
        with triocql.sync.connect(port=PORT, ssl_context=tls) as session:
            select = session.prepare("SELECT k FROM shop.t WHERE k = ?")
            forked, wrong = threading.Event(), []
            def work(base):
                number = base
                while not forked.is_set() or number < base + 50:
                    if session.execute(select, [number]).scalar() != number:
                        wrong.append(number)
                    number += 1
            threads = [threading.Thread(target=work, args=(1000 * each,)) for each in range(4)]
            for thread in threads:
                thread.start()
            for how in (sys.exit, os._exit) * 5:
                child = os.fork()
                if not child:
                    try:
                        session.execute(select, [-1])
                    except triocql.errors.UsageError:
                        how(0)
                    how(1)
                assert os.waitpid(child, 0)[1] == 0
            forked.set()
            for thread in threads:
                thread.join()
            print(wrong, session.stats()[1:], flush=True)
    """
    ca = trustme.CA()
    authority = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(authority))
    schema = (
        "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; "
        "CREATE TABLE shop.t (k int PRIMARY KEY)"
    )
    with CqlServer(schema=schema, ssl_context=server_context(ca, "127.0.0.1"), unprimed="echo") as server:
        port = int(server.contact_points[0].rpartition(":")[2])
        out, err = run(program, port, first=f"CA, PORT = {str(authority)!r}, {port}")
        connections = {execution.connection for execution in server.log}
    assert (out, err) == (["[] (0, 0, 0)"], "")
    assert len(connections) == 1  # none was lost and replaced


def test_fork_closes_the_childs_copies() -> None:
    """The node sees the parent's end although the child lives on."""
    program = """
        session = connect()
        reading, writing = os.pipe()
        if not os.fork():
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        session.close()
        print("closed", flush=True)
        sys.stdin.read()
    """
    with Served() as served, start(program, served.port) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        served.loop.run(served.until, lambda: all(link.lost for link in served.node.links))
        process.communicate("", timeout=120)


@pytest.mark.parametrize("options", [(), ("-X", "dev", "-W", "error")])
def test_exit_with_an_open_session(options: tuple[str, ...]) -> None:
    program = """
        import contextlib, time
        session = connect()
        def wait():
            with contextlib.suppress(triocql.errors.SessionClosed):
                session.execute("SELECT held")
        threading.Thread(target=wait, daemon=True).start()
        session.execute_async("SELECT held")
        print(session.execute("INSERT").rows, time.time(), flush=True)
    """
    with Served() as served:
        served.hold()
        (line,), err = run(program, served.port, *options)
        rows, at = line.split()
        assert (rows, err) == ("[]", "")
        assert time.time() - float(at) < 8, "without waiting for the answers, or for the timeout of requests"


@pytest.mark.parametrize("opened", ["before", "then"])
def test_what_is_done_at_the_very_end(opened: str) -> None:
    """A session that was opened before can be used. Where no thread starts any more, as in Python 3.12, it is said."""
    program = """
        import atexit
        def last():
            try:
                with BEFORE or connect() as session:
                    print(session.execute("SELECT a").scalar())
            except triocql.errors.UsageError as error:
                print(error)
        BEFORE = connect() if OPENED == "before" else None
        atexit.register(last)
    """
    with Served() as served:
        out, err = run(program.replace("OPENED", repr(opened)), served.port, "-X", "dev", "-W", "error")
    refused = len(out) == 1 and "needs a thread" in out[0] and "opened before" in out[0]
    assert out == ["SELECT a"] or (refused and opened == "then" and sys.version_info >= (3, 12))
    assert err == ""


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(UsageError, match=r"needs a thread, and can't start new thread\. At the end"):
        triocql.sync.connect("127.0.0.1")


def test_left_to_the_garbage_collector() -> None:
    program = """
        import gc, warnings
        warnings.simplefilter("always")
        session = connect()
        result = session.execute("SELECT a")
        del session
        assert gc.collect() >= 0
        assert any(thread.name == "triocql" for thread in threading.enumerate())  # the result may need it
        del result
        gc.collect()
        for thread in threading.enumerate():
            if thread.name == "triocql":
                thread.join(60)
        print(threading.active_count(), len(os.listdir("/proc/self/fd")))
    """
    with Served() as served:
        out, err = run(program, served.port)
        assert served.node.links[0].lost
    assert out == ["1 4"]
    assert err.count("unclosed") == 1
    assert f"ResourceWarning: unclosed <triocql.sync.Session 127.0.0.1:{served.port}>" in err


def test_ctrl_c() -> None:
    """The call is abandoned and KeyboardInterrupt raised; the session goes on."""
    program = """
        with connect() as session:
            for begin in (
                lambda: lambda: session.execute("SELECT held"),
                lambda: lambda: session.execute_concurrent(["SELECT held"] * 10, 3),
                lambda: session.execute_async("SELECT held").result,
            ):
                call = begin()
                try:
                    print("waiting", flush=True)
                    call()
                except KeyboardInterrupt:
                    assert session.execute("INSERT").rows == []
                    print("interrupted", session.stats()[1:], flush=True)
            session.close(0)
    """
    with Served() as served:
        served.hold()
        with start(program, served.port) as process:
            assert process.stdout is not None
            seen = []
            for held in (1, 4, 5):
                assert process.stdout.readline() == "waiting\n"
                served.until_held(held)
                process.send_signal(signal.SIGINT)
                seen.append(process.stdout.readline())
            _, err = process.communicate(timeout=120)
    assert seen == ["interrupted (0, 0, 1)\n", "interrupted (0, 0, 4)\n", "interrupted (1, 0, 4)\n"]
    assert (process.returncode, err) == (0, "")


def test_ctrl_c_while_connecting() -> None:
    program = """
        try:
            connect()
        except KeyboardInterrupt:
            print("interrupted", threading.active_count())
    """
    with Served() as served:
        served.node.script = lambda asked: True
        with start(program, served.port) as process:
            served.loop.run(served.until, lambda: bool(served.node.counts))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    assert (out, err, process.returncode) == ("interrupted 1\n", "", 0)


def test_no_other_loop_is_imported() -> None:
    with Served() as served:
        out, _ = run('print(*{"trio", "asyncio", "anyio", "ssl"} & sys.modules.keys())', served.port)
    assert out == [""]
