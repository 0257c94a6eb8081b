"""Hooks on requests: a tracker is called about each from its start to its end, and about its attempts in between."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.metadata.node import Node

logger = get_logger(__name__)


class Tracked(NamedTuple):
    """A request, as its tracker is told of it.

    Attributes:
        statement: the CQL, without values; "BATCH" for a batch.
        started: when it began, in seconds of the loop's clock.
        idempotent: whether it may be executed twice.
        is_internal: whether it is a PREPARE of triocql's own, for a call of `prepare` or the requests that need it.
    """

    statement: str
    started: float
    idempotent: bool
    is_internal: bool


class Tracker(Protocol):
    """Follows requests. Called on the loop, in the middle of things: it must not block, and should be quick.

    - Each request has one `start` and one `finish`, whatever happens to it: an answer, an error, a timeout, a
      cancellation, the end of the session. The next page of a result is a request of its own, and so is a PREPARE,
      which may be shared by many who wait for it.
    - Each time that a node's connection is given a request, that is an attempt, and `attempt` is called once, when it
      is over, before `finish`. So a request that never came to a connection has none; one that was tried again, copied,
      or answered UNPREPARED has several. `retry` follows the `attempt` that it is due to.
    - What it raises fails no request; the first time, it is logged. It may start, abandon or end what it likes: a
      request that it ends in `attempt` or `retry` is not tried again.
    - Without a tracker, a request pays for two tests of an attribute, one when it starts and one when it ends.
    """

    def start(self, request: Tracked) -> Any:
        """Called when a request begins; returns the token that the other methods are called with."""

    def attempt(self, token: Any, node: Node, seconds: float, error: BaseException | None) -> None:
        """Called when an attempt is over.

        Args:
            token: what `start` has returned.
            node: the node whose connection was given it.
            seconds: since it was written; 0 if it never was.
            error: None for a good answer. Else the error that the node has answered, or that it was lost by;
                AttemptTimeout or RequestTimeout if that took too long; Abandoned if nobody waited any more, and
                Overtaken if another node was faster; whatever else the request has ended with.
        """

    def retry(self, token: Any, error: Exception) -> None:
        """Called when the request is tried again, because of `error`."""

    def finish(self, token: Any, error: BaseException | None) -> None:
        """Called once, when the request has ended: with None for a result, with Abandoned if nobody waits any more."""


class GuardedTracker:
    """A tracker that never raises: what it does wrong is logged once, and is nothing to the request.

    That holds for what is no `Exception`, too: it would come up in the midst of a step, where others are being told.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._reported = False

    def start(self, request: Tracked) -> Any:
        """Call `Tracker.start`."""
        try:
            return self._tracker.start(request)
        except BaseException as bug:
            self._report(bug)
            return None

    def attempt(self, token: Any, node: Node, seconds: float, error: BaseException | None) -> None:
        """Call `Tracker.attempt`."""
        try:
            self._tracker.attempt(token, node, seconds, error)
        except BaseException as bug:
            self._report(bug)

    def retry(self, token: Any, error: Exception) -> None:
        """Call `Tracker.retry`."""
        try:
            self._tracker.retry(token, error)
        except BaseException as bug:
            self._report(bug)

    def finish(self, token: Any, error: BaseException | None) -> None:
        """Call `Tracker.finish`."""
        try:
            self._tracker.finish(token, error)
        except BaseException as bug:
            self._report(bug)

    def _report(self, bug: BaseException) -> None:
        if not self._reported:
            self._reported = True
            with suppress(Exception):  # of a handler of the log's
                logger.error("the tracker %r failed; no more of that is logged", self._tracker, exc_info=bug)
