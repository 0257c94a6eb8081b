"""The context that executions are started in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from triocql.abc import Address
from triocql.engine.contracts import Admitting, Recovering, Sink, Speculating
from triocql.engine.messages.reading import ResultReader
from triocql.engine.routing.router import Router
from triocql.observability.meters import Meters
from triocql.observability.tracker import GuardedTracker
from triocql.policies.timestamps import MonotonicTimestamps
from triocql.statements.prepared import PreparedQuery
from triocql.statements.statement import Parameters

if TYPE_CHECKING:
    from triocql.engine.executing.execution import Execution

Ask = Callable[[PreparedQuery, Sink, Parameters, Exception], "Execution"]
"""Called with a statement, a sink, values, and why they do not fit: has a node asked, and starts nevertheless."""


class ExecutionContext(NamedTuple):
    """The parts of the engine that executions share: all of a session or, where policies differ, those of a profile."""

    router: Router
    recovery: Recovering
    reader: ResultReader
    timestamps: MonotonicTimestamps
    now: Callable[[], float]
    meters: Meters
    tracker: GuardedTracker | None
    speculation: Speculating | None
    throttling: Admitting | None
    contact_point: Address
