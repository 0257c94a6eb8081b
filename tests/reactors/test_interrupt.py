"""Ctrl-C in the middle: no engine step is torn, `on_cancel` is called, nothing is left open."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from triocql.abc import Transport

from .conftest import Run
from .peers import Peer, RecordingLink


class Step:
    """A step of an engine in two halves, with Ctrl-C pressed between them."""

    def __init__(self) -> None:
        self.halves: list[int] = []

    def __call__(self) -> None:
        self.halves.append(1)
        signal.raise_signal(signal.SIGINT)
        for _ in range(100):
            self.halves[-1] += 1


def in_a_protected_function(reactor: Any, step: Step) -> Any:
    def run_step() -> None:
        step()

    protected = reactor.protect(run_step)

    async def where() -> None:
        protected()
        await reactor.sleep(60)

    return where


def in_a_protected_callable(reactor: Any, step: Step) -> Any:
    protected = reactor.protect(step)

    async def where() -> None:
        protected()
        await reactor.sleep(60)

    return where


def in_a_timer(reactor: Any, step: Step) -> Any:
    async def where() -> None:
        reactor.call_at(reactor.now(), step)
        await reactor.sleep(60)

    return where


def in_the_background(reactor: Any, step: Step) -> Any:
    async def task() -> None:
        step()

    async def where() -> None:
        reactor.spawn(task)
        await reactor.sleep(60)

    return where


def in_a_link(method: str) -> Callable[[Any, Step], Any]:
    class Interrupted(RecordingLink):
        step: Step

        def connection_made(self, transport: Transport) -> None:
            super().connection_made(transport)
            transport.wake()

        def __getattribute__(self, name: str) -> Any:
            if name == method:
                object.__getattribute__(self, "step")()
            return object.__getattribute__(self, name)

    def place(reactor: Any, step: Step) -> Any:
        async def where() -> None:
            with Peer(reactor) as peer:
                link = Interrupted(reactor)
                link.step = step
                await reactor.connect(peer.address, link, timeout=60)
                await reactor.sleep(60)

        return where

    return place


PLACES: dict[str, Callable[[Any, Step], Any]] = {
    "protected function": in_a_protected_function,
    "protected callable": in_a_protected_callable,
    "timer": in_a_timer,
    "background": in_the_background,
    "connection_made": in_a_link("connection_made"),
    "data_to_send": in_a_link("data_to_send"),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_step_is_torn(run_hosted: Run[None], place: str) -> None:
    step = Step()

    async def scenario(reactor: Any) -> None:
        await PLACES[place](reactor, step)()

    with pytest.raises(KeyboardInterrupt):
        run_hosted(scenario)
    assert step.halves
    assert set(step.halves) == {101}


def test_while_waiting(run_hosted: Run[None]) -> None:
    """Pressed while the loop sleeps in the kernel."""
    log: list[str] = []

    async def scenario(reactor: Any) -> None:
        waiter = reactor.waiter(lambda: log.append("on_cancel"))
        with Peer(reactor) as peer:
            link, _, _ = await peer.connect()
            main = threading.main_thread().ident
            assert main is not None
            presser = threading.Timer(0.02, signal.pthread_kill, (main, signal.SIGINT))
            presser.start()
            try:
                await waiter.wait()
            finally:
                presser.join()
                log.extend(link.events)

    with pytest.raises(KeyboardInterrupt):
        run_hosted(scenario)
    assert log == ["on_cancel", "made"]
