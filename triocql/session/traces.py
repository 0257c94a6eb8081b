"""Reads what a server recorded of a request, from the tables of the keyspace `system_traces`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from triocql.config.requests import request_options
from triocql.errors import ProtocolError, RequestTimeout
from triocql.protocol.constants import Consistency
from triocql.results.result import Trace, TraceEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import TypeAlias
    from uuid import UUID

    from triocql.abc import Reactor
    from triocql.config.requests import RequestKeywords, RequestOptions
    from triocql.results.result import Result
    from triocql.statements.statement import Parameters

    Execute: TypeAlias = Callable[[str, Parameters, RequestOptions], Awaitable[Result[Any]]]

_SESSION = (
    "SELECT request, parameters, client, coordinator, started_at, duration "
    "FROM system_traces.sessions WHERE session_id = ?"
)
_EVENTS = (
    "SELECT event_id, activity, source, source_elapsed, thread FROM system_traces.events WHERE session_id = ?"
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


async def read_trace(
    reactor: Reactor,
    execute: Execute,
    tracing_id: UUID,
    *,
    consistency: Consistency | str | None,
    timeout: float,
    complete: bool,
) -> Trace:
    """Read the trace with `execute`, waiting up to `timeout` seconds until the server has written all of it; a part of
    it will do if it need not be `complete`. It is read with `consistency`, by default ONE.

    Raises RequestTimeout if there is nothing that will do, and ProtocolError if what there is is no trace.
    """
    deadline = reactor.now() + timeout
    pause = _FIRST_PAUSE
    options: RequestKeywords = {"consistency": consistency or Consistency.ONE, "tracing": False}
    while (left := deadline - reactor.now()) > 0:
        call = request_options({**options, "timeout": left})
        row = (await execute(_SESSION, [tracing_id], call)).one()
        if row is not None and not (complete and _is_partial(row)):
            events = await (await execute(_EVENTS, [tracing_id], call)).all()
            return _trace(tracing_id, row, events)
        await reactor.sleep(min(pause, max(0.0, deadline - reactor.now())))
        pause = min(2 * pause, _LONGEST_PAUSE)
    raise RequestTimeout(
        f"the server did not write {'all of ' if complete else ''}the trace {tracing_id} within {timeout:g} s"
        + ("; trace(complete=False) takes what there is" if complete else ""),
        phase="waiting",
        written=True,
        timeout=timeout,
    )


def _is_partial(row: Any) -> bool:
    with _as_traces_are():
        return row.duration is None or row.started_at is None


def _trace(tracing_id: UUID, row: Any, events: list[Any]) -> Trace:
    with _as_traces_are():
        return Trace(
            id=tracing_id,
            request=row.request,
            parameters=row.parameters or {},
            client=row.client,
            coordinator=row.coordinator,
            started_at=row.started_at,
            duration=row.duration,
            events=tuple(map(_event, events)),
        )


def _event(row: Any) -> TraceEvent:
    from triocql.codecs.timeuuid import time_of  # not at the top: only traces need it

    return TraceEvent(
        activity=row.activity,
        source=row.source,
        elapsed=row.source_elapsed,
        at=time_of(row.event_id),
        thread=row.thread,
    )


@contextmanager
def _as_traces_are() -> Iterator[None]:
    """Raise ProtocolError where rows do not have the columns that the tables of traces have."""
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise ProtocolError(f"the node's rows of system_traces are not those of a trace: {error}") from error
