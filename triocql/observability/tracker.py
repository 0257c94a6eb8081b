"""Hooks on requests: a tracker is called about each from its start to its end, and about its attempts in between."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from triocql.abc import Address
from triocql.observability.logs import get_logger
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triocql.metadata.node import Node

logger = get_logger(__name__)


class About(NamedTuple):
    """What a request is about, as far as that is known when it begins.

    Attributes:
        operation: the first word of the statement, such as SELECT; BATCH; OTHER.
        keyspace: that of a prepared statement's table, else the session's; "" if there is none.
        table: that of a prepared statement; "" where nobody has told it: text is not read for that.
        profile: the profile, "" for the session's own options.
        consistency: how many replicas are asked.
        page_size: rows a page.
        statements: how many statements there are in a batch; 0 if it is none.
        contact_point: the first address that the session was opened with.
    """

    operation: str = "OTHER"
    keyspace: str = ""
    table: str = ""
    profile: str = ""
    consistency: Consistency = Consistency.LOCAL_ONE
    page_size: int = 0
    statements: int = 0
    contact_point: Address = Address("", 0)


class Tracked(NamedTuple):
    """A request, as its tracker is told of it.

    Attributes:
        statement: the CQL, without values; "BATCH" for a batch.
        started: when it began, in seconds of the loop's clock.
        idempotent: whether it may be executed twice.
        is_internal: whether it is triocql's own: a PREPARE, for a call of `prepare` or the requests that need it, or a
            question to a node, how large a table is.
        about: what it is about.
    """

    statement: str
    started: float
    idempotent: bool
    is_internal: bool
    about: About = About()


class _Ignored:
    """The kind of `IGNORED`."""

    def __repr__(self) -> str:
        return "triocql.observability.tracker.IGNORED"


IGNORED = _Ignored()
"""The token of a request that its tracker is told no more of, not even its end."""


class Tracker(Protocol):
    """Follows requests. Called on the loop, in the middle of things: it must not block, and should be quick.

    - Each request has one `start` and one `finish`, whatever happens to it: an answer, an error, a timeout, a
      cancellation, the end of the session. The next page of a result is a request of its own, and so is a PREPARE,
      which may be shared by many who wait for it.
    - Each time that a node's connection is given a request, that is an attempt, and `attempt` is called once, when it
      is over, before `finish`. So a request that never came to a connection has none; one that was tried again, copied,
      or answered UNPREPARED has several. `retry` follows the `attempt` that it is due to.
    - What it raises fails no request; the first time, it is logged. If `start` raises, the tracker is told no more of
      that request. It may start, abandon or end what it likes: a request that it ends in `attempt` or `retry` is not
      tried again.
    - Without a tracker, a request pays for two tests of an attribute, one when it starts and one when it ends.

    It may have a method ``wants()``, which is asked first, before anything is made for a request that begins: where it
    returns False, the tracker is not told of the request at all.

    It may have a method ``payload(token)``, called once for each request that it follows, after `start` and before
    anything is sent: what it returns, a mapping of str to bytes, or None, is told to nodes in the custom payload of the
    request, of all attempts at it alike. Where ``custom_payload=`` has the same key, that counts. A PREPARE has none;
    with protocol v3, which has none, it is not called.
    """

    def start(self, request: Tracked) -> Any:
        """Called when a request begins; returns the token that the other methods are called with, or `IGNORED`."""

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


def default() -> Tracker | None:
    """Return the tracker of sessions that have none of their own, if `set_default` has set one."""
    return _defaults[-1]


def set_default(tracker: Tracker | None) -> None:
    """Have sessions that are opened from now on, without ``tracker=``, use this one. None for none.

    For tools that instrument programs from outside; programs give `connect` a tracker.
    """
    _defaults[:] = [tracker]


_defaults: list[Tracker | None] = [None]


class GuardedTracker:
    """A tracker that never raises: what it does wrong is logged once, and is nothing to the request.

    That holds for what is no `Exception`, too: it would come up in the midst of a step, where others are being told.

    Attributes:
        wants: asks whether it is to be told of a request that begins; None if it is told of each.
        tells_nodes: whether nodes are told something by it.

    Args:
        tracker: the user's.
        payloads: whether the protocol has custom payloads; without them nodes are told nothing.
    """

    def __init__(self, tracker: Tracker, *, payloads: bool = True) -> None:
        self._tracker = tracker
        self._start = tracker.start
        self._reported = False
        wants: Callable[[], bool] | None = getattr(tracker, "wants", None)
        self.wants = None if wants is None else partial(self._is_wanted, wants)
        self._payload: Callable[[Any], Any] | None = getattr(tracker, "payload", None) if payloads else None
        self.tells_nodes = self._payload is not None

    def _is_wanted(self, wants: Callable[[], bool]) -> bool:
        try:
            return bool(wants())
        except BaseException as bug:
            self._report(bug)
            return False

    def start(self, request: Tracked) -> Any:
        """Call `Tracker.start`."""
        try:
            return self._start(request)
        except BaseException as bug:
            self._report(bug)
            return IGNORED

    def tell_nodes(self, token: Any, carry: Callable[[Mapping[str, bytes | None]], object]) -> None:
        """Have `carry` called with what nodes are to be told, if anything is."""
        try:
            told = None if self._payload is None else self._payload(token)
            if told is not None and told != {}:  # an empty payload would be sent as such
                carry(told)
        except BaseException as bug:
            self._report(bug)

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
            logger.error("the tracker %r failed; no more of that is logged", self._tracker, exc_info=bug)
