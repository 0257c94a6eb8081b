"""The session of programs that block."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, overload

from triocql._hints import NoOtherAttributes
from triocql.config.checks import require_seconds
from triocql.config.requests import INHERIT
from triocql.errors import UsageError
from triocql.results.factories import row_factory
from triocql.session.context import DEFAULT_FACTORY, DRAIN_TIMEOUT
from triocql.session.describing import describe
from triocql.session.outcomes import ResultMaker
from triocql.session.scanreader import scan_order
from triocql.session.sources import pairs, pairs_with
from triocql.sync.codecs import Codecs
from triocql.sync.concurrent import CollectingCall, ConcurrentStream, StreamingCall
from triocql.sync.events import Events
from triocql.sync.futures import ResultFuture
from triocql.sync.portal import Portal
from triocql.sync.results import PortalPager, Result, for_blocking
from triocql.sync.scan import Scan
from triocql.sync.stream import RowStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from triocql.bulk.checkpoint import Checkpoint
    from triocql.cluster.measuring import Stats
    from triocql.config.requests import RequestKeywords
    from triocql.metadata.description import Description
    from triocql.metadata.snapshot import Snapshot
    from triocql.observability.health import Health
    from triocql.observability.metrics import Metrics
    from triocql.results.result import BaseResult
    from triocql.results.row import Row
    from triocql.session.outcomes import ExecutionResult
    from triocql.session.sources import Item
    from triocql.statements.executable import Executable
    from triocql.statements.prepared import PreparedStatement
    from triocql.statements.statement import Parameters
    from triocql.sync.results import Result

T = TypeVar("T")


class Session(NoOtherAttributes):
    """Executes statements on a cluster; made by `connect`. Any number of threads may use it at once.

    Calls that wait raise UsageError in the thread that does the session's work, that is in callbacks, and in the child
    of a fork: connect anew there. What is raised in a thread while it waits, KeyboardInterrupt or gevent's Timeout say,
    abandons the call.

    >>> with triocql.sync.connect("127.0.0.1") as session:                             # doctest: +SKIP
    ...     session.execute("SELECT release_version FROM system.local").scalar()
    '5.0.6'
    """

    _BLOCKS = True
    _MADE_OF = Portal
    _MAKER = "`with triocql.sync.connect(...) as session:`"

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        # Looked up once, not with every request.
        self._call_options = portal.context.call_options
        self._execute = portal.context.execute
        self._run = portal.run

    # --- Statements ----------------------------------------------------------------------------------------

    # One signature with `TypeVar(default=Row)` would not do: a bare `dict` says nothing of its keys and values, and
    # mypy takes no default where the method itself is handed on, as in `nursery.start_soon(session.execute, text)`.
    @overload
    def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Row]: ...
    @overload
    def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> Result[dict[str, Any]]: ...
    @overload
    def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> Result[T]: ...
    def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Any]:
        """Execute a statement and return its first page; arguments and errors are those of `triocql.Session.execute`.

        >>> result = session.execute("SELECT * FROM users WHERE id = ?", [7], timeout=2.0)  # doctest: +SKIP
        """
        factory = DEFAULT_FACTORY if row_type is None else row_factory(row_type)
        call = self._call_options(options) if options else INHERIT
        return for_blocking(self._portal, self._run(self._execute, statement, parameters, call, factory))

    @overload
    def execute_async(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[Row]: ...
    @overload
    def execute_async(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[dict[str, Any]]: ...
    @overload
    def execute_async(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[T]: ...
    def execute_async(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[Any]:
        """Start to execute a statement and return a future of its result; arguments are those of `execute`.

        Every error of the request, UsageError included, goes to the future. It may be called in callbacks.

        >>> futures = [session.execute_async(insert, values) for values in rows]       # doctest: +SKIP
        >>> for future in futures:                                                     # doctest: +SKIP
        ...     future.result()
        """
        context = self._portal.context

        async def execute() -> BaseResult[Any]:
            call = context.call_options(options)
            return await context.execute(statement, parameters, call, row_factory(row_type))

        return ResultFuture[Any](self._portal.loop, execute, partial(for_blocking, self._portal))

    def prepare(
        self, text: str, *, keyspace: str | None = None, timeout: float | None = None
    ) -> PreparedStatement:
        """Prepare a statement; arguments and errors are those of `triocql.Session.prepare`."""
        return self._run(self._portal.context.prepare, text, keyspace, timeout)

    @overload
    def stream(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> RowStream[Row]: ...
    @overload
    def stream(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> RowStream[dict[str, Any]]: ...
    @overload
    def stream(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> RowStream[T]: ...
    def stream(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        prefetch: int = 1,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> RowStream[Any]:
        """Read all pages of a statement, in bounded memory, with the next pages on their way meanwhile.

        Arguments and errors are those of `triocql.Session.stream`.

        >>> with session.stream("SELECT * FROM events", page_size=5000) as rows:       # doctest: +SKIP
        ...     for row in rows:
        ...         print(row.id)
        """
        call = self._call_options(options)
        return RowStream(self._portal, statement, parameters, call, row_factory(row_type), prefetch)

    # --- Whole tables --------------------------------------------------------------------------------------

    def scan(
        self,
        table: str,
        *,
        columns: Iterable[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] | None = None,
        allow_filtering: bool = False,
        writetime: Iterable[str] = (),
        ttl: Iterable[str] = (),
        limit: int | None = None,
        ordered: bool = False,
        concurrency_per_node: int | None = None,
        max_bytes: int = 64 * 2**20,
        tasks: int | None = None,
        resume: Checkpoint | str | PathLike[str] | None = None,
        on_error: Literal["continue", "raise"] = "continue",
        **options: Unpack[RequestKeywords],
    ) -> Scan:
        """Read a whole table, from all nodes at the same time, in bounded memory.

        Arguments and errors are those of `triocql.Session.scan`.

        >>> with session.scan("shop.events", columns=["day", "amount"]) as scan:         # doctest: +SKIP
        ...     for batch in scan:
        ...         process(batch.arrow())
        """
        order = scan_order(
            self._portal.context,
            table,
            columns=columns,
            where=where,
            parameters=parameters,
            allow_filtering=allow_filtering,
            writetime=writetime,
            ttl=ttl,
            limit=limit,
            ordered=ordered,
            concurrency_per_node=concurrency_per_node,
            max_bytes=max_bytes,
            tasks=tasks,
            resume=resume,
            on_error=on_error,
            options=options,
        )
        return Scan(self._portal, order)

    # --- Many statements at once ---------------------------------------------------------------------------

    def execute_concurrent(
        self,
        statements_and_parameters: Iterable[Item],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute many statements: see `triocql.sync.execute_concurrent`."""
        results = self._results(row_type)
        call = CollectingCall(self._portal, results, concurrency, raise_on_first_error, timeout, profile)
        return call.execute(pairs(statements_and_parameters))

    def execute_concurrent_with_args(
        self,
        statement: Executable,
        parameters: Iterable[Parameters],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute one statement with many values: see `triocql.sync.execute_concurrent_with_args`."""
        results = self._results(row_type)
        call = CollectingCall(self._portal, results, concurrency, raise_on_first_error, timeout, profile)
        return call.execute(pairs_with(statement, parameters))

    def stream_concurrent(
        self,
        statements_and_parameters: Iterable[Item],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        ordered: bool = True,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> ConcurrentStream:
        """Execute many statements and hand over the outcomes one by one: see `triocql.sync.stream_concurrent`."""
        results = self._results(row_type)
        call = StreamingCall(
            self._portal, results, concurrency, raise_on_first_error, timeout, profile, ordered=ordered
        )
        return ConcurrentStream(call, pairs(statements_and_parameters))

    def _results(self, row_type: type[Any] | None) -> ResultMaker:
        portal = self._portal
        return ResultMaker(
            Result, lambda execution: PortalPager(portal, portal.context.pager(execution)), row_type
        )

    # --- The session itself --------------------------------------------------------------------------------

    @property
    def keyspace(self) -> str | None:
        """The keyspace that unqualified names are looked up in, as after the last ``USE``."""
        return self._portal.context.executor.keyspaces.current

    @property
    def protocol_version(self) -> int:
        """The version of the native protocol that was agreed on."""
        return self._portal.context.executor.version

    @property
    def codecs(self) -> Codecs:
        """The session's codecs, to register codecs and classes of your own with."""
        return Codecs(self._portal)

    @property
    def metadata(self) -> Snapshot:
        """What is known of the cluster: see `triocql.Session.metadata`."""
        return self._portal.context.cluster.nodes.snapshot

    @property
    def metrics(self) -> Metrics:
        """What the session has counted up to now, and what it has under way: see `triocql.Session.metrics`.

        Raises UsageError in the child of a fork: the figures are the parent's.
        """
        return self._portal.context.cluster.metrics()

    def health(self) -> Health:
        """Return what the session can do now, as far as it knows: see `triocql.Session.health`. Nothing is sent.

        Raises UsageError in the child of a fork, where it can do nothing.
        """
        return self._portal.context.cluster.health()

    def stats(self) -> Stats:
        """Return what is under way now."""
        return self._portal.call(self._portal.context.stats)

    def schema_agreement(self, timeout: float | None = None) -> bool:
        """Wait until all nodes that are up have the same schema; return whether they do: see
        `triocql.Session.schema_agreement`.
        """
        return self._run(self._portal.context.schema_agreement, timeout)

    def describe(
        self, name: str | None = None, *, internals: bool = False, timeout: float | None = None
    ) -> Description:
        """Return the schema, or a part of it, as the CQL that makes it: see `triocql.Session.describe`.

        >>> print(session.describe("shop.events"))                                     # doctest: +SKIP
        """
        return self._run(describe, self._portal.context, name, internals=internals, timeout=timeout)

    def refresh_schema(self, *, keyspace: str | None = None, table: str | None = None) -> Snapshot:
        """Read the schema anew, and return what is known then: see `triocql.Session.refresh_schema`."""
        return self._run(self._portal.context.refresh_schema, keyspace, table)

    def events(self) -> Events:
        """Listen to what happens to the cluster and to the session's connections, as `triocql.Session.events`.

        >>> with session.events() as events:                                           # doctest: +SKIP
        ...     for event in events:
        ...         print(event)
        """
        return Events(self._portal)

    def close(self, timeout: float = DRAIN_TIMEOUT) -> None:
        """Close the session as `triocql.Session.aclose` does. Idempotent; does nothing in a child process.

        ``with connect(...)`` does it by itself, with a timeout of 0 if the block is left by an exception.
        """
        require_seconds(timeout, "timeout", zero=True)
        self._portal.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close(DRAIN_TIMEOUT if exc is None else 0)

    def __aenter__(self) -> NoReturn:
        self.close(0)
        raise UsageError(
            "a session of triocql.sync blocks: enter it by `with`; in async programs, write "
            "`async with triocql.connect(...)`"
        )

    def __aexit__(self, *exc: object) -> NoReturn:
        raise AssertionError("it is never entered")

    def __repr__(self) -> str:
        return repr(self._portal)
