"""The results of calls: `Result`, a page of rows and the way to the next ones, and the `Trace` of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, overload

from triocql._brief import some_names
from triocql._hints import RESULT, old_names
from triocql.engine.requests import Kept
from triocql.errors import NoSingleRow, PagesRemain, UsageError
from triocql.results.columns import AsColumns
from triocql.results.factories import APPLIED, R_co
from triocql.statements.paging import PagingState, Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address
    from typing import Self
    from uuid import UUID

    from triocql.codecs.rows import Page
    from triocql.engine.requests import Response
    from triocql.metadata.node import Node
    from triocql.protocol.constants import Consistency
    from triocql.protocol.responses import Extras, SchemaChange
    from triocql.protocol.types import ColumnSpec
    from triocql.results.factories import RowFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """A step in the work on a request.

    Attributes:
        activity: what was done, in the server's words.
        source: the node that did it.
        elapsed: microseconds since that node began with the request; None if it is not known.
        at: when it was done.
        thread: the thread of the server.
    """

    activity: str
    source: IPv4Address | IPv6Address | None
    elapsed: int | None
    at: datetime
    thread: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The server's record of a request that was executed with ``tracing=True``: see `Result.trace`.

    Attributes:
        id: the session id in the tables of `system_traces`.
        request: the kind of request.
        parameters: what it was called with, the statement and the consistency among others.
        client: where it came from.
        coordinator: the node that it was sent to.
        started_at: when that node began with it.
        duration: microseconds until the node had ended it; None if it had not, in a trace that is not complete.
        events: the steps, of all nodes, in the order of their time.
    """

    id: UUID
    request: str | None
    parameters: Mapping[str, str]
    client: IPv4Address | IPv6Address | None
    coordinator: IPv4Address | IPv6Address | None
    started_at: datetime | None
    duration: int | None
    events: tuple[TraceEvent, ...]


class Pager(Protocol):
    """The way from a result to its next pages: made by the session for each statement that is executed."""

    @property
    def fingerprint(self) -> bytes:
        """An identification of the statement and its values, of 1 to 64 bytes."""

    async def fetch(self, paging_state: bytes) -> Response:
        """Execute the statement again from the server's paging state on."""

    async def trace(
        self, tracing_id: UUID, consistency: Consistency | str | None, timeout: float | None, complete: bool
    ) -> Trace:
        """Read a trace (`Result.trace`)."""


