"""The outcomes of many statements, and how they are made of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from triocql.results.factories import row_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.engine.executing import Entry, Execution
    from triocql.engine.requests import Response
    from triocql.results.factories import RowFactory
    from triocql.results.result import BaseResult, Pager


class ExecutionResult(NamedTuple):
    """The outcome of one statement: whether it succeeded, and its `Result` or its exception."""

    success: bool
    result_or_exc: Any


class ResultMaker:
    """Makes the results of a call. Raises OptionError for a class that rows cannot be.

    Args:
        result: their class.
        pager: makes what fetches the pages that follow.
        row_type: what rows are given as.
    """

    __slots__ = ("factory", "pager", "result")

    def __init__(
        self,
        result: type[BaseResult[Any]],
        pager: Callable[[Execution], Pager],
        row_type: type[Any] | None,
    ) -> None:
        self.result = result
        self.pager = pager
        self.factory: RowFactory[Any] = row_factory(row_type)

    def make(self, response: Response, execution: Execution | None) -> BaseResult[Any]:
        """Return what users get for the response to `execution`."""
        if execution is None or (response.paging_state is None and response.extras is None):
            return self.result(response, self.factory)
        return self.result(response, self.factory, self.pager(execution))

    def outcome(
        self, entry: Entry, response: Response | None, error: BaseException | None
    ) -> ExecutionResult:
        """Return the outcome of an entry as users see it."""
        if response is None:
            return ExecutionResult(False, error)
        return ExecutionResult(True, self.make(response, entry.execution))
