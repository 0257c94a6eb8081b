"""The request nursery of programs that block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._hints import check_session
from triocql.errors import SessionClosed
from triocql.session import nursery as waiting
from triocql.session.blocks import BlockingBlock
from triocql.sync.results import Result

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from triocql.config.requests import RequestKeywords
    from triocql.statements.statement import Parameters
    from triocql.sync.session import Session


class Handle:
    """A request of a request nursery. One that fails while nobody waits in `result` ends the whole nursery."""

    def __init__(self, session: Session, handle: waiting.Handle) -> None:
        self._session = session
        self._handle = handle

    @property
    def done(self) -> bool:
        """Whether the request has ended."""
        return self._handle.done

    def result(self) -> Result[Any]:
        """Wait for the `Result`. Raises what the request failed with."""

        async def wait() -> Any:
            return await self._handle

        return Result.of(self._session, self._session.run(wait))

    def cancel(self) -> None:
        """Abandon the request. Whoever waits for it gets Abandoned; it is no failure of the nursery."""
        self._session.call(self._handle.cancel)


class RequestNursery(BlockingBlock):
    """Made by `open_request_nursery`: a context manager that its requests cannot outlive."""

    def __init__(self, session: Session, nursery: waiting.RequestNursery) -> None:
        self._session = session
        self._nursery = nursery

    def start(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Handle:
        """Start a request once fewer than `concurrency` are under way, and return its handle.

        Arguments are those of `Session.execute`. Raises the failure that ended the nursery, if one did, and
        UsageError and its kinds.
        """
        handle = self._session.run(self._nursery.start, statement, parameters, row_type=row_type, **options)
        return Handle(self._session, handle)

    def __enter__(self) -> Self:
        self._session.run(self._nursery.__aenter__)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._session.run(self._nursery.__aexit__, exc_type, exc, tb)
        except SessionClosed:
            if exc is None:
                raise


def open_request_nursery(session: Session, concurrency: int = 100) -> RequestNursery:
    """Open a block that requests belong to; what `execute_concurrent` is for when statements come one by one.

    Leaving the block waits for all requests. A failure that nobody waits for, or an exception in the block, stops the
    sending and abandons what is in flight; what failed leaves the block as it is.

    Args:
        session: the session.
        concurrency: how many requests `RequestNursery.start` lets be under way at the same time.

    Raises ValueError for a concurrency below 1.

    >>> with triocql.sync.open_request_nursery(session, concurrency=200) as nursery:   # doctest: +SKIP
    ...     for line in lines:
    ...         nursery.start(insert, line)
    """
    check_session(session, blocks=True)
    return RequestNursery(session, waiting.open_request_nursery(session.inner, concurrency))