@old_names(RESULT)
class BaseResult(AsColumns, Kept, Generic[R_co]):
    """The base of the results of asynchronous and of blocking sessions: the page that is here."""

    __slots__ = ()

    _ALL_PAGES: ClassVar[str]
    _ALL_COLUMNS: ClassVar[str]

    if TYPE_CHECKING:
        _factory: RowFactory[R_co]

        def __init__(
            self, response: Response, factory: RowFactory[R_co], pager: Pager | None = None
        ) -> None: ...

    # --- The page ---

    @property
    def rows(self) -> list[R_co]:
        """The rows of this page, [] for a statement that gives none. Raises DecodeError or RowTypeError."""
        return self._all()

    def one(self) -> R_co | None:
        """Return the first row, None if there is none.

        Raises PagesRemain if this page is empty and others follow, as filtering may have it.
        """
        row: R_co | None = self._sole()
        if row is not None:
            return row
        rows = self.rows
        return rows[0] if rows or self else None

    def exactly_one(self) -> R_co:
        """Return the row if it is the only one. Raises NoSingleRow, or PagesRemain if more pages follow."""
        if len(self) > 1:
            raise NoSingleRow(f"there are {len(self):,} rows or more; exactly one was expected")
        if self.has_more_pages:
            raise PagesRemain(f"more pages follow, which may have more rows: use {self._ALL_PAGES}")
        if not len(self):
            raise NoSingleRow("there is no row; exactly one was expected")
        return self.rows[0]

    def scalar(self) -> Any:
        """Return the first column of the first row, None without a row; `row_type` plays no part in it.

        Raises PagesRemain as `one` does.

        >>> async def count(session: Session) -> int:
        ...     return (await session.execute("SELECT count(*) FROM users")).scalar()
        """
        page = self._page()
        rows = [] if page is None else page.cursor().take(1, tuple)
        return rows[0][0] if rows or self else None

    def __bool__(self) -> bool:
        """Whether there is a row. Raises PagesRemain if only the pages that follow can tell."""
        if not len(self) and self.has_more_pages:
            raise PagesRemain(f"this page is empty, but more follow: use {self._ALL_PAGES}")
        return len(self) > 0

    def __len__(self) -> int:
        page = self._page()
        return 0 if page is None else self._factory.count(page)

    @overload
    def __getitem__(self, index: int) -> R_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[R_co]: ...
    def __getitem__(self, index: int | slice) -> R_co | list[R_co]:
        rows = self.rows
        try:
            return rows[index]
        except TypeError:
            if isinstance(index, str):
                raise UsageError(
                    f"a result is indexed by row numbers; take the column from a row: result[0].{some_names([index])}"
                ) from None
            raise

    __reversed__ = None  # else a loop over this page alone

    def _only_page(self) -> Page | None:
        if self.has_more_pages:
            raise PagesRemain(
                f"this result has more pages, which columns would lack: write {self._ALL_COLUMNS}"
            )
        return self._page()

    # --- What follows ---

    @property
    def _state(self) -> bytes | None:
        return None if self._whole is None else self._whole.paging_state

    @property
    def has_more_pages(self) -> bool:
        """Whether the server has more pages; the last of them may turn out to be empty."""
        return self._state is not None

    @property
    def paging_state(self) -> PagingState | None:
        """The position of the next page, for the option `paging_state`; None on the last page."""
        state = self._state
        if state is None or self._pager is None:
            return None
        return PagingState.wrap(state, self._pager.fingerprint)

    # --- What comes with it ---

    @property
    def _extras(self) -> Extras | None:
        return None if self._whole is None else self._whole.extras

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """The keyspace, table, name and type of each column."""
        page = self._page()
        return () if page is None else page.plan.columns

    @property
    def applied(self) -> bool | None:
        """Whether the condition of a conditional update held; None for all other statements."""
        page = self._page()
        if page is None or page.plan.names[:1] != (APPLIED,):
            return None
        for row in page.cursor().take(1, tuple):
            return bool(row[0])
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the server."""
        extras = self._extras
        return () if extras is None else extras.warnings

    @property
    def custom_payload(self) -> Mapping[str, bytes | None] | None:
        """The payload that a query handler of the server's own added; None if there is none."""
        extras = self._extras
        return None if extras is None else extras.payload

    @property
    def schema_change(self) -> SchemaChange | None:
        """The change of the schema that the statement made; None if it made none."""
        extras = self._extras
        return None if extras is None else extras.schema_change

    @property
    def schema_agreed(self) -> bool | None:
        """Whether all nodes that are up have the change that the statement made of the schema; False if they had not
        within `schema_agreement_timeout`. None if it made none, and where nobody waited for it: with a timeout of 0,
        and in `execute_concurrent` and its kin. See `Session.schema_agreement`.
        """
        extras = self._extras
        return None if extras is None else extras.schema_agreed

    @property
    def coordinator(self) -> Node | None:
        """The node that answered; ``str()`` gives its address. None for what was never sent."""
        return self._node

    def _traced(self) -> tuple[Any, UUID]:
        """Return what the trace is found with."""
        extras = self._extras
        if extras is None or extras.tracing_id is None or self._pager is None:
            raise UsageError("the request was not traced; execute it with tracing=True")
        return self._pager, extras.tracing_id

    def __repr__(self) -> str:
        more = ", more pages follow" if self.has_more_pages else ""
        return f"Result({len(self)} rows of {len(self.columns)} columns{more})"


