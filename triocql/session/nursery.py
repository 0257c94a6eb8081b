"""The request nursery: requests that belong to a block, as tasks belong to a nursery."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from triocql.config.checks import require_integer
from triocql.engine.requests.telling import call
from triocql.errors import Abandoned, UsageError, copy_of
from triocql.protocol.constants import MAX_INT
from triocql.results.factories import row_factory
from triocql.session.blocks import AsyncBlock

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from triocql.abc import Waiter
    from triocql.config.requests import RequestKeywords
    from triocql.engine.executing import Execution
    from triocql.engine.requests import Response
    from triocql.results.factories import RowFactory
    from triocql.results.result import Result
    from triocql.session.context import SessionContext
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters


class Handle:
    """A request of a request nursery. Await it for its `Result`, as often as you like.

    A request that fails while nobody awaits its handle ends the whole nursery.
    """

    __slots__ = ("_error", "_execution", "_factory", "_nursery", "_owed", "_result", "_waiters")

    def __init__(self, nursery: RequestNursery, factory: RowFactory[Any]) -> None:
        self._nursery = nursery
        self._factory = factory
        self._result: Result[Any] | None = None
        self._error: BaseException | None = None
        self._owed: BaseException | None = None  # a failure on its way to those who await it
        self._waiters: list[Waiter[None]] = []
        self._execution: Execution | None = None

    @property
    def done(self) -> bool:
        """Whether the request has ended."""
        return self._result is not None or self._error is not None

    def cancel(self) -> None:
        """Abandon the request. Whoever awaits it gets Abandoned; it is no failure of the nursery."""
        if not self.done:
            self._nursery._forget(self)
            self._abandon()

    def __await__(self) -> Generator[Any, Any, Result[Any]]:
        return self._wait().__await__()

    async def _wait(self) -> Result[Any]:
        waiter: Waiter[None] = self._nursery._context.waiter(lambda: self._left(waiter))
        self._waiters.append(waiter)
        if self.done:
            waiter.resolve(None)
        nursery = self._nursery
        nursery._awaiting += 1
        try:
            await waiter.wait()
        finally:
            nursery._awaiting -= 1
            nursery._check_idle()
        self._waiters.remove(waiter)
        self._owed = None
        if self._error is not None:
            raise copy_of(self._error)
        assert self._result is not None
        return self._result

    def _left(self, waiter: Waiter[None]) -> None:
        """Forget a task that awaited it and was cancelled, perhaps after the failure: then nobody may know of that."""
        self._waiters.remove(waiter)
        if not self._waiters and self._owed is not None:
            owed, self._owed = self._owed, None
            self._nursery._ended(self, owed)

    def resolve(self, response: Response) -> None:
        """Called with the response (`Sink`)."""
        if not self.done:
            self._result = self._nursery._context.result(response, self._execution, self._factory)
        self._end()
        self._nursery._ended(self, None)

    def reject(self, error: BaseException) -> None:
        """Called with the error (`Sink`)."""
        if self.done:
            failure = None
        else:
            self._error = error
            self._owed, failure = (error, None) if self._waiters else (None, error)
        self._end()
        self._nursery._ended(self, failure)

    def _abandon(self) -> None:
        """End without an answer, unless it has ended."""
        if self.done:
            return
        self._error = Abandoned("the request was abandoned before it was answered")
        self._end()
        # Last: if the stack ends before, the end of the execution tells those who await it.
        if self._execution is not None:
            self._execution.abandon()

    def _end(self) -> None:
        call([partial(waiter.resolve, None) for waiter in self._waiters])


class _Bounded(Handle):
    """A handle that there was room for: there are no more of them than the nursery's concurrency (`Sink`)."""

    __slots__ = ()
    bounded = True


