"""The common ground of a session and of all that executes on it: streams, nurseries, results that have more pages."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from triocql._brief import brief
from triocql._hints import check_options
from triocql.cluster.measuring import Stats, stats
from triocql.config.checks import require_keyspace, require_seconds
from triocql.config.requests import INHERIT, RequestOptions, request_options
from triocql.errors import UsageError
from triocql.results.factories import row_factory
from triocql.results.result import Result, Trace
from triocql.session.traces import read_trace
from triocql.statements.prepared import PreparedStatement

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.cluster.cluster import Cluster
    from triocql.config.requests import RequestKeywords
    from triocql.engine.executing import Execution
    from triocql.engine.requests import Request, Response
    from triocql.metadata.snapshot import Snapshot
    from triocql.protocol.constants import Consistency
    from triocql.results.factories import RowFactory
    from triocql.results.result import Pager
    from triocql.statements.executable import Executable
    from triocql.statements.prepared import PreparedQuery
    from triocql.statements.statement import Parameters

P = ParamSpec("P")
T = TypeVar("T")

DRAIN_TIMEOUT = 5.0
"""Seconds that what is in flight gets when its session is closed."""

DEFAULT_FACTORY: RowFactory[Any] = row_factory(None)

_AGREEMENT = 10.0
"""Seconds that nodes get to agree on the schema where who asks has no number, and nobody waits by himself."""

_CALLS = 128
_OF_CALLS = (*(each.name for each in fields(RequestOptions)), "parameters", "row_type")


class SessionContext:
    """Starts requests for users' tasks, and makes results of the answers.

    A session of `await connect(...)` that is dropped unclosed is closed when this becomes garbage, and not before: what
    the session has given, such as a result with more pages, is still in use then.

    Args:
        cluster: the engine, open.
        close_unattended: closes it when nobody can any more; None if there is a block that does.

    Attributes:
        cluster: the engine.
        executor: starts requests.
        reactor: the loop.
        check_caller: raises UsageError outside the session's loop.
        waiter: makes a waiter; checks the caller first.
        start: `Executor.start` with KeyboardInterrupt held back; to be called after `waiter`, which checks the caller.
    """

    def __init__(self, cluster: Cluster, close_unattended: Callable[[], None] | None = None) -> None:
        self._close_unattended = close_unattended
        self.cluster = cluster
        self.executor = cluster.executor
        self.reactor = cluster.reactor
        self.check_caller = self.reactor.check_caller
        self.waiter = self.reactor.waiter
        self.start = self.reactor.protect(self.executor.start)
        self._calls: dict[tuple[Any, ...], RequestOptions] = {}

    def protected(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a step of the engine with KeyboardInterrupt held back. Raises UsageError outside the session's loop."""
        self.check_caller()
        return self.reactor.protect(fn)(*args, **kwargs)

    async def answer(self, start: Callable[..., Request | Execution], *args: Any) -> Any:
        """Return what the request that `start(waiter, *args)` makes is answered with. A cancellation abandons it."""
        request: Request | Execution
        waiter = self.waiter(lambda: request.abandon())
        request = self.protected(start, waiter, *args)
        return await waiter.wait()

    async def execute(
        self,
        statement: Executable,
        parameters: Parameters,
        call: RequestOptions,
        factory: RowFactory[T] = DEFAULT_FACTORY,
    ) -> Result[T]:
        """Execute a statement: as `Session.execute`, which has these lines once more to save a coroutine a request."""
        execution: Execution
        waiter = self.waiter(lambda: execution.abandon())
        execution = self.start(waiter, statement, parameters, call)
        response: Response = await waiter.wait()
        if response.extras is not None and response.extras.schema_change is not None:
            await self.settle(response)
        return self.result(response, execution, factory)

    async def settle(self, response: Response) -> None:
        """Wait until all nodes have the change of the schema that `response` tells of, and set whether they have."""
        extras = response.extras
        assert extras is not None, "it tells of a change"
        assert extras.schema_change is not None, "it tells of a change"
        self.check_caller()
        agreed = await self.cluster.schema.settle(extras.schema_change, response.coordinator)
        response.extras = extras._replace(schema_agreed=agreed)

    async def schema_agreement(self, timeout: float | None) -> bool:
        """Wait until all nodes have the same schema: `Session.schema_agreement`."""
        if timeout is not None:
            require_seconds(timeout, "timeout")
        self.check_caller()
        router = self.executor.router
        if router.ending is not None:
            raise router.ended_error()
        seconds = self.cluster.options.schema_agreement_timeout or _AGREEMENT
        agreed = await self.cluster.schema.agreed(seconds if timeout is None else timeout)
        if not agreed and router.ending is not None:
            raise router.ended_error()
        return agreed

    async def refresh_schema(self, keyspace: str | None, table: str | None) -> Snapshot:
        """Read the schema anew: `Session.refresh_schema`."""
        if keyspace is not None:
            require_keyspace(keyspace, "keyspace")
        if table is not None and not (isinstance(table, str) and table):
            raise UsageError(f"refresh_schema() takes the name of a table, not {brief(table)}")
        if table is not None and keyspace is None:
            raise UsageError(f"in which keyspace is the table {brief(table)}? Write keyspace=, too")
        self.check_caller()
        router = self.executor.router
        error = router.ended_error() if router.ending is not None else None
        if error is None:
            error = await self.cluster.schema.read(keyspace, table)
        if error is not None:
            raise error if router.ending is None else router.ended_error()
        return self.cluster.nodes.snapshot

    async def prepare(self, text: str, keyspace: str | None, timeout: float | None) -> PreparedStatement:
        """Prepare a statement: `Session.prepare`."""
        if not isinstance(text, str):
            raise UsageError(f"prepare() takes the text of a statement, not {type(text).__name__}")
        if keyspace is not None:
            require_keyspace(keyspace, "keyspace")
        if timeout is not None:
            require_seconds(timeout, "timeout")
        prepared: PreparedQuery = await self.answer(self.executor.prepare, text, keyspace, timeout)
        return PreparedStatement(prepared)

    def result(
        self, response: Response, execution: Execution | None, factory: RowFactory[T] = DEFAULT_FACTORY
    ) -> Result[T]:
        """Return what users get for the response to `execution`."""
        if execution is None or (response.paging_state is None and response.extras is None):
            return Result(response, factory)
        return Result(response, factory, self.pager(execution))

    def pager(self, execution: Execution) -> Pager:
        """Return what fetches the pages that follow, and the trace."""
        return _Pager(self, execution)

    def call_options(self, keywords: RequestKeywords) -> RequestOptions:
        """Return the options of a call; the same object for equal ones, so that what follows from them is kept."""
        if not keywords:
            return INHERIT
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

    def stats(self) -> Stats:
        """Return what is under way now."""
        return stats(self.executor.router)

    @property
    def nodes(self) -> str:
        """The nodes that there are connections to, to be shown."""
        return self.executor.router.pools.names

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
        return f"<triocql.Session {self.nodes}, {self.reactor.name}>"


def _call_options(keywords: RequestKeywords) -> RequestOptions:
    check_options(keywords, _OF_CALLS)
    return request_options(keywords)


class _Pager:
    """The pager of a `Result`: executes its statement again for the next page."""

    def __init__(self, context: SessionContext, execution: Execution) -> None:
        self._context = context
        self._execution = execution

    @property
    def fingerprint(self) -> bytes:
        return self._context.executor.fingerprint(self._execution)

    async def fetch(self, paging_state: bytes) -> Response:
        context = self._context
        response: Response = await context.answer(
            context.executor.start_next_page, self._execution, paging_state
        )
        return response

    async def trace(
        self, tracing_id: UUID, consistency: Consistency | str | None, timeout: float | None, complete: bool
    ) -> Trace:
        if timeout is None:
            timeout = self._execution.timeout
        else:
            require_seconds(timeout, "timeout")
        return await read_trace(
            self._context.reactor,
            self._context.execute,
            tracing_id,
            consistency=consistency,
            timeout=timeout,
            complete=complete,
        )
