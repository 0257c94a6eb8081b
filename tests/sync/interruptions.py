"""Ctrl-C at each moment of a blocking call: its task is suspended, the node gets a request, a function is called.

The moments of a run are counted, and Ctrl-C is pressed at one of them; the main thread is the caller.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType, TracebackType
from typing import Any, ClassVar

import pytest

import triocql
from tests.engine.peer import Asked, Node
from tests.engine.world import check
from tests.files import open_files
from tests.moments import takes_signals
from tests.session.loops import check_executed_once
from tests.sync.served import SELECT, Served
from triocql.protocol.constants import Opcode
from triocql.reactors import threadloop
from triocql.reactors.calls import Call
from triocql.reactors.threadloop import ThreadLoop
from triocql.sync import Session, futures

PATIENCE = 60.0
"""Seconds after which something that does not happen fails the test."""

AT_ONCE = 5.0
"""Seconds within which an interrupted call has ended, on a busy machine, too: less than any deadline of the library."""

NUDGE = 0.2
"""Seconds after which a caller that was about to fall asleep when it was signalled, and has missed it, is woken."""

really_take = Node.take

_tokens = itertools.count(1000)

_LIBRARY = os.path.dirname(triocql.__file__) + os.sep  # noqa: PTH120 - as code objects name their files
_TESTING = os.path.join(_LIBRARY, "testing") + os.sep  # noqa: PTH118


class Interruption:
    """A run of which the moments are counted; Ctrl-C is pressed at the `at`-th one, if there are so many.

    Attributes:
        count: how many moments there were.
        pressed_at: when Ctrl-C was pressed, None if it was not.
        tasks: the callers' tasks that were made in the block.
        noticed: set when the caller ends a task because of it, or has left the block.
    """

    now: ClassVar[Interruption | None] = None
    latest: ClassVar[Interruption | None] = None
    abandons = True
    """Whether all that is under way is abandoned at once."""
    often: ClassVar[float] = inf
    """At how many moments a run is interrupted, about."""

    def __init__(self, at: int | None = None) -> None:
        self.count = 0
        self.pressed_at: float | None = None
        self.tasks: list[WatchedCall] = []
        self.noticed = threading.Event()
        self._at = at
        self._kept_back: list[tuple[Node, Asked]] | None = [] if self.abandons else None
        Interruption.latest = self

    def __enter__(self) -> Interruption:
        Interruption.now = self
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        Interruption.now = None
        self.noticed.set()

    def passed(self) -> None:
        """Count a moment, and press Ctrl-C if it is the one.

        In another thread than the caller's: return only once the caller has noticed, so that nothing overtakes it.
        """
        self.count += 1
        if self.count - 1 != self._at:
            return
        self.pressed_at = time.monotonic()
        main = threading.main_thread()
        if threading.current_thread() is main:
            signal.raise_signal(signal.SIGINT)
        else:
            assert main.ident is not None
            while not self.noticed.is_set() and time.monotonic() - self.pressed_at < PATIENCE:
                signal.pthread_kill(main.ident, signal.SIGINT)
                self.noticed.wait(NUDGE)

    def let_go(self, served: Served) -> None:
        """Have the node answer what it has kept back, in its own thread: by `run` this one would drive its loop."""
        if self._kept_back is not None:
            served.loop.post(self._take_kept_back)
            wait_until(lambda: self._kept_back is None)

    def _take_kept_back(self) -> None:
        for node, asked in self._kept_back or []:
            really_take(node, asked)
        self._kept_back = None

    def keeps_back(self, node: Node, asked: Asked) -> bool:
        """Keep back a request if Ctrl-C was pressed: whatever ends from then on does so without an answer."""
        if self.pressed_at is None or self._kept_back is None:
            return False
        self._kept_back.append((node, asked))
        return True

    def check(self) -> None:
        """Check that each task has exactly one outcome, and that one which was never begun has none (G1)."""
        assert [task.outcomes for task in self.tasks] == [int(task.begun) for task in self.tasks]


class AtSuspensions(Interruption):
    """Ctrl-C when a caller's task is suspended."""


class AtRequests(Interruption):
    """Ctrl-C when the node gets a request, before it answers."""


class AtCalls(Interruption):
    """Ctrl-C when the caller's thread calls a function of the library, the first steps of `__exit__` included."""

    abandons = False

    def __enter__(self) -> Interruption:
        super().__enter__()
        sys.setprofile(self._called)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        super().__exit__(exc_type, exc, tb)

    def _called(self, frame: FrameType, event: str, _argument: object) -> None:
        place = frame.f_code.co_filename
        if event != "call" or not place.startswith(_LIBRARY) or place.startswith(_TESTING):
            return
        if takes_signals(frame):
            self.passed()


class AtSomeCalls(AtCalls):
    """Ctrl-C at thirty of them or so: there are up to thousands, more of them in pure Python."""

    often = 30


class WatchedCall(Call[Any]):
    """The task of a caller that blocks, which is watched.

    Attributes:
        begun: whether it was stepped.
        outcomes: how often it has ended.
    """

    def __init__(
        self,
        loop: ThreadLoop,
        fn: Callable[[], Coroutine[Any, Any, Any]],
        on_end: Callable[[Any, BaseException | None], None],
    ) -> None:
        def ended(value: Any, error: BaseException | None) -> None:
            self.outcomes += 1
            on_end(value, error)

        super().__init__(loop, fn, ended)
        self.begun = False
        self.outcomes = 0
        self._watched = Interruption.now is not None
        if Interruption.now is not None:
            Interruption.now.tasks.append(self)

    def step(self) -> None:
        """Step it, and say that it was suspended."""
        self.begun = True
        super().step()
        if self._watched and not self.done and isinstance(Interruption.now, AtSuspensions):
            Interruption.now.passed()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