class Result(BaseResult[R_co]):
    """The answer to a statement: one page of rows, and all the pages after it.

    The page that is here: `rows`, ``result[i]``, ``len(result)``, `one`, `exactly_one`, `scalar`, and a plain
    loop if it is the only page. All pages, fetched one after the other when they are needed::

        async for row in await session.execute("SELECT * FROM events"):
            ...
        rows = await result.all()

    A page is decoded when its rows are first asked for. The type of a row is that of the option `row_type`, `Row`
    unless it is given; a class that does not fit the columns raises RowTypeError then.
    """

    __slots__ = ()

    _ALL_PAGES = "`async for` or `await result.all()`"
    _ALL_COLUMNS = "`await session.stream(...).arrow()`"

    def __iter__(self) -> Iterator[R_co]:
        """Iterate over the rows. Raises PagesRemain if there are more pages than this one."""
        if self.has_more_pages:
            raise PagesRemain(
                "this result has more pages, which a plain loop would miss: write `async for row in result`, "
                "`for row in await result.all()`, or `for row in result.rows` for this page alone"
            )
        return iter(self.rows)

    async def all(self) -> list[R_co]:
        """Return the rows of this page and of all that follow, in a list of its own.

        Raises what executing the statement can raise, and PagingLoop if a node gives no end.
        """
        rows = list(self.rows)
        response = self._response()
        progress = Progress(response.paging_state)
        while response.paging_state is not None:
            response = await next_page(self._pager, response.paging_state, progress)
            if response.page is not None:
                rows.extend(self._factory.build(response.page))
        return rows

    def __aiter__(self) -> AsyncIterator[R_co]:
        """Iterate over the rows of all pages, from this one on. Raises as `all` does."""
        return RowIterator(self._factory, self._pager, self._response())

    async def trace(
        self,
        *,
        consistency: Consistency | str | None = None,
        timeout: float | None = None,
        complete: bool = True,
    ) -> Trace:
        """Return what the server recorded of the request, waiting until it has written it.

        Args:
            consistency: how many replicas are asked for it: one of `triocql.Consistency`, or its name; by default ONE.
                Whatever it is, events of nodes that are slow to write them may be missing.
            timeout: seconds to wait; by default the timeout of the request itself.
            complete: whether to wait for its end. If not, what is there will do as soon as there is anything: then
                fields may be None, `duration` for one, and events that are missing can be read later.

        Raises UsageError if the request was not traced, RequestTimeout if the trace is not there in time, and what
        executing a statement can raise.
        """
        pager, tracing_id = self._traced()
        read: Trace = await pager.trace(tracing_id, consistency, timeout, complete)
        return read


class RowIterator(Generic[R_co]):
    """The rows of a response and of all pages after it.

    After an error or a cancellation it goes on where it was: the next step fetches the same page again.
    """

    __slots__ = ("_factory", "_fetching", "_pager", "_progress", "_response", "_rows")

    def __init__(self, factory: RowFactory[R_co], pager: Pager | None, response: Response) -> None:
        self._factory = factory
        self._pager = pager
        self._fetching = False
        self._progress = Progress(response.paging_state)
        self._enter(response)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R_co:
        for row in self._rows:
            return row
        return await self._advance()

    async def _advance(self) -> R_co:
        """Return the first row of the next page that has one."""
        while (state := self._response.paging_state) is not None:
            if self._fetching:
                raise UsageError("two tasks iterate over the same rows; give each its own `async for`")
            self._fetching = True
            try:
                self._enter(await next_page(self._pager, state, self._progress))
            finally:
                self._fetching = False
            for row in self._rows:
                return row
        raise StopAsyncIteration

    def _enter(self, response: Response) -> None:
        self._response = response
        page = response.page
        self._rows: Iterator[R_co] = iter(()) if page is None else self._factory.iterate(page)


async def next_page(pager: Pager | None, state: bytes, progress: Progress) -> Response:
    """Fetch the page after `state`. Raises PagingLoop if that page says to go on where the reading was already."""
    assert pager is not None, "a response with a paging state comes with a pager"
    response = await pager.fetch(state)
    progress.reached(response.paging_state)
    return response