class RequestNursery(AsyncBlock):
    """Made by `open_request_nursery`: an async context manager that its requests cannot outlive."""

    def __init__(self, context: SessionContext, concurrency: int) -> None:
        require_integer(concurrency, "concurrency", 1, MAX_INT)
        self._context = context
        self._awaiting = 0  # tasks that await handles and were not resumed yet
        self._concurrency = concurrency
        self._live: dict[Handle, None] = {}
        self._queue: deque[Waiter[None]] = deque()
        self._reserved = 0
        self._failure: BaseException | None = None
        self._entered = False
        self._open = False
        self._idle: Waiter[None] | None = None

    async def start(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Handle:
        """Start a request once fewer than `concurrency` are under way, and return its handle.

        Arguments are those of `Session.execute`. Raises the failure that ended the nursery, if one did, and
        UsageError. Values that the statement does not take are a failure of the request: a node is asked again what it
        takes before they are refused. A checkpoint, always.
        """
        await self._room()
        try:
            return self._begin(_Bounded(self, row_factory(row_type)), statement, parameters, options)
        finally:
            self._grant()  # what could not be started takes no room
            self._check_idle()

    def start_soon(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Handle:
        """Start a request now, however many are under way; otherwise as `start`."""
        return self._begin(Handle(self, row_factory(row_type)), statement, parameters, options)

    def _begin(
        self, handle: Handle, statement: Executable, parameters: Parameters, options: RequestKeywords
    ) -> Handle:
        if self._failure is not None:
            raise self._failure
        if not self._open:
            raise UsageError("the request nursery is not open: use it inside its `async with` block")
        call = self._context.call_options(options)
        self._live[handle] = None
        try:
            handle._execution = self._context.protected(
                self._context.executor.start, handle, statement, parameters, call
            )
        except BaseException:
            self._forget(handle)
            raise
        return handle

    # --- The block -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("a request nursery is entered once; open another one")
        self._entered = self._open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None:
                await self._all_ended()
        finally:
            self._open = False
            self._abandon_all()
        if exc is None and self._failure is not None:
            raise self._failure

    async def _all_ended(self) -> None:
        """Wait until nothing is under way, and nobody waits for room or has yet to learn of an end: what they start
        then is waited for, too. A checkpoint, always.
        """
        while True:
            self._idle = self._context.waiter(lambda: None)
            self._check_idle()
            await self._idle.wait()
            if self._is_idle:
                return

    @property
    def _is_idle(self) -> bool:
        return not (self._live or self._queue or self._reserved or self._awaiting)

    def _check_idle(self) -> None:
        """Have the block left if that waits for nothing any more."""
        if self._idle is not None and self._is_idle:
            self._idle.resolve(None)

    # --- Room ----------------------------------------------------------------------------------------------

    async def _room(self) -> None:
        """Wait, first come first served, until there is room, and reserve it. A checkpoint, always."""
        waiter: Waiter[None] = self._context.waiter(lambda: self._give_back(waiter))
        self._queue.append(waiter)
        self._grant()
        await waiter.wait()
        self._reserved -= 1

    def _grant(self) -> None:
        """Wake those who wait for room: as many as there is room for, all of them after a failure."""
        while self._queue and (
            self._failure is not None or len(self._live) + self._reserved < self._concurrency
        ):
            self._reserved += 1
            self._queue.popleft().resolve(None)

    def _give_back(self, waiter: Waiter[None]) -> None:
        """Forget a task that waited for room and was cancelled, perhaps after it was granted: the next one gets it."""
        if waiter in self._queue:
            self._queue.remove(waiter)
        else:
            self._reserved -= 1
            self._grant()
        self._check_idle()

    def _abandon_all(self) -> None:
        live, self._live = self._live, {}
        call([handle._abandon for handle in live])
        self._grant()

    # --- Called by handles ----------------------------------------------------------------------------------

    def _ended(self, handle: Handle, failure: BaseException | None) -> None:
        """Called when a request has ended; with a failure that nobody was waiting for, everything else ends, too."""
        self._live.pop(handle, None)
        if failure is not None and self._failure is None:
            self._failure = failure
            self._abandon_all()
        self._grant()
        self._check_idle()

    def _forget(self, handle: Handle) -> None:
        """Remove a request, and give its room to the next one."""
        self._live.pop(handle, None)
        self._grant()
        self._check_idle()
