# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Many requests at once, bounded: no task and no waiter each, the completion of one starts the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from triocql.engine.requests.telling import as_error, report
from triocql.errors import Error

if TYPE_CHECKING:
    import cython

    from triocql.config.requests import RequestOptions
    from triocql.engine.executing.starter import Results, Starter
    from triocql.statements.statement import Parameters
else:
    from triocql import _cython as cython

if not cython.compiled:  # where it is, `pair_of` is that of `_pairs.pxd`
    from triocql.engine.executing.execution import Execution
    from triocql.engine.executing.template import ExecuteTemplate
    from triocql.engine.requests.kept import keep
    from triocql.engine.requests.request import Completion, Response

    def pair_of(kind: type[tuple[Any, ...]], success: bool, outcome: Any) -> tuple[Any, ...]:
        """Return a pair of this class, without its constructor."""
        return tuple.__new__(kind, (success, outcome))


# A window asks for the time once for so many requests that it starts in a row.
_BATCH = 64

_index = attrgetter("index")

OnEnded = Callable[["Entry", "Response | None", "BaseException | None"], None]


class Entry(Completion):
    """One request of a window: its place in the order and, once it is started, its execution. A sink."""

    __slots__ = ("execution", "index", "window")

    bounded = True

    def __init__(self, window: Window, index: int) -> None:
        self.window = window
        self.index = index
        self.execution: Execution | None = None

    def resolve(self, response: Response) -> None:
        """Called with the response (`Sink`)."""
        self.window.end(self, response, None)

    def reject(self, error: BaseException) -> None:
        """Called with the error (`Sink`)."""
        self.window.end(self, None, error)


