"""What became of a request's time: the phases that it waited in, its attempts, and the error if that was too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.engine.requests.phase import Phase
from triocql.errors import Attempt, RequestTimeout

if TYPE_CHECKING:
    from triocql.engine.hot import Request

_LONGEST = 100
"""How many characters of a statement are shown."""


def waited(request: Request, phase: Phase, seconds: float) -> None:
    """Note that `request` waited in `phase`, on no connection; what comes after that needs no clock to be asked."""
    request.waited = (*(request.waited or ()), (phase.value, seconds))


def spent(request: Request) -> float:
    """Return the seconds that are accounted for: an attempt begins where the wait, or the attempt, before it ended."""
    attempts: tuple[Attempt, ...] = getattr(request, "attempts", ())
    return sum(seconds for _, seconds in request.waited or ()) + sum(each.elapsed for each in attempts)


def timed_out(request: Request, now: float, node: str) -> RequestTimeout:
    """Return the error of `request`, whose deadline has passed, on the connection to `node` or, with "", on none."""
    began = request.deadline - request.timeout
    phase, statement = request.phase.value, _cut(request.statement)
    phases = (*(request.waited or ()), (phase, max(0.0, now - began - spent(request))))
    message = f"no answer {f'from {node} ' if node else ''}within {request.timeout:g} s"
    message += f" to {statement!r}" if statement else ""
    return RequestTimeout(
        f"{message}: {', '.join(f'{name} {seconds:.3f} s' for name, seconds in phases)}",
        phase=phase,
        written=request.phase is Phase.WAITING,
        timeout=request.timeout,
        node=node,
        statement=statement,
        phases=phases,
    )


def _cut(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
