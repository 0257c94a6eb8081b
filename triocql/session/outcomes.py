"""The outcomes of many statements, and how they are made of responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from triocql.results.factories import row_factory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from triocql.engine.executing import Entry, Execution
    from triocql.engine.requests import Response
    from triocql.results.result import BaseResult

    MakeResult: TypeAlias = Callable[[Response, Execution | None], BaseResult[Any]]


class ExecutionResult(NamedTuple):
    """The outcome of one statement: whether it succeeded, and its `Result` or its exception."""

    success: bool
    result_or_exc: Any


def result_maker(make: Callable[..., BaseResult[Any]], row_type: type[Any] | None) -> MakeResult:
    """Return what makes the results of a call, by `make`. Raises OptionError for a class that rows cannot be."""
    return make if row_type is None else partial(make, factory=row_factory(row_type))


def outcome(
    make_result: MakeResult, entry: Entry, response: Response | None, error: BaseException | None
) -> ExecutionResult:
    """Return the outcome of an entry as users see it."""
    if response is None:
        return ExecutionResult(False, error)
    return ExecutionResult(True, make_result(response, entry.execution))