class Window:
    """Up to `concurrency` requests under way, counting those that have ended but still `occupy` room.

    `on_ended` is called once for every entry that was started, in the order of their ends, unless the window was
    stopped before. If it raises on an outcome, it is called again with the error that it raised instead.
    """

    def __init__(self, executor: Starter, concurrency: int, call: RequestOptions, on_ended: OnEnded) -> None:
        self.stopped = False
        self.started = 0
        self.occupied = 0
        self._executor = executor
        self._router = executor.router
        self._concurrency = concurrency
        self._call = call
        self._on_ended = on_ended
        self._live: set[Entry] = set()
        self._statement: Any = None
        self._template: ExecuteTemplate | None = None
        self._now = -1.0

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._live

    @property
    def has_room(self) -> bool:
        """Whether another request may be started."""
        return self._room()

    def _room(self) -> bool:
        return len(self._live) + self.occupied < self._concurrency

    def start(self, statement: Any, parameters: Parameters) -> Entry:
        """Start a request. What the caller did wrong is an outcome of the entry like any other."""
        entry = Entry.__new__(Entry)
        entry.window = self
        entry.index = self.started
        if not cython.compiled:  # where it is, it begins like this
            entry.execution = None
        self.started += 1
        self._live.add(entry)
        try:
            if statement is not self._statement:
                self._template = self._executor.template_of(statement, self._call)
                self._statement = statement
            if self._template is not None:
                entry.execution = self._template.start(entry, parameters, self._now)
            else:
                entry.execution = self._executor.start(entry, statement, parameters, self._call)
        except Exception as error:
            self.end(entry, None, error)
        else:
            if self.stopped:
                self._abandon(entry)
        return entry

    def end(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        """Called with the outcome of `entry`."""
        if entry in self._live:
            self._live.discard(entry)
            try:
                if error is not None:
                    _number(error, entry.index)
                self._on_ended(entry, response, error)
            except Exception as bug:
                self._on_ended(entry, None, as_error(bug))
                report(bug)

    def stop(self) -> None:
        """Start nothing more and abandon what is under way. Idempotent."""
        self.stopped = True
        live, self._live = self._live, set()
        for entry in sorted(live, key=_index):
            self._abandon(entry)

    def _abandon(self, entry: Entry) -> None:
        if entry.execution is not None:
            entry.execution.abandon()


class PullingWindow(Window):
    """A window that takes its statements from an iterator, in the context of whoever made the window.

    `on_error` is called, once, with what the iterator raised; nothing is taken from it after that.
    """

    def __init__(
        self,
        executor: Starter,
        concurrency: int,
        call: RequestOptions,
        on_ended: OnEnded,
        source: Iterator[tuple[Any, Parameters]],
        on_error: Callable[[BaseException], None],
    ) -> None:
        Window.__init__(self, executor, concurrency, call, on_ended)
        self.exhausted = False
        self._source = source
        self._on_error = on_error
        self._pumping = False
        self._due = False
        self._context: Context = copy_context()
        self._clock_now = executor.context.now

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way and nothing will follow."""
        return not self._live and (self.exhausted or self.stopped)

    def _pump_soon(self) -> None:
        """Start requests once the batch of responses that is being read has ended, or now outside any."""
        if self._due:
            return
        router = self._router
        if router.reading:
            self._due = True
            router.after_reading.append(self.pump)
        else:
            self.pump()

    def pump(self) -> None:
        """Start requests while there is room. Called again from inside itself, it leaves the work to the first call:
        requests that end at once, however many, do not nest."""
        self._due = False
        if self._pumping:
            return
        self._pumping = True
        try:
            self._context.run(self._fill)
        except BaseException as error:  # the iterator's: it is nothing to whoever reads the responses
            self.exhausted = True
            self._on_error(error)
        finally:
            self._pumping = False
            self._now = -1.0
        self._pumped()

    def _pumped(self) -> None:
        """Called when there is no more room, or nothing more to start."""

    def _fill(self) -> None:
        source, count = self._source, 0
        while not self.stopped and not self.exhausted and self._room():
            if count % _BATCH == 0:
                self._now = self._clock_now()
            count += 1
            try:
                statement, parameters = next(source)
            except StopIteration:
                self.exhausted = True
                return
            self.start(statement, parameters)


class CollectingWindow(PullingWindow):
    """A window that keeps the outcomes in the order of the statements: pairs of success and result, or error.

    Args:
        pair: the class of the pairs, a tuple.
        results: makes the results of responses.
        stop_on_error: whether the first error goes to `on_error` and ends the pulling; one that is no `Exception`
            is in any case.
        on_over: called once nothing is under way and nothing will follow.
    """

    def __init__(
        self,
        executor: Starter,
        concurrency: int,
        call: RequestOptions,
        source: Iterator[tuple[Any, Parameters]],
        *,
        pair: type[tuple[Any, ...]],
        results: Results,
        stop_on_error: bool,
        on_error: Callable[[BaseException], None],
        on_over: Callable[[], None],
    ) -> None:
        PullingWindow.__init__(self, executor, concurrency, call, _unused, source, on_error)
        self.outcomes: list[Any] = []
        self._pair = pair
        self._result = results.result
        self._factory = results.factory
        self._make_result = results.make
        self._stop_on_error = stop_on_error
        self._on_over = on_over
        self._last: Response | None = None
        self._last_pair: Any = None
        self._empty: dict[Response, Any] = {}

    def end(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        """Keep the outcome of `entry` and start what follows."""
        if entry not in self._live:
            return
        self._live.discard(entry)
        # The answers without content of one connection are one object, and make one outcome, however many connections
        # there are: statements that give no rows leave nothing behind for the garbage collector to go through.
        if response is not None and response is not self._last:
            try:
                self._take(response, entry.execution)
            except Exception as bug:
                response, error = None, as_error(bug)
                report(bug)
        if response is not None:
            self._keep(entry.index, self._last_pair)
        elif error is not None:
            _number(error, entry.index)
            self._keep(entry.index, pair_of(self._pair, False, error))
            if self._stop_on_error or not isinstance(error, Exception):
                self._on_error(error)
        if self._live or not self.is_over:
            self._pump_soon()
        else:
            self._on_over()

    def hand_over(self) -> list[Any]:
        """Return the outcomes, and keep none of them: windows and their calls refer to each other, so that they are
        there until the next collection of garbage.
        """
        outcomes, self.outcomes = self.outcomes, []
        self._last = self._last_pair = None
        self._empty.clear()
        return outcomes

    def _take(self, response: Response, execution: Execution | None) -> None:
        pair = self._empty.get(response) if response.page is None else None
        if pair is None:
            if response.paging_state is None and response.extras is None:  # as for most: `make`, in few steps
                result = keep(self._result, response, self._factory)
            else:
                result = self._make_result(response, execution)
            pair = pair_of(self._pair, True, result)
            if response.page is None:
                self._empty[response] = pair
        self._last_pair = pair
        self._last = response

    def _pumped(self) -> None:
        if not self._live and self.is_over:
            self._on_over()

    def _keep(self, index: int, outcome: Any) -> None:
        outcomes = self.outcomes
        while len(outcomes) <= index:
            outcomes.append(None)
        outcomes[index] = outcome


def _number(error: BaseException, index: int) -> None:
    """Number an error: set which statement of the call it is of."""
    if isinstance(error, Error):
        error.index = index


def _unused(entry: Entry, response: Response | None, error: BaseException | None) -> None:
    """A window that collects tells nobody else."""
