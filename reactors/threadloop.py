"""A small event loop in a daemon thread: sockets, timers and stepped coroutines, for callers that block.

Sockets, selectors and threads are looked up when they are used: under gevent's monkey patch the thread is a greenlet,
and everything cooperates.
"""

from __future__ import annotations

import atexit
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from triocql.errors import SessionClosed, UsageError

from .base import READ_SIZE
from .stepping import Cancelled, Task
from .timers import Timers

T = TypeVar("T")
P = ParamSpec("P")

OnReady = Callable[[int], None]
"""Told which of `selectors.EVENT_READ` and `EVENT_WRITE` a socket is ready for."""

EXIT_TIMEOUT = 1.0
"""Seconds that the end of the interpreter waits for a loop that still runs."""

_LONGEST_SLEEP = 86_400.0
_MOST_CANCELS, _MOST_ROUNDS = 10, 100

_running: dict[int, ThreadLoop] = {}
_loops: weakref.WeakSet[ThreadLoop] = weakref.WeakSet()


class Flushable(Protocol):
    """What gathers data to be sent at the end of a turn."""

    def flush(self) -> None:
        """Send what has gathered."""


class ThreadLoop:
    """Runs tasks in a thread of its own. `begin`, `run`, `post`, `stop` and `join` may be called by any thread.

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
        self._forked = False
        self._stopping = False
        self._asleep = False
        self._ident = 0
        self._timers = Timers()
        self._ready: deque[Callable[[], None]] = deque()
        self._dirty: list[Flushable] = []
        self._tasks: set[Task[Any]] = set()
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakee = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="triocql", daemon=True)

    # --- For all threads -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self.watch(self._wakee, selectors.EVENT_READ, self._woken)
        _loops.add(self)
        self._thread.start()

    def post(self, fn: Callable[[], None]) -> None:
        """Have the loop call `fn` in its next turn."""
        self._ready.append(fn)
        if self._asleep:
            with suppress(OSError):  # it is full, and wakes the loop anyhow; or the loop has ended
                self._asleep = False  # nothing may be called from here to `send`, lest Ctrl-C come in between
                self._waker.send(b"\0")

    def begin(self, task: Task[Any]) -> None:
        """Start a task and return at once.

        What is raised in the caller meanwhile, such as KeyboardInterrupt, cancels the task.

        Raises UsageError in the child of a fork, SessionClosed once the loop has ended.
        """
        try:
            self.post(task.step)
            if self._forked or self.ended:
                self._withdraw(task)
        except BaseException:
            self.post(task.cancel)
            raise

    def run(self, fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``await fn(*args, **kwargs)`` as a task and wait for its result.

        What is raised in the caller while it waits, such as KeyboardInterrupt, cancels the task.

        Raises what the coroutine raises, what `begin` raises, UsageError in the loop's own thread, and SessionClosed
        if the loop ends before the task.
        """
        self.check_may_block()
        slot = Slot[T]()
        task = Task(self, partial(fn, *args, **kwargs), slot.put)
        try:
            self.begin(task)
            slot.wait()
        except BaseException:
            self.post(task.cancel)
            raise
        return slot.take()

    def check_may_block(self) -> None:
        """Raise UsageError in the loop's own thread: whoever waits for the loop there waits for ever."""
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

    def _withdraw(self, task: Task[Any]) -> None:
        """Refuse a task, unless the loop took it just before its end: then it ends it like the others."""
        try:
            self._ready.remove(task.step)
        except ValueError:
            return
        if self._forked:
            raise UsageError(
                "this session was made before the process forked and belongs to the parent: connect in the child, too"
            )
        raise SessionClosed("the session is closed")

    # --- For what runs in the loop -------------------------------------------------------------------------

    def soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` when its turn comes."""
        self._ready.append(fn)

    def remember(self, task: Task[Any]) -> None:
        """Take note of the beginning of a task."""
        self._tasks.add(task)

    def forget(self, task: Task[Any]) -> None:
        """Take note of the end of a task."""
        self._tasks.discard(task)

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        return self._timers.add(when, fn)

    def flush_soon(self, transport: Flushable) -> None:
        """Flush a transport at the end of this turn."""
        self._dirty.append(transport)

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Tell `on_ready` whenever the socket is ready for one of `events`, from now on; of 0, never more."""
        known = sock in self._selector.get_map()
        if not known and events:
            self._selector.register(sock, events, on_ready)
        elif known and events:
            self._selector.modify(sock, events, on_ready)
        elif known:
            self._selector.unregister(sock)

    # --- The thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._ident = threading.get_ident()
        _running[self._ident] = self
        try:
            while not self._stopping:
                self._turn()
        finally:
            del _running[self._ident]
            if not self._forked:
                self._end()
            self._ident = 0  # another thread may get it

    def _turn(self) -> None:
        """Take what the sockets have, call what is due and what is ready, then send what that has made."""
        self._asleep = True  # before looking at what is ready: `post` does it the other way round
        busy = self._ready or self._dirty
        timeout = 0.0 if busy else min(self._timers.next_due() - time.monotonic(), _LONGEST_SLEEP)
        events = self._selector.select(timeout)
        self._asleep = False
        for key, mask in events:
            key.data(mask)
        for fn in self._timers.pop_due(time.monotonic()):
            fn()
        self._call_ready()
        if self._dirty:
            dirty, self._dirty = self._dirty, []
            for transport in dirty:
                transport.flush()

    def _call_ready(self) -> None:
        """Call what is ready now; what that makes ready waits for the next turn."""
        ready = self._ready
        for _ in range(len(ready)):
            ready.popleft()()

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

    def _call_all_ready(self) -> None:
        """Call what is ready and what that makes ready, as far as a task goes that was cancelled: not for ever."""
        for _ in range(_MOST_ROUNDS):
            self._call_ready()

    def _close_sockets(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # nothing but sockets is watched
        self._waker.close()
        self._selector.close()


class Slot(Generic[T]):
    """Where one thread waits for the outcome of one task."""

    __slots__ = ("_error", "_lock", "_value")

    def __init__(self) -> None:
        self._value: T | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def put(self, value: T | None, error: BaseException | None) -> None:
        """Give the outcome; in the loop's thread."""
        self._value = value
        self._error = error
        self._lock.release()

    def wait(self) -> None:
        """Wait for the outcome."""
        self._lock.acquire()

    def take(self) -> T:
        """Return the result, or raise."""
        error = self._error
        if error is None:
            return self._value  # type: ignore[return-value]
        self._error = None  # else the error's traceback would lead to the error
        raise told(error)


def told(error: BaseException) -> BaseException:
    """Return the error as the caller of a task is told of it: nobody but the loop's end cancels a task unasked."""
    return (
        SessionClosed("the session was closed before the call had ended")
        if isinstance(error, Cancelled)
        else error
    )


def running_thread_loop() -> ThreadLoop | None:
    """Return the loop that runs the caller, None outside any."""
    return _running.get(threading.get_ident())


def _end_all() -> None:
    """End the loops before the interpreter does."""
    loops = list(_loops)
    for loop in loops:
        loop.stop()
    for loop in loops:
        loop.join(EXIT_TIMEOUT)


def _leave_all_to_parent() -> None:
    for loop in list(_loops):
        if loop.is_open:
            loop.leave_to_parent()
    _running.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_leave_all_to_parent)
