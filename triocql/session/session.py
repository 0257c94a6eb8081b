"""The session that users hold in Trio, AnyIO and asyncio programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from triocql._hints import NoOtherAttributes
from triocql.config.checks import require_seconds
from triocql.config.requests import INHERIT
from triocql.results.factories import row_factory
from triocql.results.result import Result
from triocql.session.concurrent import CollectingCall, ConcurrentStream
from triocql.session.context import DEFAULT_FACTORY, DRAIN_TIMEOUT, SessionContext
from triocql.session.describing import describe
from triocql.session.events import Events
from triocql.session.outcomes import ResultMaker
from triocql.session.scan import Scan
from triocql.session.scanreader import scan_order
from triocql.session.sources import check_leaving, source_of, source_with
from triocql.session.stream import RowStream
from triocql.session.windowcall import StreamingCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence
    from os import PathLike

    from typing_extensions import Unpack

    from triocql.bulk.checkpoint import Checkpoint
    from triocql.cluster.measuring import Stats
    from triocql.codecs.registry import Registry
    from triocql.config.requests import RequestKeywords
    from triocql.engine.executing import Execution
    from triocql.engine.requests import Response
    from triocql.metadata.description import Description
    from triocql.metadata.snapshot import Snapshot
    from triocql.observability.health import Health
    from triocql.observability.metrics import Metrics
    from triocql.results.row import Row
    from triocql.session.outcomes import ExecutionResult
    from triocql.session.sources import Statements
    from triocql.statements.executable import Executable
    from triocql.statements.prepared import PreparedStatement
    from triocql.statements.statement import Parameters

T = TypeVar("T")


class Session(NoOtherAttributes):
    """Executes statements on a cluster; made by `connect`. Any number of tasks of one event loop may use it at once.

    >>> async with triocql.connect("127.0.0.1") as session:                             # doctest: +SKIP
    ...     (await session.execute("SELECT release_version FROM system.local")).scalar()
    '5.0.6'
    """

    _BLOCKS = False
    _MADE_OF = SessionContext
    _MAKER = "`async with triocql.connect(...) as session:`"

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        # Looked up once, not with every request; and two in one, as a session's attributes take long to find.
        self._call_options = context.call_options
        self._result = context.result
        self._to_begin = context.waiter, context.start

    # --- Statements ----------------------------------------------------------------------------------------

    # One signature with `TypeVar(default=Row)` would not do: a bare `dict` says nothing of its keys and values, and
    # mypy takes no default where the method itself is handed on, as in `nursery.start_soon(session.execute, text)`.
    @overload
    async def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Row]: ...
    @overload
    async def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> Result[dict[str, Any]]: ...
    @overload
    async def execute(
        self,
        statement: Executable,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> Result[T]: ...
    async def execute(
        self,
        statement: Executable,
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
        factory = DEFAULT_FACTORY if row_type is None else row_factory(row_type)
        call = self._call_options(options) if options else INHERIT
        execution: Execution
        make_waiter, start = self._to_begin
        waiter = make_waiter(lambda: execution.abandon())
        execution = start(waiter, statement, parameters, call)
        response: Response = await waiter.wait()
        extras = response.extras
        if response.paging_state is None and extras is None:
            return Result(response, factory)
        if extras is not None and extras.schema_change is not None:
            await self._context.settle(response)
        return self._result(response, execution, factory)

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
        return await self._context.prepare(text, keyspace, timeout)

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
        call = self._call_options(options)
        return RowStream(self._context, statement, parameters, call, row_factory(row_type), prefetch)

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

        The table is read in ranges of tokens, each from a node that has it. Rows come in batches, each a page, in no
        order; each row comes once.

        Args:
            table: the table or view: ``"shop.events"``, or its name alone in the session's keyspace.
            columns: the names of the columns to read; all by default.
            where: a condition with ``?`` for values, on other columns than a partition key of one column.
            parameters: the values for `where`.
            allow_filtering: whether nodes may read rows for `where` that do not fit, and leave them out.
            writetime: columns whose times of writing are read, too, as ``writetime(name)``.
            ttl: columns whose seconds to live are read, too, as ``ttl(name)``.
            limit: the most rows.
            ordered: whether batches come in the order of the ring: by the tokens of their partitions.
            concurrency_per_node: how many pages each node is asked for at the same time; by default 4, and two for each
                shard of a node of ScyllaDB.
            max_bytes: the most bytes of pages that were asked for and not taken yet. One page is asked for in any case.
            tasks: in about how many parts to read the table; by default, that follows from its size.
            resume: a `Scan.checkpoint` of an earlier scan of the same, or the file that it was saved to: what is done
                by then is left out. Of a range that was being read, rows may come once more.
            on_error: whether ranges that cannot be read end the scan at once ("raise"), or when everything else was
                read. Before that, a page is tried again three times, and then ranges are divided.
            options: see `RequestOptions`; `timeout` is for each page. With `page_size`, pages have so many rows; by
                default, as many as make about 1 MiB.

        Raises OptionError and UsageError for what does not fit the table, CheckpointError for `resume`, before anything
        is sent. Reading raises as `execute` does, ScanIncomplete at the end if ranges could not be read, and
        SchemaChanged.

        >>> async with session.scan("shop.events", columns=["day", "amount"]) as scan:     # doctest: +SKIP
        ...     async for batch in scan:
        ...         process(batch.arrow())
        >>> table = await session.scan("shop.events").arrow()                           # doctest: +SKIP
        """
        order = scan_order(
            self._context,
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
        return Scan(self._context, order)

    # --- Many statements at once ---------------------------------------------------------------------------

    async def execute_concurrent(
        self,
        statements_and_parameters: Statements,
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute many statements: see `triocql.execute_concurrent`."""
        results = ResultMaker(Result, self._context.pager, row_type)
        call = CollectingCall(self._context, results, concurrency, raise_on_first_error, timeout, profile)
        return await call.execute(source_of(statements_and_parameters))

    async def execute_concurrent_with_args(
        self,
        statement: Executable,
        parameters: Iterable[Parameters] | AsyncIterable[Parameters],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute one statement with many values: see `triocql.execute_concurrent_with_args`."""
        results = ResultMaker(Result, self._context.pager, row_type)
        call = CollectingCall(self._context, results, concurrency, raise_on_first_error, timeout, profile)
        return await call.execute(source_with(statement, parameters))

    def stream_concurrent(
        self,
        statements_and_parameters: Statements,
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        ordered: bool = True,
        timeout: float | None = None,
        profile: str | None = None,
        row_type: type[Any] | None = None,
    ) -> ConcurrentStream:
        """Execute many statements and hand over the outcomes one by one: see `triocql.stream_concurrent`."""
        results = ResultMaker(Result, self._context.pager, row_type)
        call = StreamingCall(
            self._context, results, concurrency, raise_on_first_error, timeout, profile, ordered=ordered
        )
        return ConcurrentStream(call, lambda: source_of(statements_and_parameters))

    # --- The session itself --------------------------------------------------------------------------------

    @property
    def keyspace(self) -> str | None:
        """The keyspace that unqualified names are looked up in, as after the last ``USE``."""
        return self._context.executor.keyspaces.current

    @property
    def protocol_version(self) -> int:
        """The version of the native protocol that was agreed on."""
        return self._context.executor.version

    @property
    def codecs(self) -> Registry:
        """The session's own codecs, at first those that `connect` was given; to register more of them with."""
        return self._context.cluster.registry

    @property
    def metadata(self) -> Snapshot:
        """What is known of the cluster: nodes, keyspaces with their tables, and which nodes have which partitions.

        A snapshot never changes, and any thread may read it; each change of the cluster gives another one. Nodes
        are objects that remain, with their state of the moment. In the child of a fork it is what the parent knew then.

        >>> session.metadata.keyspaces["shop"].replication                             # doctest: +SKIP
        SimpleStrategy(replication_factor=ReplicationFactor(all=3, transient=0))
        >>> session.metadata.keyspaces["shop"].tables["events"].columns["id"].type     # doctest: +SKIP
        NativeType(name='uuid')
        """
        return self._context.cluster.nodes.snapshot

    @property
    def metrics(self) -> Metrics:
        """What the session has counted up to now, and what it has under way: see `triocql.observability.metrics`.

        It is made when it is asked for, and never changes. Any thread may ask. What is read on the session's own thread
        belongs together; from another one each figure is right by itself, and a request that ends just then may be in
        one and not yet in another. After the end of the session it has its last figures.

        >>> selects = session.metrics.durations(operation="SELECT", outcome="success") # doctest: +SKIP
        >>> selects.count, selects.percentile(99)                                      # doctest: +SKIP
        (91000, 0.003)
        """
        return self._context.cluster.metrics()

    def health(self) -> Health:
        """Return what the session can do now, as far as it knows: its nodes, its control connection, its queue, and for
        which share of the data enough replicas are there. Nothing is sent for that, and any thread may ask.

        >>> health = session.health()                                                  # doctest: +SKIP
        >>> health.connected, len(health.nodes), health.can_serve("shop", "LOCAL_QUORUM")  # doctest: +SKIP
        (3, 3, 1.0)
        """
        return self._context.cluster.health()

    def stats(self) -> Stats:
        """Return what is under way now."""
        return self._context.stats()

    async def schema_agreement(self, timeout: float | None = None) -> bool:
        """Wait until all nodes that are up have the same schema; return whether they do.

        `execute` does so by itself after a statement that has changed the schema: see `Result.schema_agreed`. This is
        for changes made by others, or by `execute_concurrent`, nurseries and streams, which do not wait. `metadata` has
        what nodes have told of then.

        Args:
            timeout: seconds; by default `schema_agreement_timeout` of the session.

        Raises OptionError for a timeout that is none, and SessionClosed.

        >>> await session.execute_concurrent(tables)                                   # doctest: +SKIP
        >>> await session.schema_agreement()                                           # doctest: +SKIP
        True
        """
        return await self._context.schema_agreement(timeout)

    async def describe(
        self, name: str | None = None, *, internals: bool = False, timeout: float | None = None
    ) -> Description:
        """Return the schema, or a part of it, as the CQL that makes it.

        A node says it, in the words of its version; if it is of before DESCRIBE, the tables of its schema are read and
        put together in the same way. The text is ``str(description)``, to be printed or kept; its
        statements, one by one in an order in which they can be executed, are ``description.statements``.

        Args:
            name: "keyspace", or "keyspace.table" for a table, a view or an index, as they are called, without quotes;
                by default all keyspaces but those of the system.
            internals: whether ids of tables and dropped columns are included, with which tables can be made again for
                files that were copied.
            timeout: seconds; by default the session's request timeout.

        Raises InvalidQuery if there is no such keyspace or table, and as `execute` does.

        >>> description = await session.describe("shop")                               # doctest: +SKIP
        >>> print(description)                                                         # doctest: +SKIP
        CREATE KEYSPACE shop WITH replication = ...
        """
        return await describe(self._context, name, internals=internals, timeout=timeout)

    async def refresh_schema(self, *, keyspace: str | None = None, table: str | None = None) -> Snapshot:
        """Read the schema anew, and return what is known then: what `metadata` is from then on.

        There is seldom a reason to: changes are followed when nodes tell of them, and statements of the session's own
        that change the schema return when `metadata` has the change. A keyspace that the option ``schema`` has left out
        is read all the same, and followed from then on.

        Args:
            keyspace: read this one only; by default, all that the option ``schema`` says, or all if that is False.
            table: read this table or view of the keyspace only.

        Raises OptionError and UsageError for what is no name, errors as `execute` does if the tables of the schema
        cannot be read, and SessionClosed.

        >>> known = await session.refresh_schema(keyspace="shop")                      # doctest: +SKIP
        >>> list(known.keyspaces["shop"].tables)                                       # doctest: +SKIP
        ['users', 'orders']
        """
        return await self._context.refresh_schema(keyspace, table)

    def events(self) -> Events:
        """Listen to what happens to the cluster and to the session's connections: see `triocql.metadata.events`.

        Any number of listeners may do so. Of one that takes none for too long the oldest of 1,000 events are dropped,
        and `Missed` says how many; nobody ever waits for it.

        >>> async with session.events() as events:                                     # doctest: +SKIP
        ...     async for event in events:
        ...         match event:
        ...             case NodeDown(node):
        ...                 print("lost", node)
        ...             case SchemaChange(change="CREATED", target="TABLE"):
        ...                 print("new table", event.keyspace, event.name)
        """
        return Events(self._context)

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
        self._context.check_caller()
        check_leaving(self._context.reactor)
        await self._context.cluster.leave(timeout)

    def __repr__(self) -> str:
        return repr(self._context)
