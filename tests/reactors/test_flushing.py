"""What several connections have to send on Trio and asyncio: one step sends it for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triocql.reactors import asynciotransport, triotransport

if TYPE_CHECKING:
    from collections.abc import Callable

    Flusher = asynciotransport.Flusher | triotransport.Flusher
    Soon = Callable[[Callable[[], None]], object]
    Begin = Callable[[Flusher, list[str], Soon], None]


class Transport:
    """Notes in a log that it was flushed, and does something then."""

    def __init__(self, name: str, log: list[str], then: Callable[[], None] | None = None) -> None:
        self._name = name
        self._log = log
        self._then = then

    def flush(self) -> None:
        self._log.append(self._name)
        if self._then is not None:
            self._then()


def flushed_on_trio(begin: Begin) -> list[str]:
    """Return what was flushed, and noted, until nothing was left to do."""
    log: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def run(fn: Callable[[], None]) -> None:
                fn()

            flusher = triotransport.Flusher()
            nursery.start_soon(flusher.run)
            await wait_all_tasks_blocked()
            begin(flusher, log, lambda fn: nursery.start_soon(run, fn))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    return log


def flushed_on_asyncio(begin: Begin) -> list[str]:
    """Return what was flushed, and noted, in some turns of the loop, whatever is raised in it meanwhile."""
    log: list[str] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        begin(asynciotransport.Flusher(loop), log, loop.call_soon)
        for _ in range(4):
            try:
                runner.run(asyncio.sleep(0))
            except SystemExit:
                log.append("raised")
    return log


both = pytest.mark.parametrize("flushed", [flushed_on_trio, flushed_on_asyncio])


@both
def test_several_transports_wait_for_what_this_tick_has_for_them(
    flushed: Callable[[Begin], list[str]],
) -> None:
    def begin(flusher: Flusher, log: list[str], soon: Soon) -> None:
        def read() -> None:
            log.append("read")
            flusher.flush_soon(Transport("c", log))

        flusher.flush_soon(Transport("a", log))
        flusher.flush_soon(Transport("b", log))
        soon(read)

    assert flushed(begin) == ["read", "a", "b", "c"]


@both
def test_what_becomes_due_while_others_are_flushed_is_flushed_after_them(
    flushed: Callable[[Begin], list[str]],
) -> None:
    def begin(flusher: Flusher, log: list[str], soon: Soon) -> None:
        def again() -> None:
            flusher.flush_soon(Transport("c", log))

        flusher.flush_soon(Transport("a", log, again))
        flusher.flush_soon(Transport("b", log))

    assert flushed(begin) == ["a", "b", "c"]


@both
def test_a_transport_is_flushed_each_time_it_asks(flushed: Callable[[Begin], list[str]]) -> None:
    def begin(flusher: Flusher, log: list[str], soon: Soon) -> None:
        def again() -> None:
            flusher.flush_soon(Transport("a", log))

        def then() -> None:
            soon(again)

        flusher.flush_soon(Transport("a", log, then))

    assert flushed(begin) == ["a", "a"]


def test_on_asyncio_what_ends_the_loop_in_the_midst_of_flushing_leaves_the_others_their_turn() -> None:
    """`SystemExit` leaves the loop in the midst of a step; a program may run the loop on, to clean up."""

    def begin(flusher: Flusher, log: list[str], soon: Soon) -> None:
        leaving = iter([SystemExit()])

        def leave() -> None:
            for error in leaving:
                raise error

        flusher.flush_soon(Transport("a", log, leave))
        flusher.flush_soon(Transport("b", log))
        flusher.flush_soon(Transport("c", log))

    assert flushed_on_asyncio(begin) == ["a", "raised", "a", "b", "c"]
