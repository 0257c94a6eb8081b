"""A small event loop for callers that block: sockets, timers and stepped coroutines, in a daemon thread or their own.

Sockets, selectors and threads are looked up when they are used: under gevent's monkey patch the thread is a greenlet,
and everything cooperates.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any, ParamSpec, TypeVar

from triocql.errors import SessionClosed, UsageError

from .base import READ_SIZE, Flushable
from .calls import Call, Slot, ended_by
from .depth import is_deep
from .forks import check_process, this_process
from .interrupts import Interruptions, interruptions
from .loops import Loops
from .pollers import OnReady, make_poller, threads_are_green
from .stepping import Task
from .timers import Timers

T = TypeVar("T")
P = ParamSpec("P")

logger = logging.getLogger("triocql.reactors.threadloop")

REST = 0.01
"""Seconds without a call after which the loop's thread takes over from callers that drove it."""

FRESH = 0.001
"""Seconds for which a caller that takes over need not look at the sockets first."""

_LONGEST_SLEEP = 86_400.0
_MOST_CANCELS, _MOST_ROUNDS = 10, 100

loops: Loops[ThreadLoop] = Loops()


def running_thread_loop() -> ThreadLoop | None:
    """Return the loop that runs the caller, None outside any."""
    return loops.running.get(threading.get_ident())


