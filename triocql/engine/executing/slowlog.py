"""The log of slow requests: one line each, with where the time went."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from triocql import errors
from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.engine.requests.overdue import told_phases
from triocql.errors import Spent
from triocql.observability.logs import Aside, get_logger
from triocql.observability.meter import outcome_of
from triocql.observability.metrics import SUCCESS
from triocql.statements.texts import shortened, shown, without_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from triocql.codecs.registry import Registry
    from triocql.engine.executing import Attempt, Execution
    from triocql.engine.messages.message import Part
    from triocql.metadata.node import Node
    from triocql.observability.meters import Kind
    from triocql.protocol.types import ColumnSpec

logger = get_logger(__name__)

_LONGEST = 200
_FIRST = 20
"""How many statements of a batch may be shown with their values."""


class SlowLog:
    """Logs requests that took `seconds` or more: each distinct one once a minute, and how many there were meanwhile.

    Args:
        seconds: which ones are slow.
        shows_values: whether values are shown, in the text and beside it.
        registry: reads them.
    """

    def __init__(self, seconds: float, *, shows_values: bool, registry: Registry) -> None:
        self.seconds = seconds
        self._shows_values = shows_values
        self._registry = registry

    def tell(
        self,
        kind: Kind,
        execution: Execution,
        attempt: Attempt,
        error: BaseException | None,
        value: Any,
        seconds: float,
    ) -> None:
        """Log an execution that has ended (`observability.meters.SlowLog`). Never raises."""
        with suppress(Exception):  # of a value's or a codec's own code
            node = _node(execution, error, value)
            phases = _phases(execution, attempt, node, seconds)
            message = execution.message
            parts = () if message is None else tuple(message.parts())
            told: dict[str, Any] = {
                "operation": kind.operation,
                "profile": kind.profile,
                "keyspace": kind.keyspace,
                "statement": self._text(parts),
                "node": None if node is None else node.name,
                "outcome": SUCCESS if error is None else outcome_of(error),
                "seconds": seconds,
                "attempts": execution.retries + 1,
                "phases": _summed(phases),
                "history": [_tried(each) for each in execution.attempts],
            }
            logger.warning(
                "slow: %s in keyspace %s, %r%s, on %s: %s in %.3f s, %d attempts (%s)",
                told["operation"],
                told["keyspace"] or "-",
                told["statement"],
                Aside(_number(parts) + self._values(parts)),
                told["node"] or "no node",
                told["outcome"],
                seconds,
                told["attempts"],
                Aside(told_phases(phases) + _before(told["history"])),
                extra={"triocql": told},
            )

    def _text(self, parts: Iterable[Part]) -> str:
        """Return the text of a statement, or those of a batch, each once."""
        texts = dict.fromkeys(text for text, _, _ in parts)  # most are the same
        told = texts if self._shows_values else dict.fromkeys(map(without_values, texts))
        return shown("; ".join(told))

    def _values(self, parts: Iterable[Part]) -> str:
        if not self._shows_values:
            return ""
        first = islice(parts, _FIRST)
        values = ", ".join(self._read(columns, values) for _, columns, values in first if columns)
        return shortened(f" with {values}", _LONGEST) if values else ""

    def _read(self, columns: Sequence[ColumnSpec], values: bytes) -> str:
        """Return values as text: they are sent as a row is, after their number."""
        try:
            return repr(self._registry.plan(columns).page(values, 2, 1).rows(tuple)[0])
        except Exception:  # left unset, or a codec of the user's that cannot read what it writes
            return "values that cannot be read"


def _number(parts: Sequence[Part]) -> str:
    return f", {len(parts):,} statements" if len(parts) > 1 else ""


def _summed(phases: Iterable[Spent]) -> dict[str, float]:
    """Return the seconds in each phase that took any."""
    summed: dict[str, float] = {}
    for phase, seconds, _ in phases:
        if seconds > 0:
            summed[phase] = summed.get(phase, 0.0) + seconds
    return summed


def _tried(attempt: errors.Attempt) -> dict[str, Any]:
    """Return what is told of an attempt that failed: not the text of its error, which may have values in it."""
    return {
        "node": attempt.node.name,
        "outcome": outcome_of(attempt.error),
        "seconds": attempt.elapsed,
        "decision": attempt.decision,
    }


def _before(history: Sequence[Mapping[str, Any]]) -> str:
    told = (
        f"{each['outcome']} on {each['node']} in {each['seconds']:.3f} s, {each['decision']}"
        for each in history
    )
    return "; before that " + "; ".join(told) if history else ""


def _node(execution: Execution, error: BaseException | None, value: Any) -> Node | None:
    """Return the node that was waited for last, if there is any."""
    message = execution.message
    sources = (value, "coordinator"), (error, "coordinator"), (error, "node"), (message, "node")
    for source, name in sources:
        if (node := getattr(source, name, None)) is not None:
            found: Node = node
            return found
    return execution.attempts[-1].node if execution.attempts else None


def _phases(execution: Execution, attempt: Attempt, node: Node | None, seconds: float) -> tuple[Spent, ...]:
    """Return where the time went."""
    history = execution.history or History()
    written = attempt.sent - execution.started
    if written < 0:  # it never was
        return history.phases(seconds, Phase.SENDING, None)
    waited = min(max(0.0, seconds - written), history.since(seconds))
    return (
        *history.phases(seconds - waited, Phase.SENDING, None),
        Spent(Phase.WAITING.value, waited, node),
    )
