"""One session in each process of a program that forks: gunicorn with ``--preload``, uWSGI, Celery, multiprocessing."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.errors import UnknownAttribute, UsageError
from triocql.reactors.forks import Process, this_process
from triocql.sync.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

# Children that these have forked end without `atexit`, and look at finalizers of their own. Those of Celery's pools do
# not even that, and have a signal.
_POOLS = ("multiprocessing.util", "billiard.util")
_CELERY = "celery.signals"


class PerProcess:
    """Gives the session of the process that asks: made when it is first asked for, closed when the process ends.

    Args:
        connect: makes a session.
    """

    def __init__(self, connect: Callable[[], Session]) -> None:
        if not callable(connect):
            raise UsageError(
                "per_process() takes a function, which is called in each process: "
                "per_process(lambda: triocql.sync.connect(...))"
            )
        self._connect = connect
        # By the process. One of another process is kept, too: nothing can be done with it here, not even closing it.
        self._sessions: dict[Process, Session] = {}
        self._closing_at_exit: Process | None = None

    def __call__(self) -> Session:
        """Return the session of this process. Any thread may ask. Raises what `connect` does."""
        session = self._sessions.get(this_process())
        return self._open() if session is None else session

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = f"; call it to have the session of this process: the_session().{name}"
            raise UnknownAttribute(
                f"{name!r} is no attribute of what per_process() returns{hint if hasattr(Session, name) else ''}",
                name=name,
            )

    def close(self) -> None:
        """Close the session of this process, if there is one; who asks after that gets another one."""
        session = self._sessions.pop(this_process(), None)
        if session is not None:
            session.close()

    def _open(self) -> Session:
        process = this_process()
        session = self._connect()
        if not isinstance(session, Session):
            raise UsageError(
                "per_process() takes a function that returns triocql.sync.connect(...); it has returned "
                f"{brief(session)}"
            )
        kept = self._sessions.setdefault(process, session)  # one step: another thread may have been faster
        if process != this_process():  # it forked meanwhile, and this is the child
            return self()
        if kept is not session:
            session.close(0)
            return kept
        if self._closing_at_exit != process:
            self._closing_at_exit = process
            self._close_at_exit()
        return session

    def _close_at_exit(self) -> None:
        """Have the session of this process closed when it ends, however that comes about."""
        atexit.register(self.close)
        for name in _POOLS:
            if name in sys.modules:
                sys.modules[name].Finalize(None, self.close, exitpriority=100)
        if _CELERY in sys.modules:
            shutdown = sys.modules[_CELERY].worker_process_shutdown
            shutdown.connect(self._closed_by_celery, dispatch_uid=f"triocql {id(self)}")

    def _closed_by_celery(self, **_: Any) -> None:
        self.close()


def per_process(connect: Callable[[], Session]) -> PerProcess:
    """Return what gives each process a session of its own, however it was made: one from before a fork is of no use in
    the child.

    Nothing is opened until a process first asks, and what was opened is closed when that process ends.

    Args:
        connect: called once in each process that asks, to make its session.

    >>> import triocql
    >>> the_session = triocql.sync.per_process(lambda: triocql.sync.connect("10.0.0.1", keyspace="shop"))
    >>> the_session().execute("SELECT * FROM users WHERE id = ?", [7])                 # doctest: +SKIP
    """
    return PerProcess(connect)
