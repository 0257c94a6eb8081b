"""Delivering one outcome to many, each of whom may do anything then: abandon, start or end others, close all, raise.

So whoever has ended by then is skipped; and what one raises ends that one, is logged, and keeps nobody else from
getting the outcome.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar

from triocql.engine.phase import Phase
from triocql.errors import Error, InternalError
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triocql.engine.contracts import Sink, Unfinished
    from triocql.metadata.node import Node

    R = TypeVar("R", bound=Unfinished)

logger = get_logger(__name__)


def tell(requests: Iterable[R], step: Callable[[R], object]) -> None:
    """Call `step` with each of `requests` that has not ended when its turn comes."""
    for request in requests:
        if request.phase is not Phase.DONE:
            try:
                step(request)
            except Exception as bug:
                spoil(request, bug)


def call(steps: Iterable[Callable[[], object]]) -> None:
    """Call each of `steps`."""
    for step in steps:
        try:
            step()
        except Exception as bug:
            report(bug)


def expire(requests: Iterable[Unfinished], now: float, node: Node | None = None) -> float:
    """End those of `requests` that are due by `now`; return the earliest deadline of the others, or inf.

    They are on the connection to `node` or, with None, on none.
    """
    earliest = inf
    for request in requests:
        if request.deadline > now:
            earliest = min(earliest, request.deadline)
        else:
            tell((request,), partial(_time_out, now, node))
    return earliest


def refuse(sink: Sink, error: BaseException) -> None:
    """Reject `sink`."""
    try:
        sink.reject(error)
    except Exception as bug:
        report(bug)


def spoil(request: Unfinished, bug: Exception) -> None:
    """End `request` because of `bug`, which kept it from going on."""
    request.fail(as_error(bug))
    report(bug)


def as_error(bug: Exception) -> Error:
    """Return the error that users get for `bug`."""
    if isinstance(bug, Error):
        return bug
    error = InternalError(f"the request ended because of a bug: {type(bug).__name__}: {bug}")
    error.__cause__ = bug
    error.maybe_executed = True
    return error


def report(bug: Exception) -> None:
    """Log `bug`, after whoever had to get an error has got it: where the stack is at its end, this fails, too."""
    with suppress(Exception):
        logger.error("%s while the outcomes of requests were delivered", type(bug).__name__, exc_info=bug)


def _time_out(now: float, node: Node | None, request: Unfinished) -> None:
    request.time_out(now, node)