class ThreadLoop:
    """Runs tasks for callers. `begin`, `run`, `post`, `stop` and `join` may be called by any thread.

    Whoever holds the baton drives the loop: calls what is ready, waits for what is not. That is the loop's own thread
    or, as long as there is nothing but calls of `run` to attend to, the thread of one of their callers: it saves the
    changes of threads, which take longer than all the rest of a request.

    Attributes:
        buffer: what a socket's data is received into.
        current: the task that is being stepped.
        ended: whether the loop has ended.
        failure: what it has ended by, if nobody had asked it to end.

    >>> async def main() -> int:
    ...     return 6 * 7
    >>> loop = ThreadLoop()
    >>> loop.start()
    >>> loop.run(main)
    42
    >>> loop.stop()
    >>> loop.join()
    """

    now = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.current: Task[Any] | None = None
        self.ended = False
        self._calls = 0  # how many are under way
        self._served = False  # a call has ended since the thread took over
        self._crowded = False  # there were several calls at once
        self._forked = False
        self._process = this_process()
        self._stopping = False
        self.failure: BaseException | None = None
        self._asleep = False
        self._ident = 0
        self._timers = Timers()
        self._ready: deque[Callable[[], None]] = deque()
        self._wanted: deque[Callable[[], None]] = deque()  # what nobody but the thread may begin
        self._dirty: list[Flushable] = []
        self._tasks: set[Task[Any]] = set()
        self._poller = make_poller()
        self._waker, self._wakee = socket.socketpair()
        self._baton = threading.Lock()
        self._relief = threading.Lock()  # released to have the thread take over
        self._relief.acquire()
        self._shares = not threads_are_green()  # they change at little cost
        self._led = False  # a caller has driven lately
        self._attended = 0.0

    # --- For all threads -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread. Raises UsageError where none can be started, as at the end of the interpreter."""
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self.watch(self._wakee, EVENT_READ, self._woken)
        try:
            self._thread = threading.Thread(target=self._run, name="triocql", daemon=True)
            self._thread.start()
        except RuntimeError as error:
            self._close_sockets()
            raise UsageError(
                f"a session that blocks needs a thread, and {error}. At the end of a program (atexit), use one that "
                "was opened before; in an isolated subinterpreter, use triocql.connect on asyncio or Trio"
            ) from error
        loops.started.add(self)

    def post(self, fn: Callable[[], None]) -> None:
        """Have the loop call `fn` in its next turn."""
        self._ready.append(fn)
        self._notify()

    def begin(self, call: Call[Any]) -> None:
        """Start a call and return at once: its end is told in the loop's own thread.

        What is raised in the caller meanwhile, such as KeyboardInterrupt, cancels the call.

        Raises UsageError in the child of a fork, SessionClosed once the loop has ended.
        """
        try:
            self._enqueue(call, self._wanted)
            self._notify()
        except BaseException:
            self.post(call.cancel)
            raise

    def run(self, fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``await fn(*args, **kwargs)`` as a task and wait for its result.

        What is raised in the caller while it waits, such as KeyboardInterrupt, cancels the task.

        Raises what the coroutine raises, what `begin` raises, UsageError by what runs in the loop, and SessionClosed if
        the loop ends before the task.
        """
        self.check_may_block()
        slot: Slot[T] = Slot()
        call = Call(self, partial(fn, *args, **kwargs), slot.put)
        try:
            self._enqueue(call, self._ready)
            if not self._drive_for(slot):
                self._notify()
            slot.wait()
        except BaseException:
            self.post(call.cancel)
            raise
        return slot.take(self.failure)

    def check_may_block(self) -> None:
        """Raise UsageError for what runs in the loop: if it waited for the loop, it would wait for ever."""
        if threading.get_ident() == self._ident:
            raise UsageError(
                "a call that waits was made in the thread that does its work, from a callback or a codec: use "
                "execute_async and callbacks there, or hand the work to another thread"
            )

    def stop(self) -> None:
        """Have the loop end at its next turn: its tasks are cancelled, its sockets are closed. Idempotent."""
        self.post(self._stop)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, `timeout` seconds at most; not in the thread itself."""
        if not self._forked and threading.get_ident() != self._ident:
            self._thread.join(timeout)

    @property
    def is_open(self) -> bool:
        """Whether the loop runs, in this process."""
        return not (self._forked or self.ended)

    def leave_to_parent(self) -> None:
        """In the child of a fork: close the child's copies of the sockets, which the parent goes on with."""
        self._forked = self._stopping = True
        self._ident = 0
        self._close_sockets()

    def check_process(self) -> None:
        """Raise UsageError in the child of a fork."""
        if self._forked:
            check_process(self._process)

    def _enqueue(self, call: Call[Any], queue: deque[Callable[[], None]]) -> None:
        """Have the next turn begin a call.

        If the loop has ended, none comes; it may have taken the call just before, though, and ends it like the others.
        """
        queue.append(call.step)
        if not (self._forked or self.ended):
            return
        with suppress(ValueError):
            queue.remove(call.step)
            self.check_process()
            raise SessionClosed("the session is closed") if self.failure is None else ended_by(self.failure)

    def _notify(self) -> None:
        """Have what is ready called: by whoever drives, or else by the thread."""
        if not self._baton.locked():
            self._relieve()
        elif self._asleep:
            with suppress(OSError):  # it is full, and wakes the loop anyhow; or the loop has ended
                self._asleep = False  # nothing may be called from here to `send`, lest Ctrl-C come in between
                self._waker.send(b"\0")

    def _relieve(self) -> None:
        """Have the thread take over."""
        with suppress(RuntimeError):  # it was told already
            self._relief.release()

    # --- Whoever drives ------------------------------------------------------------------------------------

    def _drive_for(self, slot: Slot[Any]) -> bool:
        """Drive the loop until `slot` is full or the thread is wanted; returns whether the caller could."""
        ident = threading.get_ident()
        if self._wanted or not self._shares or ident in loops.running or is_deep():
            return False
        guard = interruptions()
        if guard is None:
            return False
        with guard:
            if not self._baton.acquire(blocking=False):
                return False
            self._enter(ident)
            try:
                if time.monotonic() - self._attended < FRESH:
                    self._work((), math.inf)
                while not (slot.full or self._wanted or self._stopping):
                    self._turn(guard)
            finally:
                self._led = True
                self._leave(ident)
                if self._calls or self._ready or self._wanted or self._stopping:
                    self._relieve()
        return True

    def _enter(self, ident: int) -> None:
        self._ident = ident
        loops.running[ident] = self

    def _leave(self, ident: int) -> None:
        loops.running.pop(ident, None)
        self._ident = 0
        self._attended = time.monotonic()
        self._baton.release()

    def _turn(self, guard: Interruptions) -> None:
        """Wait for the sockets and the time, then work."""
        self._asleep = True  # before looking at what is ready: `post` does it the other way round
        due = self._timers.next_due()
        busy = self._ready or self._dirty or self._wanted
        timeout = 0.0 if busy else max(0.0, min(due - time.monotonic(), _LONGEST_SLEEP))
        guard.allow()
        events = self._poller.poll(timeout)
        guard.forbid()
        self._asleep = False
        self._work(events, due)

    def _work(self, events: Iterable[tuple[OnReady, int]], due: float) -> None:
        """Read what the sockets have, call what is due and what is ready, then send what that has made."""
        try:
            for on_ready, mask in events:
                on_ready(mask)
            if due <= (now := time.monotonic()):
                for fn in self._timers.pop_due(now):
                    fn()
            self._call_ready()
            if self._dirty:
                dirty, self._dirty = self._dirty, []
                for transport in dirty:
                    transport.flush()
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        """End the loop: nobody knows in which state things are. It may be a bug, or what another thread has thrown."""
        if self._stopping:
            return
        self._stopping = True
        self.failure = error
        logger.error("a session ends: its work was broken off by %r", error, exc_info=error)

    def _call_ready(self) -> None:
        """Call what is ready now; what that makes ready waits for the next turn."""
        ready, count = self._ready, len(self._ready)
        if self._wanted:
            if self._ident != self._thread.ident:
                return  # all of it is left to the thread, so that nothing overtakes what it has to begin
            wanted = [self._wanted.popleft() for _ in range(len(self._wanted))]
            ready.extendleft(reversed(wanted))
            count += len(wanted)
        for _ in range(count):
            ready.popleft()()

    # --- For what runs in the loop -------------------------------------------------------------------------

    def soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` when its turn comes."""
        self._ready.append(fn)

    def remember(self, task: Task[Any]) -> None:
        """Called when a task begins."""
        self._tasks.add(task)
        if task.is_call:
            self._calls += 1
            self._crowded = self._crowded or self._calls > 1

    def forget(self, task: Task[Any]) -> None:
        """Called when a task has ended."""
        self._tasks.discard(task)
        if task.is_call:
            self._calls -= 1
            self._served = True

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        return self._timers.add(when, fn)

    def flush_soon(self, transport: Flushable) -> None:
        """Flush a transport at the end of this turn."""
        self._dirty.append(transport)

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Call `on_ready` whenever the socket is ready for one of `events`, from now on; for 0, never more."""
        self._poller.watch(sock, events, on_ready)

    # --- The thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._drive()
        except BaseException as error:  # whoever calls is told
            self._fail(error)
        finally:
            if not self._forked:
                self._end()

    def _drive(self) -> None:
        """Drive the loop to its end, and rest while callers do; returns with the baton, so that nobody gets it."""
        ident, guard = threading.get_ident(), Interruptions()
        while True:
            self._baton.acquire()
            self._enter(ident)
            self._served = False
            while not (self._stopping or self._may_rest()):
                self._turn(guard)
            if self._stopping:
                return
            self._leave(ident)
            self._rest()

    def _may_rest(self) -> bool:
        """Whether a call was served, none is left, and callers come one by one: several were in each other's way."""
        if self._calls or not (self._served and self._shares):
            return False
        if self._crowded:
            self._crowded = self._served = False
            return False
        return not (self._ready or self._wanted)

    def _rest(self) -> None:
        """Wait until the thread is told to take over, or no caller has driven for a while."""
        relieved = False
        while not relieved:
            self._led = False
            relieved = self._relief.acquire(timeout=REST) or not self._led

    def _woken(self, _events: int) -> None:
        with suppress(BlockingIOError):
            self._wakee.recv(4096)

    def _stop(self) -> None:
        self._stopping = True

    def _end(self) -> None:
        """End every task, so that whoever waits for it gets to know, and close every socket."""
        self.ended = True
        self._call_all_ready()
        for _ in range(_MOST_CANCELS):
            for task in list(self._tasks):
                task.cancel()
            self._call_all_ready()
        self._close_sockets()
        loops.running.pop(self._ident, None)
        self._ident = 0  # another thread may get it

    def _call_all_ready(self) -> None:
        """Call what is ready and what that makes ready, as far as a task goes that was cancelled: not for ever."""
        for _ in range(_MOST_ROUNDS):
            self._call_ready()

    def _close_sockets(self) -> None:
        self._poller.close()
        self._waker.close()
