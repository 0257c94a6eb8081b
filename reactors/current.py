"""The choice of a reactor: found out by the loop that runs, importing no loop that the program does not use."""

from __future__ import annotations

import sys
from typing import Literal

from triocql.abc import Reactor
from triocql.errors import OptionError, UsageError

ReactorName = Literal["auto", "trio", "asyncio"]


def running_loop() -> Literal["trio", "asyncio"] | None:
    """Return the name of the event loop that runs the caller, None outside any."""
    if (trio := sys.modules.get("trio")) is not None and trio.lowlevel.in_trio_task():
        return "trio"
    if (asyncio := sys.modules.get("asyncio")) is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return None
        return "asyncio"
    return None


def select(reactor: ReactorName | Reactor = "auto") -> Reactor:
    """Return the reactor to use, not yet entered.

    Args:
        reactor: "auto" for the loop that runs, "trio" or "asyncio" to insist on one, or a reactor, returned as it is.

    Raises:
        UsageError: no event loop runs, or another one than was asked for.
        OptionError: no such reactor.

    >>> import asyncio
    >>> async def main():
    ...     return select().name
    >>> asyncio.run(main())
    'asyncio'
    """
    if not isinstance(reactor, str):
        return reactor
    if reactor not in ("auto", "trio", "asyncio"):
        raise OptionError(f"reactor={reactor!r}: it can be 'auto', 'trio', 'asyncio' or a reactor object")
    running = running_loop()
    if running is None:
        raise UsageError(
            "no event loop is running here: call this inside trio.run(), asyncio.run() or anyio.run(); "
            "blocking programs use triocql.sync"
        )
    if reactor not in ("auto", running):
        raise UsageError(f"reactor={reactor!r}, but the loop that is running here is {running}")
    if running == "trio":
        from .trioreactor import TrioReactor

        return TrioReactor()
    from .asyncioreactor import AsyncioReactor

    return AsyncioReactor()