HANDLERS = {"Python's handler": signal.default_int_handler, "a handler of the program": _interrupt}
"""With one of its own the main thread leaves all the work to the loop's."""


@pytest.fixture(params=HANDLERS)
def watched(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Have the tasks of blocking calls, and the requests that nodes get, watched. Nothing may be logged."""
    post, Interruption.latest = ThreadLoop.post, None

    def watched_post(loop: ThreadLoop, fn: Callable[[], None]) -> None:
        post(loop, fn)
        task = getattr(fn, "__self__", None)
        if Interruption.now is not None and isinstance(task, WatchedCall) and fn == task.cancel:
            Interruption.now.noticed.set()

    def watched_take(node: Node, asked: Asked) -> None:
        if isinstance(Interruption.now, AtRequests):
            Interruption.now.passed()
        if Interruption.latest is None or not Interruption.latest.keeps_back(node, asked):
            really_take(node, asked)

    monkeypatch.setattr(ThreadLoop, "post", watched_post)
    monkeypatch.setattr(Node, "take", watched_take)
    monkeypatch.setattr(threadloop, "Call", WatchedCall)
    monkeypatch.setattr(futures, "Call", WatchedCall)
    before = signal.signal(signal.SIGINT, HANDLERS[request.param])
    yield
    signal.signal(signal.SIGINT, before)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def interrupted_in_turn(way: type[Interruption], run: Callable[[Interruption], None]) -> int:
    """Have a run interrupted at each of its moments in turn; return how often it was.

    How many there are is what an undisturbed run has, after one that has prepared what stays so; or more, as the node's
    answers may arrive one by one or together.
    """
    for _ in range(2):
        undisturbed = way()
        run(undisturbed)
    most = undisturbed.count
    assert most > 0
    step = max(1, int(most / way.often))
    pressed, number = 0, most % step
    while number <= most:
        interruption = way(number)
        run(interruption)
        most = max(most, interruption.count)
        pressed += interruption.pressed_at is not None
        number += step
    return pressed


def run_interrupted(interruption: Interruption, scenario: Callable[[], object]) -> None:
    """Run a scenario; it has to end by the interruption if there is one."""
    try:
        with interruption:
            scenario()
    except KeyboardInterrupt:
        assert interruption.pressed_at is not None
        assert time.monotonic() - interruption.pressed_at < AT_ONCE
    else:
        assert interruption.pressed_at is None


# --- What holds afterwards ---------------------------------------------------------------------------------------


def check_as_new(
    served: Served, session: Session, interruption: Interruption, *, abandons: bool = True
) -> None:
    """Check that an interruption has left the session as it was before, with the same connection: G1 to G5, G7.

    With `abandons`, nothing that was under way may be so any longer, though the node has not answered.
    """
    if interruption.abandons and abandons:
        session._portal.run(_abandoned, session)
    interruption.let_go(served)
    session._portal.run(_settled, session, interruption.tasks)
    interruption.check()
    token = next(_tokens)
    text = f"SELECT probe {token}"
    assert session.execute(text, timeout=PATIENCE).scalar() == text
    assert session.execute(SELECT, [token], timeout=PATIENCE).scalar() == token
    session._portal.call(check, triocql.Session(session._portal.context))
    assert session._portal.context.stats() == (1, 0, 0, 0)
    assert session._portal.context.executor.router.ending is None
    assert len(served.node.links) == 1
    check_executed_once(served.node)


async def _abandoned(session: Session) -> None:
    """Check that nothing is under way but preparations, which others may want, too."""
    await session._portal.context.reactor.sleep(0)
    connections = session._portal.context.executor.router.connections()
    under_way = [request for connection in connections for request in connection.in_flight.values()]
    assert all(request.opcode == Opcode.PREPARE for request in under_way), under_way
    assert session._portal.context.stats().queued == 0


async def _settled(session: Session, tasks: list[WatchedCall]) -> None:
    """Wait until no task of a caller is left, and nothing is under way; check the stream ids then."""
    end = time.monotonic() + PATIENCE
    while session._portal.context.stats()[1:] != (0, 0, 0) or not all(
        task.done for task in tasks if task.begun
    ):
        assert time.monotonic() < end, (session._portal.context.stats(), tasks)
        await session._portal.context.reactor.sleep(0.001)
    check(triocql.Session(session._portal.context))


def check_ended(served: Served, interruption: Interruption) -> None:
    """Check what has to hold of an interruption that leaves no session: G1, G7."""
    interruption.let_go(served)
    interruption.check()
    check_executed_once(served.node)


@contextmanager
def nothing_left(served: Served | None = None) -> Iterator[None]:
    """Check that threads and open files are as many after the block as before, and that the node has no connection."""
    threads, files = set(threading.enumerate()), open_files()
    yield
    if served is not None:
        wait_until(lambda: all(link.lost for link in served.node.links))
    gc.collect()
    wait_until(lambda: set(threading.enumerate()) <= threads and open_files() == files)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that other threads see to."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
