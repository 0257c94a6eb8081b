"""The executor, as the windows below it see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from triocql.config.requests import RequestOptions
    from triocql.engine.contracts import Admitting, Sink
    from triocql.engine.executing.context import ExecutionContext
    from triocql.engine.executing.execution import Execution
    from triocql.engine.executing.template import ExecuteTemplate
    from triocql.engine.requests.queue import RequestQueue
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

    def queue(self, call: RequestOptions) -> RequestQueue[Any]:
        """Return what requests with these options wait for room in. Raises OptionError for an unknown profile."""

    def throttling(self, call: RequestOptions) -> Admitting | None:
        """Return what requests with these options wait for. Raises OptionError for a profile that there is not."""

    def template_of(self, statement: Any, call: RequestOptions) -> ExecuteTemplate | None:
        """Return what starts executions of `statement` the shortest way, None if it is not of the kind that has it."""
