"""The functions that take a session: those of `triocql.__all__` that execute many statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._hints import check_session
from triocql.session.nursery import RequestNursery

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from triocql.session.concurrent import ConcurrentStream
    from triocql.session.outcomes import ExecutionResult
    from triocql.session.session import Session
    from triocql.session.sources import Statements
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters


async def execute_concurrent(
    session: Session,
    statements_and_parameters: Statements,
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    profile: str | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute many statements, `concurrency` of them at a time, and return the outcomes in the order of the input.

    Args:
        session: the session.
        statements_and_parameters: statements (text, `Statement`, prepared, bound, `Batch`) or pairs of a statement
            and its parameters, as tuples or lists; a list, a generator or an async iterator, taken from as there is
            room. An iterator is taken from on the event loop and must not block it. An async iterator is taken from
            in a task of its own, in the context (`contextvars`) of the caller; whatever ends the call cancels it
            there, and waits for its end.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.
        profile: the profile of the requests; it goes before those of statements.
        row_type: what rows are given as, see `Session.execute`.

    Raises OptionError for an argument that is not valid, RequestTimeout after `timeout`, what the iterator raises, and
    what `execute` raises; `Error.index` says which statement that was, counted from 0. Once it has raised or was
    cancelled, nothing further is sent.

    >>> results = await execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    >>> all(result.success for result in results)                                              # doctest: +SKIP
    True
    """
    check_session(session, blocks=False)
    return await session.execute_concurrent(
        statements_and_parameters,
        concurrency,
        raise_on_first_error,
        timeout=timeout,
        profile=profile,
        row_type=row_type,
    )


async def execute_concurrent_with_args(
    session: Session,
    statement: Executable,
    parameters: Iterable[Parameters] | AsyncIterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    profile: str | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                      # doctest: +SKIP
    >>> await execute_concurrent_with_args(session, insert, rows, concurrency=200)        # doctest: +SKIP
    """
    check_session(session, blocks=False)
    return await session.execute_concurrent_with_args(
        statement,
        parameters,
        concurrency,
        raise_on_first_error,
        timeout=timeout,
        profile=profile,
        row_type=row_type,
    )


def stream_concurrent(
    session: Session,
    statements_and_parameters: Statements,
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    ordered: bool = True,
    timeout: float | None = None,
    profile: str | None = None,
    row_type: type[Any] | None = None,
) -> ConcurrentStream:
    """Execute many statements and hand over the outcomes one by one, in bounded memory.

    What is under way and what has ended but was not taken yet are `concurrency` together: a slow consumer slows the
    sending down. Leaving the block abandons the rest.

    Args:
        session: the session.
        statements_and_parameters: as for `execute_concurrent`. Outcomes are handed over, and errors and the timeout
            raised, even while an async iterator waits: it may wait for what becomes of earlier outcomes.
        concurrency: how many are under way or wait to be taken.
        raise_on_first_error: raise the first error, after the outcomes that were there before it.
        ordered: outcomes in the order of the input; with False, in the order of their ends.
        timeout: seconds for all of it.
        profile: the profile of the requests; it goes before those of statements.
        row_type: what rows are given as, see `Session.execute`.

    Returns an async context manager over an async iterator of `ExecutionResult`. Raises OptionError for an argument
    that is not valid.

    >>> async with stream_concurrent(session, ((select, [k]) for k in keys)) as results:   # doctest: +SKIP
    ...     async for success, result in results:
    ...         print(result.one())
    """
    check_session(session, blocks=False)
    return session.stream_concurrent(
        statements_and_parameters,
        concurrency,
        raise_on_first_error,
        ordered=ordered,
        timeout=timeout,
        profile=profile,
        row_type=row_type,
    )


def open_request_nursery(session: Session, concurrency: int = 100) -> RequestNursery:
    """Open a block that requests belong to; what `execute_concurrent` is for when statements come one by one.

    Leaving the block waits for all requests, those included that other tasks start meanwhile. A failure that nobody
    awaits, an exception or a cancellation in the block stop the sending and abandon what is in flight; what failed
    leaves the block as it is, unwrapped.

    Args:
        session: the session.
        concurrency: how many requests `RequestNursery.start` lets be under way at the same time.

    Raises OptionError for a concurrency that is no integer from 1.

    >>> async with triocql.open_request_nursery(session, concurrency=200) as nursery:    # doctest: +SKIP
    ...     async for line in lines:
    ...         await nursery.start(insert, line)
    """
    check_session(session, blocks=False)
    return RequestNursery(session._context, concurrency)
