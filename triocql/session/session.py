"""The session: what users hold in Trio, AnyIO and asyncio programs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from dataclasses import fields
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, ParamSpec, TypeVar, overload

from triocql._hints import CONNECT, NoOtherAttributes, check_options, one_position
from triocql.cluster.cluster import Cluster
from triocql.codecs.registry import Registry
from triocql.config.checks import require_integer, require_keyspace, require_seconds
from triocql.config.options import Options
from triocql.config.requests import INHERIT, RequestOptions, request_options
from triocql.errors import OptionError, UnknownAttribute, UsageError
from triocql.protocol.constants import MAX_INT
from triocql.reactors import running_loop, select
from triocql.reactors.unattended import unattended
from triocql.results.factories import row_factory
from triocql.results.result import Result, Trace
from triocql.results.row import Row
from triocql.session import concurrent
from triocql.session.sources import check_leaving
from triocql.session.stream import RowStream
from triocql.session.traces import read_trace
from triocql.statements.prepared import PreparedStatement

if TYPE_CHECKING:
    from uuid import UUID

    from typing_extensions import Unpack

    from triocql.abc import Reactor
    from triocql.config.contactpoints import ContactPoint
    from triocql.config.options import ConnectKeywords
    from triocql.config.requests import RequestKeywords
    from triocql.engine.executing import Execution
    from triocql.engine.executing.executor import Executor
    from triocql.engine.requests import Response
    from triocql.protocol.constants import Consistency
    from triocql.reactors import ReactorName
    from triocql.results.factories import RowFactory
    from triocql.session.sources import Statements
    from triocql.session.windowcall import ExecutionResult
    from triocql.statements.prepared import PreparedQuery
    from triocql.statements.statement import Parameters

P = ParamSpec("P")
T = TypeVar("T")

DRAIN_TIMEOUT = 5.0
"""Seconds that what is in flight gets when its session is closed."""

_CALLS = 128
_DEFAULT_FACTORY: RowFactory[Any] = row_factory(None)
_OF_CALLS = (*(each.name for each in fields(RequestOptions)), "parameters", "row_type")


class Stats(NamedTuple):
    """Counts of what a session has under way: connections, requests in flight, queued, and abandoned."""

    connections: int
    in_flight: int
    queued: int
    orphans: int


class Session(NoOtherAttributes):
    """Executes statements on a cluster; made by `connect`. Any number of tasks of one event loop may use it at once.

    >>> async with triocql.connect("127.0.0.1") as session:                             # doctest: +SKIP
    ...     (await session.execute("SELECT release_version FROM system.local")).scalar()
    '5.0.6'
    """

    _ATTRIBUTES = ("executor", "reactor")
    _MADE_OF = Cluster
    _MAKER = "`async with triocql.connect(...) as session:`"

    def __init__(self, cluster: Cluster, close_unattended: Callable[[], None] | None = None) -> None:
        self._close_unattended = close_unattended
        self._cluster = cluster
        self._check_caller = cluster.reactor.check_caller
        self._protect = cluster.reactor.protect
        self._start = cluster.reactor.protect(cluster.executor.start)
        self._waiter = cluster.reactor.waiter
        self._calls: dict[tuple[Any, ...], RequestOptions] = {}
        self.reactor = cluster.reactor
        self.executor: Executor = cluster.executor

    # --- Statements ----------------------------------------------------------------------------------------

    @overload
    async def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Row]: ...
    @overload
    async def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> Result[dict[str, Any]]: ...
    @overload
    async def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> Result[T]: ...
    async def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Any]:
        """Execute a statement and return its first page.

        Text with parameters is prepared behind the scenes, once; values travel beside the text, never in it.

        Args:
            statement: CQL text, or a `Statement`, `PreparedStatement`, `BoundStatement` or `Batch`.
            parameters: values in the order of the bind markers, or by name.
            row_type: what rows are given as: `Row` (the default), `tuple`, `dict`, or a class of yours whose fields are
                the columns: a dataclass, a NamedTuple, a TypedDict, a class of attrs, a model of pydantic, a Struct of
                msgspec. Fields with a default need no column. User-defined types become the classes that the fields
                are annotated with. What does not fit raises RowTypeError when the rows are first asked for.
            options: see `RequestOptions`; they go before the statement's own and the session's.

        Raises UsageError and its kinds before anything is sent; a `ResponseError` for what the node answers;
        RequestTimeout, ConnectionLost, NoNodeAvailable or QueueFull, which say whether it may have been executed.

        >>> result = await session.execute("SELECT * FROM users WHERE id = ?", [7], timeout=2.0)  # doctest: +SKIP
        """
        factory = _DEFAULT_FACTORY if row_type is None else row_factory(row_type)
        call = self.call_options(options) if options else INHERIT
        execution: Execution
        waiter = self._waiter(lambda: execution.abandon())
        execution = self._start(waiter, statement, parameters, call)
        response: Response = await waiter.wait()
        return self.result(response, execution, factory)

    async def prepare(
        self, text: str, *, keyspace: str | None = None, timeout: float | None = None
    ) -> PreparedStatement:
        """Prepare a statement. Callers that prepare the same text at the same time share one request.

        It always asks a node, and renews what is known of the statement, for all who have prepared it before.

        Args:
            text: CQL with ``?`` or ``:name`` for the values.
            keyspace: where unqualified names are looked up, instead of the session's keyspace; protocol v5.
            timeout: seconds; by default the session's request timeout.

        Raises as `execute` does; InvalidQuery and SyntaxError are what a node says of a text that is not right.
        """
        if not isinstance(text, str):
            raise UsageError(f"prepare() takes the text of a statement, not {type(text).__name__}")
        if keyspace is not None:
            require_keyspace(keyspace, "keyspace")
        if timeout is not None:
            require_seconds(timeout, "timeout")
        waiter = self._waiter(lambda: wait.abandon())
        wait = self.protected(self.executor.prepare, waiter, text, keyspace, timeout)
        prepared: PreparedQuery = await waiter.wait()
        return PreparedStatement(prepared)

    @overload
    def stream(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> RowStream[Row]: ...
    @overload
    def stream(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> RowStream[dict[str, Any]]: ...
    @overload
    def stream(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> RowStream[T]: ...
    def stream(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> RowStream[Any]:
        """Read all pages of a statement, in bounded memory, with the next pages on their way meanwhile.

        Args:
            statement: as for `execute`.
            parameters: as for `execute`.
            prefetch: how many pages are kept ready ahead of the one that is being read; 0 for none.
            row_type: as for `execute`.
            options: as for `execute`; `timeout` is for each page, `page_size` in rows.

        The iteration raises as `execute` does, and PagingLoop. Leaving the block frees everything at once.

        >>> async with session.stream("SELECT * FROM events", page_size=5000) as rows:   # doctest: +SKIP
        ...     async for row in rows:
        ...         print(row.id)
        """
        require_integer(prefetch, "prefetch", 0, MAX_INT)
        call = self.call_options(options) if options else INHERIT
        return RowStream(self, statement, parameters, call, row_factory(row_type), prefetch)

    # --- Many statements at once ---------------------------------------------------------------------------

    async def execute_concurrent(
        self,
        statements_and_parameters: Statements,
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute many statements: see `triocql.execute_concurrent`."""
        return await concurrent.execute_concurrent(
            self,
            statements_and_parameters,
            concurrency,
            raise_on_first_error,
            timeout=timeout,
            row_type=row_type,
        )

    async def execute_concurrent_with_args(
        self,
        statement: Any,
        parameters: Iterable[Parameters] | AsyncIterable[Parameters],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute one statement with many values: see `triocql.execute_concurrent_with_args`."""
        return await concurrent.execute_concurrent_with_args(
            self, statement, parameters, concurrency, raise_on_first_error, timeout=timeout, row_type=row_type
        )

    def stream_concurrent(
        self,
        statements_and_parameters: Statements,
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        ordered: bool = True,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> concurrent.ConcurrentStream:
        """Execute many statements and hand over the outcomes one by one: see `triocql.stream_concurrent`."""
        return concurrent.stream_concurrent(
            self,
            statements_and_parameters,
            concurrency,
            raise_on_first_error,
            ordered=ordered,
            timeout=timeout,
            row_type=row_type,
        )

    # --- The session itself --------------------------------------------------------------------------------

    @property
    def keyspace(self) -> str | None:
        """The keyspace that unqualified names are looked up in, as after the last ``USE``."""
        return self.executor.keyspaces.current

    @property
    def protocol_version(self) -> int:
        """The version of the native protocol that was agreed on."""
        return self.executor.version

    @property
    def codecs(self) -> Registry:
        """The session's own codecs, at first those that `connect` was given; to register more of them with."""
        return self._cluster.registry

    def stats(self) -> Stats:
        """Return what is under way now."""
        router = self.executor.router
        connections = router.connections()
        return Stats(
            connections=len(connections),
            in_flight=sum(len(connection.in_flight) for connection in connections),
            queued=len(router.queue) + len(router.waiting),
            orphans=sum(len(connection.orphans) for connection in connections),
        )

    def result(
        self, response: Response, execution: Execution | None, factory: RowFactory[T] = _DEFAULT_FACTORY
    ) -> Result[T]:
        """Return what users get for the response to `execution`."""
        if execution is None or (response.paging_state is None and response.extras is None):
            return Result(response, factory)
        return Result(response, factory, _Pager(self, execution))

    def call_options(self, keywords: RequestKeywords) -> RequestOptions:
        """Return the options of a call; the same object for equal ones, so that what follows from them is kept."""
        # With their types: True equals 1, but is no number of rows.
        key = tuple(keywords.items()), tuple(map(type, keywords.values()))
        try:
            options = self._calls.get(key)
        except TypeError:  # a payload is not hashable
            return _call_options(keywords)
        if options is None:
            if len(self._calls) == _CALLS:
                self._calls.clear()
            options = self._calls[key] = _call_options(keywords)
        return options

    def protected(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a step of the engine with KeyboardInterrupt held back. Raises UsageError outside the session's loop."""
        self._check_caller()
        return self._protect(fn)(*args, **kwargs)

    async def aclose(self, timeout: float = DRAIN_TIMEOUT) -> None:
        """Close the session. Idempotent; if it is cancelled, the session is closed nevertheless, at once.

        What is asked of it from now on, or waits for a connection, fails with SessionClosed. What is in flight may
        still end, and fails so only after the timeout. ``async with connect(...)`` does it by itself, without that
        time if the block is left by an exception; a session from ``await connect(...)`` needs it.

        Args:
            timeout: seconds that what is in flight gets; 0 for none.

        Raises UsageError within an async iterator that gives this session statements, for whose end it would wait.

        >>> session = await triocql.connect("10.0.0.1")                                # doctest: +SKIP
        >>> await session.aclose()                                                     # doctest: +SKIP
        """
        require_seconds(timeout, "timeout", zero=True)
        self._check_caller()
        check_leaving(self.reactor)
        await self._cluster.leave(timeout)

    def __del__(self) -> None:
        close = self._close_unattended
        if close is not None and self.executor.router.ending is None:
            close()
            warnings.warn(
                f"unclosed {self!r}: a session from `await triocql.connect(...)` needs `await session.aclose()`",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        nodes = ", ".join(pool.name for pool in self.executor.router.pools)
        return f"<triocql.Session {nodes}, {self.reactor.name}>"


def _call_options(keywords: RequestKeywords) -> RequestOptions:
    check_options(keywords, _OF_CALLS)
    return request_options(keywords)


class _Pager:
    """The pager of a `Result`: executes its statement again for the next page."""

    def __init__(self, session: Session, execution: Execution) -> None:
        self._session = session
        self._execution = execution

    @property
    def fingerprint(self) -> bytes:
        return self._session.executor.fingerprint(self._execution)

    async def fetch(self, paging_state: bytes) -> Response:
        session = self._session
        execution: Execution
        waiter = session.reactor.waiter(lambda: execution.abandon())
        execution = session.protected(session.executor.start_next_page, waiter, self._execution, paging_state)
        response: Response = await waiter.wait()
        return response

    async def trace(
        self, tracing_id: UUID, consistency: Consistency | str | None, timeout: float | None, complete: bool
    ) -> Trace:
        if timeout is None:
            timeout = self._execution.timeout
        else:
            require_seconds(timeout, "timeout")
        return await read_trace(
            self._session, tracing_id, consistency=consistency, timeout=timeout, complete=complete
        )


class Connecting:
    """The return value of `connect`: enter it with ``async with``, or await it (asyncio)."""

    def __init__(self, reactor: ReactorName | Reactor, options: Options) -> None:
        self._choice = reactor
        self._options = options
        self._cluster: Cluster | None = None

    async def __aenter__(self) -> Session:
        return Session(await self._open())

    async def _open(self) -> Cluster:
        if self._cluster is not None:
            raise UsageError("this connect() was used already; call it again for another session")
        given = self._options.codecs
        codecs = Registry() if given is None else given.copy()
        reactor = select(self._choice)
        await reactor.__aenter__()
        try:
            self._cluster = cluster = Cluster(reactor, self._options, codecs)
            await cluster.open()
        except BaseException:
            await reactor.__aexit__(*sys.exc_info())
            raise
        return cluster

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._cluster is not None
        self._cluster.reactor.check_caller()
        check_leaving(self._cluster.reactor)
        if exc is None:
            await self._cluster.leave(DRAIN_TIMEOUT)
        else:
            self._cluster.close()
            await self._cluster.reactor.__aexit__(exc_type, exc, tb)

    def __enter__(self) -> NoReturn:
        raise UsageError(
            "write `async with triocql.connect(...) as session:`; for programs that block there is "
            "`with triocql.sync.connect(...) as session:`"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing: it is never entered so."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise UnknownAttribute(
                f"what connect() returns is no session yet, and has no attribute {name!r}; write "
                "`async with triocql.connect(...) as session:` or, in asyncio, `session = await triocql.connect(...)`",
                name=name,
            )

    def __await__(self) -> Generator[Any, Any, Session]:
        if isinstance(self._choice, str) and running_loop() == "trio":
            raise UsageError(
                "`await connect(...)` is for asyncio; in Trio write `async with triocql.connect(...) as session:`"
            )
        return self._awaited().__await__()

    async def _awaited(self) -> Session:
        cluster = await self._open()
        return Session(cluster, unattended(partial(cluster.leave, 0)))


@one_position(CONNECT)
def connect(
    contact_points: ContactPoint | Iterable[ContactPoint] = "127.0.0.1",
    *,
    port: int = 9042,
    reactor: ReactorName | Reactor = "auto",
    options: Options | None = None,
    **keywords: Unpack[ConnectKeywords],
) -> Connecting:
    """Connect to a cluster, in the event loop that is running: Trio, or asyncio; AnyIO programs run in one of them.

    Args:
        contact_points: one node or several, each a host name or address with or without a port, the path of a unix
            socket, or a URL like ``cql://user:password@host1,host2:9042/keyspace?consistency=QUORUM``.
        port: the port of those that do not name one.
        reactor: "auto" finds out which loop is running, "trio" and "asyncio" insist on one.
        options: everything at once, instead of contact points, port and keywords.
        keywords: the fields of `Options` and its groups by their flat names, see `ConnectKeywords`.

    Returns what ``async with`` takes; in asyncio it can be awaited instead, and the session closed by
    `Session.aclose`.

    Raises OptionError at once for what is not valid; ConnectError and its kinds on entering, with every attempt.

    >>> async with triocql.connect("10.0.0.1", keyspace="shop", timeout=5.0) as session:   # doctest: +SKIP
    ...     await session.execute("SELECT * FROM users LIMIT 1")

    Codecs, and classes for user-defined types, can be registered before:

    >>> codecs = triocql.Registry()                                                        # doctest: +SKIP
    >>> codecs.register_udt("shop", "address", Address)                                    # doctest: +SKIP
    >>> async with triocql.connect("10.0.0.1", codecs=codecs) as session:                  # doctest: +SKIP
    ...     address = (await session.execute("SELECT home FROM shop.users")).scalar()
    """
    if options is None:
        options = Options.from_arguments(contact_points, port=port, **keywords)
    elif keywords:
        raise OptionError(f"options= was given; put {next(iter(keywords))}= into it, not beside it")
    return Connecting(reactor, options)
