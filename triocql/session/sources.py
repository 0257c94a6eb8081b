"""Sources of statements: pairs with their parameters, and the task that pulls an async iterator."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextvars import ContextVar
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

from triocql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from triocql.abc import Reactor, Waiter
    from triocql.engine.executing import Window
    from triocql.session.context import SessionContext
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters

Item: TypeAlias = Any
"""A statement, or a pair of a statement and its parameters. Not more exactly: to a type checker, a list of such pairs
is one of pairs of `object` as soon as they are of several kinds.
"""

if TYPE_CHECKING:
    Statements: TypeAlias = Iterable[Item] | AsyncIterable[Item]
    Pair: TypeAlias = tuple[Any, Parameters]
    Source: TypeAlias = "Iterator[Pair] | AsyncPairs"


def pair(item: Item) -> Pair:
    """Return a statement and its parameters. What is neither a statement nor a pair is refused when it is started.

    >>> pair("SELECT a"), pair(["SELECT b WHERE k = ?", [1]])
    (('SELECT a', None), ('SELECT b WHERE k = ?', [1]))
    """
    if isinstance(item, (tuple, list)) and len(item) == 2:  # no statement is one of them
        statement, parameters = item
        return statement, parameters
    return item, None


def pairs(items: Iterable[Item]) -> Iterator[Pair]:
    """Iterate over statements with their parameters."""
    return map(pair, items)


def pairs_with(statement: Executable, parameters: Iterable[Parameters]) -> Iterator[Pair]:
    """Iterate over pairs of one statement and each of `parameters`."""
    return zip(repeat(statement), parameters)


def source_of(items: Statements) -> Source:
    """Return the source of statements with their parameters."""
    return AsyncPairs(items, pair) if isinstance(items, AsyncIterable) else pairs(items)


def source_with(
    statement: Executable, parameters: Iterable[Parameters] | AsyncIterable[Parameters]
) -> Source:
    """Return the source of pairs of one statement and each of `parameters`."""
    if isinstance(parameters, AsyncIterable):
        return AsyncPairs(parameters, lambda values: (statement, values))
    return pairs_with(statement, parameters)


class AsyncPairs:
    """An async iterator over statements with their parameters.

    No generator: event loops want those to be closed, and this one is left wherever the call ends.
    """

    def __init__(self, items: AsyncIterable[Any], make_pair: Callable[[Any], Pair]) -> None:
        self._items = aiter(items)
        self._make_pair = make_pair

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Pair:
        return self._make_pair(await anext(self._items))


class Puller:
    """Starts what an async iterator gives, as there is room in a window: an async context manager.

    In a task of its own, for whoever waits for outcomes must get them, and the first error, and the deadline, even
    while the iterator waits. In one task from beginning to end, for what an async generator enters it has to leave in
    the same one. After the block the iterator runs no more, and may be used by others.

    Attributes:
        over: whether nothing more will be started.
    """

    def __init__(
        self,
        context: SessionContext,
        window: Window,
        source: AsyncPairs,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.over = False
        self._context = context
        self._reactor = context.reactor
        self._window = window
        self._source = source
        self._on_end = on_end
        self._begun = False
        self._leaving = False
        self._late: BaseException | None = None
        self._room_waiter: Waiter[None] | None = None
        self._end_waiter: Waiter[None] | None = None
        self._cancel: Callable[[], None]

    def start(self) -> None:
        """Begin to pull, as entering the block does. Raises SessionClosed or InternalError if the session has ended."""
        router = self._context.executor.router
        if router.ending is not None:
            raise router.ended_error()
        self._cancel = self._context.protected(self._reactor.spawn, self._run)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._leaving = True
        self._cancel()
        # If it has not begun, it never will touch the iterator. In a coroutine that is closed, nothing can be awaited.
        if self._begun and exc_type is not GeneratorExit:
            await self._reactor.outlast(self._end)
        late, self._late = self._late, None
        if late is None:
            return
        if exc is None or not isinstance(late, Exception):
            raise late
        exc.add_note(f"the source of the statements was cancelled after that, and raised {late!r}")

    def wake(self) -> None:
        """Go on if there is room."""
        if self._room_waiter is not None and self._window.has_room and not self._window.stopped:
            self._room_waiter.resolve(None)

    async def _run(self) -> None:
        """Pull, and keep what is raised: the task is the reactor's, the iterator is the caller's."""
        self._begun = True
        _PULLING.set((*_PULLING.get(), self))
        error: BaseException | None = None
        try:
            await self._pull()
        except BaseException as raised:
            error = raised
        self.over = True
        if not self._leaving:
            self._on_end(error)
        elif isinstance(error, (Exception, KeyboardInterrupt, SystemExit)):
            self._late = error
        if self._end_waiter is not None:
            self._end_waiter.resolve(None)

    def runs_on(self, reactor: Reactor) -> bool:
        """Whether the iterator runs in a task of this reactor's."""
        return self._reactor is reactor and not self.over

    async def _pull(self) -> None:
        """Ask for a statement only when it can be started at once: what was taken is never held back."""
        window, source = self._window, self._source
        while True:
            await self._room()
            try:
                statement, parameters = await anext(source)
            except StopAsyncIteration:
                return
            if window.stopped:
                return
            window.start(statement, parameters)

    async def _room(self) -> None:
        """Wait until there is room. A checkpoint, always."""
        self._room_waiter = self._reactor.waiter(_nothing)
        self.wake()
        await self._room_waiter.wait()

    async def _end(self) -> None:
        if not self.over:
            self._end_waiter = self._reactor.waiter(_nothing)
            await self._end_waiter.wait()


_PULLING: ContextVar[tuple[Puller, ...]] = ContextVar("triocql pulling", default=())
"""The pullers within whose iterators this code runs."""


def check_leaving(reactor: Reactor) -> None:
    """Raise UsageError within an iterator that runs on `reactor`: to leave it waits for the end of its iterators."""
    if any(puller.runs_on(reactor) for puller in _PULLING.get()):
        raise UsageError(
            "a session cannot be closed within an async iterator that supplies its statements, as closing waits for "
            "the iterator to end: raise an exception there, and close the session where it was opened"
        )


def _nothing() -> None:
    """The `on_cancel` of a wait whose task itself cleans up."""
