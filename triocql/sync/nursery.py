"""The request nursery of programs that block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.errors import SessionClosed
from triocql.session import nursery
from triocql.session.blocks import BlockingBlock
from triocql.sync.results import for_blocking

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from triocql.config.requests import RequestKeywords
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters
    from triocql.sync.portal import Portal
    from triocql.sync.results import Result


class Handle:
    """A request of a request nursery. One that fails while nobody waits in `result` ends the whole nursery."""

    def __init__(self, portal: Portal, handle: nursery.Handle) -> None:
        self._portal = portal
        self._handle = handle

    @property
    def done(self) -> bool:
        """Whether the request has ended."""
        return self._handle.done

    def result(self) -> Result[Any]:
        """Wait for the `Result`. Raises what the request failed with."""

        async def wait() -> Any:
            return await self._handle

        return for_blocking(self._portal, self._portal.run(wait))

    def cancel(self) -> None:
        """Abandon the request. Whoever waits for it gets Abandoned; it is no failure of the nursery."""
        self._portal.call(self._handle.cancel)


class RequestNursery(BlockingBlock):
    """Made by `open_request_nursery`: a context manager that its requests cannot outlive."""

    def __init__(self, portal: Portal, concurrency: int) -> None:
        self._portal = portal
        self._nursery = nursery.RequestNursery(portal.context, concurrency)

    def start(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Handle:
        """Start a request once fewer than `concurrency` are under way, and return its handle.

        Arguments are those of `Session.execute`. Raises the failure that ended the nursery, if one did, and
        UsageError and its kinds.
        """
        handle = self._portal.run(self._nursery.start, statement, parameters, row_type=row_type, **options)
        return Handle(self._portal, handle)

    def __enter__(self) -> Self:
        self._portal.run(self._nursery.__aenter__)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._portal.run(self._nursery.__aexit__, exc_type, exc, tb)
        except SessionClosed:
            if exc is None:
                raise
