"""The error of a request that took too long: it says what the time went into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from triocql.engine.phase import Phase
from triocql.errors import RequestTimeout

if TYPE_CHECKING:
    from triocql.engine.history import History
    from triocql.metadata.node import Node

_LONGEST = 100
"""The number of characters of a statement that are shown."""


class Timed(Protocol):
    """Something with a deadline: a request of one attempt, or an execution."""

    deadline: float
    timeout: float
    history: History | None

    @property
    def statement(self) -> str:
        """The text of the statement that it is about, "" if there is none."""


def timed_out(request: Timed, phase: Phase, now: float, node: Node | None) -> RequestTimeout:
    """Return the error of `request`, whose deadline has passed in `phase`, on the connection to `node` or, with None,
    on none.
    """
    began = request.deadline - request.timeout
    history = request.history
    spent, waits = (0.0, ()) if history is None else (history.seconds, history.waits)
    statement = _cut(request.statement)
    phases = (*waits, (phase.value, max(0.0, now - began - spent)))
    message = f"no answer {f'from {node} ' if node is not None else ''}within {request.timeout:g} s"
    message += f" to {statement!r}" if statement else ""
    return RequestTimeout(
        f"{message}: {', '.join(f'{name} {seconds:.3f} s' for name, seconds in phases)}",
        phase=phase.value,
        written=phase is Phase.WAITING,
        timeout=float(request.timeout),  # an int will do as an option
        node=node,
        statement=statement,
        phases=phases,
    )


def _cut(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
