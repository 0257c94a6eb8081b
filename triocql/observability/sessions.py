"""The sessions that are told of outside, as long as they are open."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import ref

from triocql._brief import brief
from triocql.errors import UsageError

if TYPE_CHECKING:
    from triocql.observability.health import Health
    from triocql.observability.metrics import Metrics


LONGEST = 128
"""The most characters of a session's name: of longer ones, what shows them may not show the difference."""


class Measured(Protocol):
    """A session."""

    @property
    def metrics(self) -> Metrics:
        """What it has counted."""

    def health(self) -> Health:
        """What it can do."""


class Told(NamedTuple):
    """An open session, its name, and what it can do."""

    name: str
    session: Measured
    health: Health


class Sessions:
    """Some sessions, by their names. Any thread may add some and read; none is kept alive."""

    def __init__(self) -> None:
        self._sessions: dict[
            int, tuple[str, ref[Measured]]
        ] = {}  # each step with it is one step for all threads
        self._numbers = count(1)

    def add(self, session: Measured, name: str | None) -> None:
        """Add a session; its name is a number if it is given none. Raises UsageError if an open one has this name, and
        for what is no session, or no name.
        """
        if not callable(getattr(type(session), "health", None)):
            raise UsageError(
                f"add() takes a session that is open, such as that of `async with triocql.connect(...) as session:`, "
                f"not {type(session).__name__}"
            )
        if not (name is None or (isinstance(name, str) and len(name) <= LONGEST)):
            raise UsageError(
                f"the name of a session is a str of {LONGEST} characters at most, such as 'shop', not {brief(name)}"
            )
        number = next(self._numbers)
        name = str(number) if name is None else name
        self._sessions[number] = name, ref(session)
        if [each.name for each in self.open()].count(name) > 1:
            del self._sessions[number]
            raise UsageError(
                f"there is an open session with the name {brief(name)}: give this one another name"
            )

    def remove(self, session: Measured) -> None:
        """Forget a session."""
        for number, (_, each) in self._sessions.copy().items():
            if each() is session:
                self._sessions.pop(number, None)

    def open(self) -> list[Told]:
        """Return the sessions that are open, and forget the others."""
        found = []
        for number, (name, each) in self._sessions.copy().items():
            session = each()
            health = None if session is None else _health(session)
            if session is not None and health is not None and health.is_open:
                found.append(Told(name, session, health))
            else:
                self._sessions.pop(number, None)
        return found


def _health(session: Measured) -> Health | None:
    """Return what a session can do, or None if it is one of the process that has forked this one."""
    try:
        return session.health()
    except UsageError:
        return None
