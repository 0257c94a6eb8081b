"""The log of slow requests: one line each, with where the time went."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.engine.requests.overdue import told_phases
from triocql.errors import Spent
from triocql.observability.logs import Aside, get_logger
from triocql.observability.meter import outcome_of
from triocql.observability.metrics import SUCCESS
from triocql.statements.texts import shortened, shown, without_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.codecs.registry import Registry
    from triocql.engine.executing import Attempt, Execution
    from triocql.metadata.node import Node
    from triocql.observability.meters import Kind
    from triocql.protocol.types import ColumnSpec

logger = get_logger(__name__)

_LONGEST = 200


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
        with suppress(Exception):  # of a handler of the log's
            node = _node(execution, error, value)
            logger.warning(
                "slow: %s in keyspace %s, %r%s, on %s: %s in %.3f s, %d attempts (%s)",
                kind.operation,
                kind.keyspace or "-",
                self._text(execution.statement),
                Aside(self._values(execution)),
                node.name if node is not None else "no node",
                SUCCESS if error is None else outcome_of(error),
                seconds,
                execution.retries + 1,
                Aside(told_phases(_phases(execution, attempt, node, seconds))),
            )

    def _text(self, text: str) -> str:
        return shown(text if self._shows_values else without_values(text))

    def _values(self, execution: Execution) -> str:
        if not self._shows_values or execution.message is None:
            return ""
        columns, values = execution.message.bound()
        return shortened(f" with {self._read(columns, values)}" if columns else "", _LONGEST)

    def _read(self, columns: Sequence[ColumnSpec], values: bytes) -> str:
        """Return values as text: they are sent as a row is, after their number."""
        try:
            return repr(self._registry.plan(columns).page(values, 2, 1).rows(tuple)[0])
        except Exception:  # left unset, or a codec of the user's that cannot read what it writes
            return "values that cannot be read"


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
