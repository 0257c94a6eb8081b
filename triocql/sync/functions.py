"""The functions that take a session of a program that blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._hints import check_session
from triocql.sync.nursery import RequestNursery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.session.outcomes import ExecutionResult
    from triocql.session.sources import Item
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters
    from triocql.sync.concurrent import ConcurrentStream
    from triocql.sync.session import Session


def execute_concurrent(
    session: Session,
    statements_and_parameters: Iterable[Item],
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
            and its parameters, as tuples or lists; any iterable. It is taken from in the caller's thread, some chunks
            ahead; while it waits there, what was taken is sent, but nothing can be raised.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.
        profile: the profile of the requests; it goes before those of statements.
        row_type: what rows are given as, see `triocql.Session.execute`.

    Raises OptionError for an argument that is not valid, RequestTimeout after `timeout`, what the iterable raises, and
    what `Session.execute` raises; `Error.index` says which statement that was, counted from 0. Once it has raised,
    nothing further is sent.

    >>> results = execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    """
    check_session(session, blocks=True)
    return session.execute_concurrent(
        statements_and_parameters,
        concurrency,
        raise_on_first_error,
        timeout=timeout,
        profile=profile,
        row_type=row_type,
    )


def execute_concurrent_with_args(
    session: Session,
    statement: Executable,
    parameters: Iterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    profile: str | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                   # doctest: +SKIP
    >>> execute_concurrent_with_args(session, insert, rows, concurrency=200)           # doctest: +SKIP
    """
    check_session(session, blocks=True)
    return session.execute_concurrent_with_args(
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
    statements_and_parameters: Iterable[Item],
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
        statements_and_parameters: as for `execute_concurrent`; taken from by the consumer's own steps.
        concurrency: how many are under way or wait to be taken.
        raise_on_first_error: raise the first error, after the outcomes that were there before it.
        ordered: outcomes in the order of the input; with False, in the order of their ends.
        timeout: seconds for all of it.
        profile: the profile of the requests; it goes before those of statements.
        row_type: what rows are given as, see `triocql.Session.execute`.

    Returns a context manager over an iterator of `ExecutionResult`. Raises OptionError for an argument that is not
    valid.

    >>> with stream_concurrent(session, ((select, [k]) for k in keys)) as results:     # doctest: +SKIP
    ...     for success, result in results:
    ...         print(result.one())
    """
    check_session(session, blocks=True)
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

    Leaving the block waits for all requests. A failure that nobody waits for, or an exception in the block, stops the
    sending and abandons what is in flight; what failed leaves the block as it is.

    Args:
        session: the session.
        concurrency: how many requests `RequestNursery.start` lets be under way at the same time.

    Raises OptionError for a concurrency that is no integer from 1.

    >>> with triocql.sync.open_request_nursery(session, concurrency=200) as nursery:   # doctest: +SKIP
    ...     for line in lines:
    ...         nursery.start(insert, line)
    """
    check_session(session, blocks=True)
    return RequestNursery(session._portal, concurrency)
