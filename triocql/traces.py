"""Reads what a server recorded of a request: the tables of the keyspace `system_traces`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.errors import RequestTimeout
from triocql.protocol.constants import Consistency
from triocql.results import Trace, TraceEvent

if TYPE_CHECKING:
    from triocql.session import Session

_SESSION = (
    "SELECT request, parameters, client, coordinator, started_at, duration "
    "FROM system_traces.sessions WHERE session_id = ?"
)
_EVENTS = (
    "SELECT event_id, activity, source, source_elapsed, thread FROM system_traces.events WHERE session_id = ?"
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


async def read_trace(session: Session, tracing_id: UUID, timeout: float) -> Trace:
    """Return the trace, waiting up to `timeout` seconds until the server has written all of it.

    Raises RequestTimeout if it has not.
    """
    reactor = session.reactor
    deadline = reactor.now() + timeout
    pause = _FIRST_PAUSE
    while True:
        rows = await session.execute(_SESSION, [tracing_id], consistency=Consistency.ONE)
        row = rows.one()
        if row is not None and row.duration is not None:
            return _trace(tracing_id, row, await _events(session, tracing_id))
        if reactor.now() + pause > deadline:
            raise RequestTimeout(
                f"the server did not write the trace {tracing_id} within {timeout:g} s",
                phase="waiting",
                written=True,
                timeout=timeout,
            )
        await reactor.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _trace(tracing_id: UUID, row: Any, events: tuple[TraceEvent, ...]) -> Trace:
    return Trace(
        id=tracing_id,
        request=row.request,
        parameters=row.parameters or {},
        client=row.client,
        coordinator=row.coordinator,
        started_at=row.started_at,
        duration=row.duration,
        events=events,
    )


async def _events(session: Session, tracing_id: UUID) -> tuple[TraceEvent, ...]:
    from triocql.codecs.timeuuid import time_of  # not at the top: only traces need it

    result = await session.execute(_EVENTS, [tracing_id], consistency=Consistency.ONE)
    return tuple(
        TraceEvent(
            activity=row.activity,
            source=row.source,
            elapsed=row.source_elapsed,
            at=time_of(row.event_id),
            thread=row.thread,
        )
        for row in await result.all()
    )
