"""What all reactors share: where the exceptions of background work go, and the bounds that all of them keep."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("triocql.reactors")

FLUSH_TIMEOUT = 5.0
"""Seconds that `Transport.close` gives the peer to take what waits to be sent."""

READ_SIZE = 128 * 1024
"""Bytes of a connection's receive buffer, and the most that one read takes."""


def nothing() -> None:
    """Do nothing: what there is to cancel before there is anything."""


class ReactorBase:
    """The reporting of bugs. They never reach the user's tasks by themselves."""

    on_bug: Callable[[Exception], None] | None = None

    def report_bug(self, error: Exception) -> None:
        """Tell `on_bug` about an exception that nobody awaits; without one, log it."""
        if self.on_bug is None:
            logger.error("a background task failed", exc_info=error)
            return
        try:
            self.on_bug(error)
        except Exception:
            logger.exception("on_bug itself failed")

    def guard(self, fn: Callable[[], None]) -> None:
        """Call `fn`; report what it raises."""
        try:
            fn()
        except Exception as error:
            self.report_bug(error)
