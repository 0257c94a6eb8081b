"""Asking the nodes how large a table is: all at once, and for a short time only."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from triocql.bulk.estimates import question
from triocql.config.requests import RequestOptions
from triocql.metadata.node import Distance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triocql.engine.executing import Execution
    from triocql.engine.executing.executor import Executor
    from triocql.engine.requests import Response
    from triocql.metadata.node import Node
    from triocql.metadata.schema import Relation

SECONDS = 2.0
"""How long nodes have to answer. Whoever does not, is not waited for."""


class Estimating:
    """Asks each local node for its estimates of a table. What goes wrong is left out: they are a hint.

    Args:
        executor: starts requests.
        table: the table.
        on_end: called when nothing is waited for any more.

    Attributes:
        rows: what the nodes have told.
    """

    def __init__(self, executor: Executor, table: Relation, on_end: Callable[[], None]) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self._executor = executor
        self._question = question(table)
        self._on_end = on_end
        self._asked: dict[_Answer, Execution | None] = {}

    def start(self) -> None:
        """Ask."""
        pools = self._executor.router.pools
        nodes = [pool.node for pool in pools if pool.node.distance is Distance.LOCAL and pool.has_open()]
        answers = [_Answer(self) for _ in nodes]
        self._asked = dict.fromkeys(answers)
        for node, answer in zip(nodes, answers, strict=True):
            self._ask(node, answer)
        if not nodes:
            self._on_end()

    def _ask(self, node: Node, answer: _Answer) -> None:
        options = RequestOptions(node=node, timeout=SECONDS)
        try:
            execution = self._executor.ask(answer, self._question, options)
        except Exception:  # of the user's code, too
            self.ended(answer)
        except BaseException:
            self.close()
            raise
        else:
            if answer in self._asked:
                self._asked[answer] = execution

    def ended(self, answer: _Answer) -> None:
        """Called when one has answered, or will not."""
        self._asked.pop(answer, None)
        if not self._asked:
            self._on_end()

    def close(self) -> None:
        """Wait for nobody any more."""
        asked, self._asked = self._asked, {}
        for execution in asked.values():
            if execution is not None:
                execution.abandon()


class _Answer:
    """What one node answers; a sink."""

    bounded = True

    def __init__(self, estimating: Estimating) -> None:
        self._estimating = estimating

    def resolve(self, response: Response) -> None:
        """Called with the rows (`Sink`)."""
        if response.page is not None:
            with suppress(Exception):  # what cannot be decoded, also by codecs of the user's
                self._estimating.rows += response.page.rows(dict)
        self._estimating.ended(self)

    def reject(self, error: BaseException) -> None:
        """Called with the error (`Sink`)."""
        self._estimating.ended(self)
