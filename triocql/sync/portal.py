"""The way from blocking callers into the loop of their session: what all that the session gives has in common."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from triocql.errors import UsageError
from triocql.reactors.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.reactors.threadloop import ThreadLoop
    from triocql.session.context import SessionContext

P = ParamSpec("P")
T = TypeVar("T")


class Portal:
    """Runs what waits in the loop of one session, for callers that block.

    A session that is dropped unclosed is closed when this becomes garbage, and not before: what the session has given,
    such as a result with more pages, is still in use then.

    Attributes:
        loop: does the session's work.
        context: what executes there.
        run: runs a coroutine function in the loop and waits for what it returns: `ThreadLoop.run`.
    """

    def __init__(self, loop: ThreadLoop, context: SessionContext) -> None:
        self.loop = loop
        self.context = context
        self.run = loop.run

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the loop, and wait for what it returns."""

        async def calling() -> T:
            return fn(*args, **kwargs)

        return self.run(calling)

    def close(self, timeout: float) -> None:
        """Close the session and end its loop. Idempotent; does nothing in a child process."""
        if not self.loop.is_open:
            return
        self.loop.check_may_block()
        try:
            with suppress(UsageError):  # another thread was faster
                self.run(self.context.cluster.leave, timeout)
        finally:
            self.loop.stop()
            self.loop.join()

    def __del__(self) -> None:
        loop = self.loop
        if loop.is_open:
            leave = partial(self.context.cluster.leave, 0)
            with suppress(UsageError):
                loop.begin(Call(loop, leave, lambda _value, _error: loop.stop()))
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"<triocql.sync.Session {self.context.nodes}>"
