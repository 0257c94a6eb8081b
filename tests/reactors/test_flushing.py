"""What several connections have to send on Trio: one task sends it for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from triocql.reactors.triotransport import Flusher

if TYPE_CHECKING:
    from collections.abc import Callable


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


def flushed(begin: Callable[[Flusher, list[str], trio.Nursery], None]) -> list[str]:
    """Return what was flushed, and noted, until nothing was left to do."""
    log: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            flusher = Flusher()
            nursery.start_soon(flusher.run)
            await wait_all_tasks_blocked()
            begin(flusher, log, nursery)
            for _ in range(2):  # what waits for that, too, goes on and is done
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    return log


def test_several_transports_wait_for_what_this_tick_has_for_them() -> None:
    def begin(flusher: Flusher, log: list[str], nursery: trio.Nursery) -> None:
        async def read() -> None:
            log.append("read")
            flusher.flush_soon(Transport("c", log))

        flusher.flush_soon(Transport("a", log))
        flusher.flush_soon(Transport("b", log))
        nursery.start_soon(read)

    assert flushed(begin) == ["read", "a", "b", "c"]


def test_what_becomes_due_while_others_are_flushed_is_flushed_after_them() -> None:
    def begin(flusher: Flusher, log: list[str], nursery: trio.Nursery) -> None:
        def again() -> None:
            flusher.flush_soon(Transport("c", log))

        flusher.flush_soon(Transport("a", log, again))
        flusher.flush_soon(Transport("b", log))

    assert flushed(begin) == ["a", "b", "c"]


def test_a_transport_is_flushed_each_time_it_asks() -> None:
    def begin(flusher: Flusher, log: list[str], nursery: trio.Nursery) -> None:
        async def later() -> None:
            await wait_all_tasks_blocked()
            flusher.flush_soon(Transport("a", log))

        flusher.flush_soon(Transport("a", log))
        nursery.start_soon(later)

    assert flushed(begin) == ["a", "a"]
