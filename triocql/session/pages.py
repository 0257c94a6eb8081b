"""The pages of a statement, read one after the other, with the next ones already on their way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from triocql.config.checks import require_integer
from triocql.errors import PagingLoop, UsageError, copy_of
from triocql.protocol.constants import MAX_INT
from triocql.statements.paging import Progress

if TYPE_CHECKING:
    from triocql.abc import Waiter
    from triocql.codecs.rows import Page
    from triocql.config.requests import RequestOptions
    from triocql.engine.executing import Execution
    from triocql.engine.executing.executor import Executor
    from triocql.engine.requests import Response
    from triocql.session.blocks import Block
    from triocql.session.context import SessionContext
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters


class PageQueue:
    """Pages that were fetched but not taken yet, `ahead` at most, and the fetching of the next one.

    No task and no scope: the arrival of a page starts the fetch of the next, as long as there is room.

    Attributes:
        waiter: whoever waits for a page.
    """

    def __init__(self, executor: Executor, ahead: int) -> None:
        self._executor = executor
        self._ahead = ahead
        self._pages: deque[Response] = deque()
        self._execution: Execution | None = None
        self.waiter: Waiter[None] | None = None
        self._error: BaseException | None = None
        self._state: bytes | None = None
        self._progress = Progress(None)
        self._closed = False

    def start(self, statement: Executable, parameters: Parameters, call: RequestOptions) -> None:
        """Fetch the first page. Raises UsageError and its kinds."""
        self._execution = self._executor.start(self, statement, parameters, call)

    def resolve(self, response: Response) -> None:
        """Called with a page (`Sink`)."""
        try:
            self._progress.reached(response.paging_state)
        except PagingLoop as error:
            self.reject(error)
            return
        self._state = response.paging_state
        self._pages.append(response)
        self._fetch()
        self._wake()

    def reject(self, error: BaseException) -> None:
        """Called with an error: it is raised once the pages before it are read (`Sink`)."""
        self._error = error
        self._wake()

    def take(self) -> Response | None:
        """Return the next page if it is here, and have another one fetched. Raises what the fetch raised."""
        if self._pages:
            page = self._pages.popleft()
            self._fetch()
            return page
        if self._error is not None:
            raise copy_of(self._error)  # again and again: what follows a page that failed is not the end
        return None

    @property
    def is_over(self) -> bool:
        """Whether every page was taken."""
        return not self._pages and self._state is None and self._error is None and not self._fetching

    def attach(self, waiter: Waiter[None]) -> None:
        """Resolve `waiter` when `take` has something, at once if it has already."""
        self.waiter = waiter
        self._fetch()
        if self._pages or self._error is not None or self.is_over:
            waiter.resolve(None)

    def close(self) -> None:
        """Abandon what is being fetched and drop what is here."""
        self._closed = True
        self._state = None
        self._pages.clear()
        if self._execution is not None:
            self._execution.abandon()
        self._wake()

    @property
    def _fetching(self) -> bool:
        return self._execution is not None and not self._execution.is_done

    def _fetch(self) -> None:
        """Fetch the next page if there is one, none is on its way, and somebody waits or there is room for it."""
        if self._state is None or self._closed or self._fetching:
            return
        wanted = not self._pages and self.waiter is not None
        if wanted or len(self._pages) < self._ahead:
            assert self._execution is not None
            self._execution = self._executor.start_next_page(self, self._execution, self._state)

    def _wake(self) -> None:
        if self.waiter is not None:
            self.waiter.resolve(None)


class PageReader:
    """Reads the pages of one statement: what the streams of both kinds of sessions stand on.

    Args:
        context: starts the requests.
        statement: the statement.
        parameters: its values.
        call: the options of the call.
        prefetch: how many pages are kept ready ahead of the one that is being read.
        block: the block that the pages have to be read in.

    Raises OptionError for a prefetch that is not valid.
    """

    __slots__ = ("_block", "_call", "_context", "_parameters", "_queue", "_statement")

    def __init__(
        self,
        context: SessionContext,
        statement: Executable,
        parameters: Parameters,
        call: RequestOptions,
        prefetch: int,
        block: Block,
    ) -> None:
        require_integer(prefetch, "prefetch", 0, MAX_INT)
        self._context = context
        self._statement = statement
        self._parameters = parameters
        self._call = call
        self._queue = PageQueue(context.executor, prefetch)
        self._block = block

    def open(self) -> None:
        """Fetch the first page. Raises UsageError and its kinds."""
        self._context.protected(self._queue.start, self._statement, self._parameters, self._call)

    def close(self) -> None:
        """Abandon what is being fetched."""
        self._queue.close()

    async def next(self) -> Page | None:
        """Return the next page, None after the last one. Raises UsageError outside the block."""
        self._block.check_open()
        while not self._queue.is_over:
            await self._wait()
            self._block.check_open()
            response = self._queue.take()
            if response is not None and response.page is not None:
                return response.page
        return None

    async def _wait(self) -> None:
        queue = self._queue
        if queue.waiter is not None:
            raise UsageError("two tasks iterate over the same stream; give each its own")
        waiter: Waiter[None] = self._context.waiter(_nothing)
        try:
            queue.attach(waiter)
            await waiter.wait()
        finally:
            queue.waiter = None  # without a call: the stack may be at its end


def _nothing() -> None:
    """The `on_cancel` of a wait that leaves nothing to clean up: the block does."""
