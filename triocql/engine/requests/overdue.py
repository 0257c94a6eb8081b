"""The error of a request that took too long: it says what the time went into."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.errors import AttemptTimeout, RequestTimeout, Spent
from triocql.statements.texts import shown

if TYPE_CHECKING:
    from triocql.engine.contracts import StreamsOwner
    from triocql.metadata.node import Node

_MOST = 12
"""The number of parts of the time that are shown."""

_SHORTEST = 0.0005
"""What is shorter, in seconds, is not shown."""


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
    elapsed = max(0.0, now - (request.deadline - request.timeout))
    phases = (request.history or History()).phases(elapsed, phase, node)
    statement = shown(request.statement)
    message = f"no answer {f'from {node} ' if node is not None else ''}within {request.timeout:g} s"
    message += f" to {statement!r}" if statement else ""
    return RequestTimeout(
        f"{message}: {told_phases(phases)}",
        phase=phase.value,
        written=phase is Phase.WAITING,
        timeout=float(request.timeout),  # an int will do as an option
        node=node,
        statement=statement,
        phases=phases,
    )


class TimedAttempt(Protocol):
    """One of the attempts of an execution."""

    phase: Phase

    @property
    def execution(self) -> TimedExecution:
        """What it is an attempt at."""


class TimedExecution(Timed, Protocol):
    """Something that may take several attempts, each with a bound."""

    started: float
    attempt_timeout: float


def attempt_timed_out(attempt: TimedAttempt, connection: StreamsOwner, now: float) -> AttemptTimeout:
    """Return the error of `attempt`, which has had no answer on `connection` for as long as an attempt may take."""
    execution, phase = attempt.execution, attempt.phase
    history = execution.history or History()
    seconds = history.since(now - execution.started)
    statement = shown(execution.statement)
    message = (
        f"no answer from {connection.name} within {execution.attempt_timeout:g} s, the bound of one attempt"
    )
    message += f" (attempt {history.retries + 1} of the call)" + (f", to {statement!r}" if statement else "")
    return AttemptTimeout(
        f"{message}: {phase.value} {seconds:.3f} s",
        phase=phase.value,
        written=phase is Phase.WAITING,
        timeout=execution.attempt_timeout,
        node=connection.node,
        statement=statement,
        phases=(Spent(phase.value, seconds, connection.node),),
    )


def told_phases(phases: tuple[Spent, ...]) -> str:
    """Return where the time went: of very many nodes, where most of it did."""
    several = len({each.node for each in phases if each.node is not None}) > 1
    longest = sorted(phases, key=attrgetter("seconds"), reverse=True)[:_MOST]
    told = [each for each in phases if each in longest and each.seconds >= _SHORTEST] or longest[:1]
    texts = [
        f"{each.phase} {each.seconds:.3f} s" + (f" on {each.node}" if several and each.node else "")
        for each in told
    ]
    rest = sum(each.seconds for each in phases) - sum(each.seconds for each in told)
    return ", ".join([*texts, f"others {rest:.3f} s"] if rest >= _SHORTEST else texts)
