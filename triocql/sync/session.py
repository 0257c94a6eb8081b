"""The session of programs that block."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from triocql._hints import CONNECT, NoOtherAttributes, one_position
from triocql.config.checks import require_seconds
from triocql.errors import UsageError
from triocql.reactors.calls import Call
from triocql.reactors.threadloop import ThreadLoop
from triocql.reactors.threadreactor import ThreadReactor
from triocql.results.factories import row_factory
from triocql.session import session as waiting
from triocql.sync import concurrent
from triocql.sync.codecs import Codecs
from triocql.sync.futures import ResultFuture
from triocql.sync.results import Result, RowStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType
    from typing import Self

    from typing_extensions import Unpack

    from triocql.config.contactpoints import ContactPoint
    from triocql.config.options import ConnectKeywords, Options
    from triocql.config.requests import RequestKeywords
    from triocql.engine.executing import Execution
    from triocql.engine.requests import Response
    from triocql.results.factories import RowFactory
    from triocql.results.row import Row
    from triocql.session.session import Stats
    from triocql.session.sources import Item
    from triocql.session.windowcall import ExecutionResult
    from triocql.statements.prepared import PreparedStatement
    from triocql.statements.statement import Parameters

P = ParamSpec("P")
T = TypeVar("T")

_DEFAULT_FACTORY: RowFactory[Any] = row_factory(None)


class Session(NoOtherAttributes):
    """Executes statements on a cluster; made by `connect`. Any number of threads may use it at once.

    Calls that wait raise UsageError in the thread that does the session's work, that is in callbacks, and in the child
    of a fork: connect anew there. What is raised in a thread while it waits, KeyboardInterrupt or gevent's Timeout say,
    abandons the call.

    >>> with triocql.sync.connect("127.0.0.1") as session:                             # doctest: +SKIP
    ...     session.execute("SELECT release_version FROM system.local").scalar()
    '5.0.6'
    """

    _ATTRIBUTES = ("inner", "run")
    _MADE_OF = ThreadLoop
    _MAKER = "`with triocql.sync.connect(...) as session:`"

    def __init__(self, loop: ThreadLoop, inner: waiting.Session) -> None:
        self._loop = loop
        self.inner = inner
        self.run = loop.run

    # --- Statements ----------------------------------------------------------------------------------------

    @overload
    def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Row]: ...
    @overload
    def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> Result[dict[str, Any]]: ...
    @overload
    def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> Result[T]: ...
    def execute(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Any] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> Result[Any]:
        """Execute a statement and return its first page; arguments and errors are those of `triocql.Session.execute`.

        >>> result = session.execute("SELECT * FROM users WHERE id = ?", [7], timeout=2.0)  # doctest: +SKIP
        """
        execute: Callable[..., Coroutine[Any, Any, Any]] = self.inner.execute
        if row_type is None and not options:  # what is not passed on costs nothing
            return Result.of(self, self.run(execute, statement, parameters))
        return Result.of(self, self.run(execute, statement, parameters, row_type=row_type, **options))

    @overload
    def execute_async(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[Row] | None = None,
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[Row]: ...
    @overload
    def execute_async(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[dict[str, Any]],
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[dict[str, Any]]: ...
    @overload
    def execute_async(
        self,
        statement: Any,
        parameters: Parameters = None,
        *,
        row_type: type[T],
        **options: Unpack[RequestKeywords],
    ) -> ResultFuture[T]: ...
    def execute_async(
        self,
        statement: Any,
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
        execute = partial(self.inner.execute, statement, parameters, row_type=row_type, **options)
        future = ResultFuture[Any](self._loop, execute, partial(Result.of, self))
        future.begin()
        return future

    def prepare(
        self, text: str, *, keyspace: str | None = None, timeout: float | None = None
    ) -> PreparedStatement:
        """Prepare a statement; arguments and errors are those of `triocql.Session.prepare`."""
        return self.run(self.inner.prepare, text, keyspace=keyspace, timeout=timeout)

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

        Arguments and errors are those of `triocql.Session.stream`.

        >>> with session.stream("SELECT * FROM events", page_size=5000) as rows:       # doctest: +SKIP
        ...     for row in rows:
        ...         print(row.id)
        """
        inner = self.inner.stream(statement, parameters, prefetch=prefetch, row_type=row_type, **options)
        return RowStream(self, inner, row_factory(row_type))

    # --- Many statements at once ---------------------------------------------------------------------------

    def execute_concurrent(
        self,
        statements_and_parameters: Iterable[Item],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute many statements: see `triocql.sync.execute_concurrent`."""
        return concurrent.execute_concurrent(
            self,
            statements_and_parameters,
            concurrency,
            raise_on_first_error,
            timeout=timeout,
            row_type=row_type,
        )

    def execute_concurrent_with_args(
        self,
        statement: Any,
        parameters: Iterable[Parameters],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> list[ExecutionResult]:
        """Execute one statement with many values: see `triocql.sync.execute_concurrent_with_args`."""
        return concurrent.execute_concurrent_with_args(
            self, statement, parameters, concurrency, raise_on_first_error, timeout=timeout, row_type=row_type
        )

    def stream_concurrent(
        self,
        statements_and_parameters: Iterable[Item],
        concurrency: int = 100,
        raise_on_first_error: bool = True,
        *,
        ordered: bool = True,
        timeout: float | None = None,
        row_type: type[Any] | None = None,
    ) -> concurrent.ConcurrentStream:
        """Execute many statements and hand over the outcomes one by one: see `triocql.sync.stream_concurrent`."""
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
        return self.inner.keyspace

    @property
    def protocol_version(self) -> int:
        """The version of the native protocol that was agreed on."""
        return self.inner.protocol_version

    @property
    def codecs(self) -> Codecs:
        """The session's codecs, to register codecs and classes of your own with."""
        return Codecs(self)

    def stats(self) -> Stats:
        """Return what is under way now."""
        return self.call(self.inner.stats)

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the loop's thread, and wait for what it returns."""

        async def calling() -> T:
            return fn(*args, **kwargs)

        return self.run(calling)

    def result(
        self, response: Response, execution: Execution | None, factory: RowFactory[T] = _DEFAULT_FACTORY
    ) -> Result[T]:
        """Return what users get for the response to `execution`."""
        if execution is None or (response.paging_state is None and response.extras is None):
            return Result(self, response, factory)
        return Result.of(self, self.inner.result(response, execution, factory))

    def close(self, timeout: float = waiting.DRAIN_TIMEOUT) -> None:
        """Close the session as `triocql.Session.aclose` does. Idempotent; does nothing in a child process.

        ``with connect(...)`` does it by itself, with a timeout of 0 if the block is left by an exception.
        """
        require_seconds(timeout, "timeout", zero=True)
        if not self._loop.is_open:
            return
        self._loop.check_may_block()
        try:
            with suppress(UsageError):  # another thread was faster
                self.run(self.inner.aclose, timeout)
        finally:
            self._loop.stop()
            self._loop.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close(waiting.DRAIN_TIMEOUT if exc is None else 0)

    def __aenter__(self) -> NoReturn:
        self.close(0)
        raise UsageError(
            "a session of triocql.sync blocks: enter it by `with`; in async programs, write "
            "`async with triocql.connect(...)`"
        )

    def __aexit__(self, *exc: object) -> NoReturn:
        raise AssertionError("it is never entered")

    def __del__(self) -> None:
        loop = self._loop
        if loop.is_open:
            with suppress(UsageError):
                loop.begin(Call(loop, partial(self.inner.aclose, 0), lambda _value, _error: loop.stop()))
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        nodes = ", ".join(pool.name for pool in self.inner.executor.router.pools)
        return f"<triocql.sync.Session {nodes}>"


@one_position(CONNECT)
def connect(
    contact_points: ContactPoint | Iterable[ContactPoint] = "127.0.0.1",
    *,
    port: int = 9042,
    options: Options | None = None,
    **keywords: Unpack[ConnectKeywords],
) -> Session:
    """Connect to a cluster, and return the session: use it in a ``with`` block, or close it.

    Arguments and errors are those of `triocql.connect`. The session's work is done in a daemon thread of its own, under
    gevent's monkey patch in a greenlet.

    >>> with triocql.sync.connect("10.0.0.1", keyspace="shop", timeout=5.0) as session:   # doctest: +SKIP
    ...     session.execute("SELECT * FROM users LIMIT 1")

    Codecs, and classes for user-defined types, can be registered before:

    >>> codecs = triocql.Registry()                                                       # doctest: +SKIP
    >>> codecs.register_udt("shop", "address", Address)                                   # doctest: +SKIP
    >>> with triocql.sync.connect("10.0.0.1", codecs=codecs) as session:                  # doctest: +SKIP
    ...     address = session.execute("SELECT home FROM shop.users").scalar()
    """
    connecting = waiting.connect(
        contact_points, port=port, reactor=ThreadReactor(), options=options, **keywords
    )
    loop = ThreadLoop()
    loop.start()
    try:
        return Session(loop, loop.run(connecting.__aenter__))
    except BaseException:
        loop.stop()
        loop.join()
        raise
