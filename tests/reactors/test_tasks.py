"""Waiters, timers, background tasks, threads, and what is left after the end."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import anyio
import pytest

from triocql.reactors.base import nothing

from .conftest import Run
from .peers import Peer, RecordingLink, black_hole, passed, ticks

# --- Waiters ------------------------------------------------------------------------------------------------------


def test_waiter_resolved_before_and_after(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        early, late = reactor.waiter(nothing), reactor.waiter(nothing)
        early.resolve("early")
        reactor.call_at(reactor.now() + 0.01, lambda: late.resolve("late"))
        assert await early.wait() == "early"
        assert await late.wait() == "late"

    run_any(scenario)


def test_waiter_rejected(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        early, late = reactor.waiter(nothing), reactor.waiter(nothing)
        early.reject(KeyError("early"))
        reactor.call_at(reactor.now() + 0.01, lambda: late.reject(KeyError("late")))
        with pytest.raises(KeyError, match="early"):
            await early.wait()
        with pytest.raises(KeyError, match="late"):
            await late.wait()

    run_any(scenario)


def test_first_outcome_counts(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        waiter = reactor.waiter(nothing)

        def twice() -> None:
            waiter.resolve(1)
            waiter.resolve(2)
            waiter.reject(KeyError())

        reactor.call_at(reactor.now(), twice)
        assert await waiter.wait() == 1

    run_any(scenario)


def test_rejected_and_never_awaited(run_any: Run[None], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(reactor: Any) -> None:
        reactor.waiter(nothing).reject(KeyError())

    run_any(scenario)
    assert caplog.records == []


def test_wait_is_a_checkpoint(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        order: list[int] = []

        async def other() -> None:
            order.append(1)

        waiter = reactor.waiter(nothing)
        waiter.resolve(None)
        reactor.spawn(other)
        await waiter.wait()
        await reactor.sleep(0)
        order.append(2)
        assert order == [1, 2]

    run_any(scenario)


def test_cancelled_while_waiting(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        events: list[str] = []
        waiter = reactor.waiter(lambda: events.append("on_cancel"))

        async def consumer() -> None:
            try:
                await waiter.wait()
            except BaseException:
                events.append("raised")
                raise

        cancel = reactor.spawn(consumer)
        await ticks(reactor)
        cancel()
        waiter.resolve("too late")
        waiter.reject(KeyError())
        await ticks(reactor)
        cancel()
        assert events == ["on_cancel", "raised"]

    run_any(scenario)


def test_cancelled_after_it_was_resolved(run_any: Run[None]) -> None:
    """Once it waits, either the value arrives or `on_cancel` is called: never both, never neither."""

    async def scenario(reactor: Any) -> None:
        for resolved_first in (True, False):
            events: list[str] = []
            waiter = reactor.waiter(lambda events=events: events.append("on_cancel"))

            async def consumer(waiter: Any = waiter, events: list[str] = events) -> None:
                events.append(await waiter.wait())

            if resolved_first:
                waiter.resolve("value")
            cancel = reactor.spawn(consumer)
            await ticks(reactor, 0 if resolved_first else 10)
            waiter.resolve("value")
            cancel()
            await ticks(reactor)
            assert events in (["value"], ["on_cancel"], [])
            if not resolved_first:
                assert events

    run_any(scenario)


@pytest.mark.parametrize("seconds", [0, 0.01])
def test_anyio_scope_around_wait(run_hosted: Run[None], seconds: float) -> None:
    async def scenario(reactor: Any) -> None:
        for already in (False, True):
            calls: list[int] = []
            waiter = reactor.waiter(lambda calls=calls: calls.append(1))
            if already and not seconds:
                waiter.resolve(None)
            with anyio.move_on_after(seconds) as scope:
                await waiter.wait()
            assert scope.cancelled_caught
            assert calls == [1]

    run_hosted(scenario)


# --- Time ---------------------------------------------------------------------------------------------------------


def test_timers_in_order_and_never_early(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        start = reactor.now()
        fired: list[tuple[float, float]] = []
        delays = [0.03, 0.01, 0.02, 0.0, 0.0105, 0.0301]
        for delay in delays:
            reactor.call_at(start + delay, lambda delay=delay: fired.append((delay, reactor.now())))
        await passed(reactor, 0.06)
        assert [delay for delay, _ in fired] == sorted(delays)
        assert all(now >= start + delay for delay, now in fired)

    run_any(scenario)


def test_earlier_timer_comes_later(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        waiter = reactor.waiter(nothing)
        reactor.call_at(reactor.now() + 60, lambda: waiter.resolve("late"))
        await reactor.sleep(0)
        await reactor.sleep(0)
        reactor.call_at(reactor.now() + 0.01, lambda: waiter.resolve("soon"))
        assert await waiter.wait() == "soon"

    run_any(scenario)


def test_timer_cancelled(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        fired: list[str] = []
        waiter = reactor.waiter(nothing)
        cancels = [reactor.call_at(reactor.now() + 0.01, lambda: fired.append("no")) for _ in range(200)]
        reactor.call_at(reactor.now() + 0.02, lambda: waiter.resolve(None))
        for cancel in cancels:
            cancel()
            cancel()
        await waiter.wait()
        assert fired == []

    run_any(scenario)


def test_timer_cancels_its_neighbour_and_itself(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        fired: list[str] = []
        when = reactor.now() + 0.01

        def first() -> None:
            fired.append("first")
            cancel_first()
            cancel_second()

        cancel_first = reactor.call_at(when, first)
        cancel_second = reactor.call_at(when, lambda: fired.append("second"))
        await passed(reactor, 0.03)
        assert fired == ["first"]

    run_any(scenario)


def test_timer_with_a_bug(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        bugs: list[Exception] = []
        reactor.on_bug = bugs.append
        waiter = reactor.waiter(nothing)
        reactor.call_at(reactor.now(), lambda: 1 // 0)
        reactor.call_at(reactor.now() + 0.01, lambda: waiter.resolve(None))
        await waiter.wait()
        assert [type(bug) for bug in bugs] == [ZeroDivisionError]

    run_any(scenario)


def test_sleep(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        before = reactor.now()
        await reactor.sleep(0.02)
        assert reactor.now() - before > 0.018
        await reactor.sleep(0)
        await reactor.sleep(-1)

    run_any(scenario)


def test_sleep_is_cancelled(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        ended: list[str] = []

        async def sleeper() -> None:
            try:
                await reactor.sleep(60)
                ended.append("slept")
            finally:
                ended.append("over")

        cancel = reactor.spawn(sleeper)
        await ticks(reactor)
        cancel()
        await ticks(reactor)
        assert ended == ["over"]

    run_any(scenario)


# --- Background ---------------------------------------------------------------------------------------------------


def test_spawn_gets_arguments_and_context(run_any: Run[None]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def scenario(reactor: Any) -> None:
        seen: list[Any] = []

        async def task(*args: int) -> None:
            seen.extend([*args, variable.get()])

        variable.set("mine")
        reactor.spawn(task, 1, 2)
        await ticks(reactor)
        assert seen == [1, 2, "mine"]

    run_any(scenario)


def test_spawn_cancelled_before_it_ran(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        ran: list[int] = []

        async def task() -> None:
            await reactor.sleep(0)
            ran.append(1)

        reactor.spawn(task)()
        await ticks(reactor)
        assert ran == []

    run_any(scenario)


def test_bug_in_the_background(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        bugs: list[Exception] = []
        reactor.on_bug = bugs.append

        async def task() -> None:
            raise KeyError("a bug")

        reactor.spawn(task)
        await ticks(reactor)
        assert [type(bug) for bug in bugs] == [KeyError]

    run_any(scenario)


@pytest.mark.parametrize("error", [SystemExit(3), BaseExceptionGroup("two", [SystemExit(3)])])
def test_what_is_no_exception_in_the_background(run_any: Run[None], error: BaseException) -> None:
    """It is told like a bug, and ends neither the loop nor the program."""

    async def scenario(reactor: Any) -> None:
        bugs: list[BaseException] = []
        reactor.on_bug = bugs.append

        async def task() -> None:
            raise error

        reactor.spawn(task)
        await ticks(reactor)
        assert bugs == [error]

    run_any(scenario)


def test_on_bug_with_a_bug(run_any: Run[None], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(reactor: Any) -> None:
        def on_bug(error: Exception) -> None:
            raise error

        reactor.on_bug = on_bug
        reactor.call_at(reactor.now(), lambda: 1 // 0)
        await passed(reactor, 0)

    run_any(scenario)
    assert [record.message for record in caplog.records] == ["on_bug itself failed"]


def test_run_blocking(run_any: Run[None]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def scenario(reactor: Any) -> None:
        variable.set("mine")
        assert await reactor.run_blocking(variable.get) == "mine"
        with pytest.raises(ZeroDivisionError):
            await reactor.run_blocking(divmod, 1, 0)

    run_any(scenario)


def test_run_blocking_tells_of_what_is_no_exception(run_any: Run[None]) -> None:
    class Fatal(BaseException):
        pass

    def fail() -> None:
        raise Fatal

    async def scenario(reactor: Any) -> None:
        with pytest.raises(Fatal):
            await reactor.run_blocking(fail)

    run_any(scenario)


def test_run_blocking_is_abandoned(run_hosted: Run[Any]) -> None:
    async def scenario(reactor: Any) -> threading.Event:
        release = threading.Event()
        with anyio.move_on_after(0.01) as scope:
            await reactor.run_blocking(release.wait, 10)
        assert scope.cancelled_caught
        return release

    run_hosted(scenario).set()


# --- The end ------------------------------------------------------------------------------------------------------


def test_leaving_ends_background_tasks(run_any: Run[Any]) -> None:
    async def scenario(reactor: Any) -> list[str]:
        log: list[str] = []

        async def forever() -> None:
            try:
                await reactor.sleep(3600)
            finally:
                log.append("ended")

        for _ in range(3):
            reactor.spawn(forever)
        await reactor.sleep(0)
        return log

    assert run_any(scenario) == ["ended"] * 3


def test_leaving_closes_connections(run: Run[Any]) -> None:
    async def scenario(reactor: Any) -> list[RecordingLink]:
        with Peer(reactor) as peer:
            idle, _, _ = await peer.connect()
            stuck, _, _ = await peer.connect()
            stuck.send(bytes(1 << 24))
            await stuck.until(lambda: bool(stuck.pulls))
            return [idle, stuck]

    assert [link.losses for link in run(scenario)] == [[None], [None]]


def test_leaving_waits_for_what_is_being_closed(run: Run[Any]) -> None:
    async def scenario(reactor: Any) -> bytes:
        with Peer(reactor) as peer:
            async with type(reactor)() as inner:
                link = RecordingLink(inner)
                transport = await inner.connect(peer.address, link, timeout=60)
                sock = await peer.accept()
                link.send(b"good-bye" * 1000)
                transport.close()
            assert link.losses == [None]
            return await peer.read(sock, 10_000)

    assert run(scenario) == b"good-bye" * 1000


@pytest.mark.parametrize("cancel_too", [False, True])
def test_own_exception_leaves_unwrapped(run_hosted: Run[None], cancel_too: bool) -> None:
    async def scenario(reactor: Any) -> None:
        async def program(peer: Peer, link: RecordingLink, scope: anyio.CancelScope) -> None:
            async with type(reactor)() as inner:
                await inner.connect(peer.address, link, timeout=60)
                if cancel_too:
                    scope.cancel()
                raise KeyError("mine")

        with Peer(reactor) as peer:
            link = RecordingLink(reactor)
            with anyio.CancelScope() as scope:
                with pytest.raises(KeyError, match="mine"):
                    await program(peer, link, scope)
            assert link.losses == [None]

    run_hosted(scenario)


def test_left_while_others_connect_and_spawn(run_hosted: Run[None]) -> None:
    """Tasks of the user that outlive the reactor get errors, and what its end sets off is ended, too."""

    async def scenario(reactor: Any) -> None:
        log: list[str] = []

        async def forever() -> None:
            try:
                await reactor.sleep(3600)
            finally:
                log.append("ended")

        class Restless(RecordingLink):
            def connection_lost(self, error: Exception | None) -> None:
                super().connection_lost(error)
                inner.spawn(forever)
                inner.call_at(inner.now(), lambda: inner.spawn(forever))

        async def connecting() -> None:
            with pytest.raises(ConnectionAbortedError, match="the reactor was left"):
                await inner.connect(hole, RecordingLink(inner), timeout=60)
            log.append("told")

        with black_hole() as hole, Peer(reactor) as peer:
            async with anyio.create_task_group() as group:
                async with type(reactor)() as inner:
                    await inner.connect(peer.address, Restless(inner), timeout=60)
                    group.start_soon(connecting)
                    await ticks(inner)
            with pytest.raises(RuntimeError, match="the reactor is not running"):
                inner.spawn(forever)
            assert "told" in log

    run_hosted(scenario)


def test_cancelled_inside(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            with anyio.CancelScope() as scope:
                async with type(reactor)() as inner:
                    link = RecordingLink(inner)
                    await inner.connect(peer.address, link, timeout=60)
                    inner.call_at(inner.now() + 0.01, scope.cancel)
                    await inner.sleep(60)
            assert scope.cancelled_caught
            assert link.losses == [None]

    run_hosted(scenario)


def test_cancelled_while_leaving(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            with anyio.CancelScope() as scope:
                async with type(reactor)() as inner:
                    link = RecordingLink(inner)
                    transport = await inner.connect(peer.address, link, timeout=60)
                    link.send(bytes(1 << 24))
                    await link.until(lambda: bool(link.pulls))
                    transport.close()
                    inner.call_at(inner.now() + 0.01, scope.cancel)
            assert scope.cancelled_caught
            assert link.losses == [None]

    run_hosted(scenario)


def test_shielded_clean_up_still_gets_answers(run_hosted: Run[None]) -> None:
    """No cancel scope of the caller reaches the connection."""

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            with anyio.CancelScope() as scope:
                async with type(reactor)() as inner:
                    link = RecordingLink(inner)
                    await inner.connect(peer.address, link, timeout=60)
                    sock = await peer.accept()
                    try:
                        inner.call_at(inner.now() + 0.01, scope.cancel)
                        await inner.sleep(60)
                    finally:
                        with anyio.CancelScope(shield=True):
                            link.send(b"roll back")
                            assert await peer.read(sock, 9) == b"roll back"
                            await peer.send(sock, b"done")
                            await link.until_received(4)
            assert scope.cancelled_caught
            assert link.losses == [None]

    run_hosted(scenario)


def test_entered_and_left_in_different_tasks(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            made: list[Any] = []

            async def enter() -> None:
                made.append(await type(reactor)().__aenter__())

            async def leave() -> None:
                await made[0].__aexit__(None, None, None)

            async with anyio.create_task_group() as group:
                group.start_soon(enter)
            link = RecordingLink(made[0])
            await made[0].connect(peer.address, link, timeout=60)
            async with anyio.create_task_group() as group:
                group.start_soon(leave)
            assert link.losses == [None]

    run_hosted(scenario)
