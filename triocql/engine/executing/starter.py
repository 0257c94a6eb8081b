"""The executor, and what makes results, as the windows below them see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from triocql.config.requests import RequestOptions
    from triocql.engine.contracts import Sink
    from triocql.engine.executing.context import ExecutionContext
    from triocql.engine.executing.execution import Execution
    from triocql.engine.executing.template import ExecuteTemplate
    from triocql.engine.requests import Response
    from triocql.engine.routing.router import Router
    from triocql.statements.statement import Parameters


class Starter(Protocol):
    """Starts requests of any kind."""

    router: Router
    context: ExecutionContext

    def start(
        self, sink: Sink, statement: Any, parameters: Parameters = ..., call: RequestOptions = ...
    ) -> Execution:
        """Start a request. Raises what the caller did wrong."""

    def template_of(self, statement: Any, call: RequestOptions) -> ExecuteTemplate | None:
        """Return what starts executions of `statement` the shortest way, None if it is not of the kind that has it."""


class Results(Protocol):
    """Makes results of responses.

    Attributes:
        result: the class of results, a `Kept`.
        factory: makes rows.
    """

    result: Any
    factory: Any

    def make(self, response: Response, execution: Execution | None) -> Any:
        """Return the result of the response to `execution`."""
