"""One range on its way: what was asked of it, and what has come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from triocql.bulk.intervals import TokenRange
from triocql.bulk.keys import Front
from triocql.statements.paging import Progress

if TYPE_CHECKING:
    from triocql.bulk.failures import Streak
    from triocql.bulk.keys import Keys
    from triocql.bulk.planner import Task
    from triocql.codecs.rows import Page
    from triocql.engine.requests import Response
    from triocql.metadata.node import Node
    from triocql.statements.prepared import BoundStatement


class Abandonable(Protocol):
    """A request, or a wait."""

    def abandon(self) -> None:
        """End it without telling anybody."""


class Reader(Protocol):
    """Whoever reads ranges."""

    def came(self, reading: Reading, response: Response) -> None:
        """Called with a page."""

    def failed_with(self, reading: Reading, error: BaseException) -> None:
        """Called with the error that there is instead of a page."""

    def waited(self, reading: Reading, error: BaseException | None) -> None:
        """Called when it is time to ask again, or with what has ended the wait."""

    def ended_by(self, error: BaseException) -> None:
        """Called with an error that ends all."""


class Family:
    """A task, and the readings that it takes: several where a range could not be read as a whole.

    Attributes:
        task: the task.
        streak: counts its failures, and those of the task that it was a part of.
        left: how many readings have not ended, or not been taken to their end.
        is_complete: whether no part of it had to be given up.
        rows, size: how many rows of it were taken, and how many bytes they had.
        was_taken: whether any were.
    """

    __slots__ = ("is_complete", "left", "rows", "size", "streak", "task", "was_taken")

    def __init__(self, task: Task, streak: Streak) -> None:
        self.task = task
        self.streak = streak
        self.left = 1
        self.is_complete = True
        self.rows = self.size = 0
        self.was_taken = False

    def take(self, page: Page | None) -> None:
        """Count what was taken."""
        self.was_taken = True
        if page is not None:
            self.rows += page.row_count
            self.size += len(page.body)


class Reading:
    """A range that is read, page after page: one is asked for at a time. It is the sink of its pages.

    Attributes:
        part: the range.
        statement: reads it.
        family: the task that it is a part of.
        given: the rows that came before it began, where it begins again.
        front: the last row that has come.
        state: where the next page begins; None for the first one.
        progress: whether it goes on.
        pages: those that have come and were not taken, with the nodes that they are from.
        has_ended: whether nothing more will come.
        asked: what is under way, or waited for; None if nothing is.
        node: who is asked, or was asked last.
        rows: how many rows were asked for.
        expected: how many bytes they are expected to have; 0 while nobody is asked.
        failures: how often the next page could not be had.
        tried: who was asked for it.
    """

    bounded = True

    __slots__ = (
        "asked",
        "expected",
        "failures",
        "family",
        "front",
        "given",
        "has_ended",
        "node",
        "pages",
        "part",
        "progress",
        "reader",
        "rows",
        "state",
        "statement",
        "tried",
    )

    def __init__(
        self,
        reader: Reader,
        part: TokenRange,
        statement: BoundStatement,
        family: Family,
        given: Front | None = None,
    ) -> None:
        self.reader = reader
        self.part = part
        self.statement = statement
        self.family = family
        self.given = given
        self.front: Front | None = None
        self.state: bytes | None = None
        self.progress = Progress(None)
        self.pages: deque[tuple[Page, Node | None]] = deque()
        self.has_ended = False
        self.asked: Abandonable | None = None
        self.node: Node | None = None
        self.rows = self.expected = self.failures = 0
        self.tried: list[Node | None] = []

    @property
    def size(self) -> int:
        """The bytes of its pages that are here, and that the one under way is expected to have."""
        return self.expected + sum(len(page.body) for page, _ in self.pages)

    def resolve(self, response: Response) -> None:
        """Called with a page (`Sink`)."""
        self.reader.came(self, response)

    def reject(self, error: BaseException) -> None:
        """Called with the error (`Sink`)."""
        self.reader.failed_with(self, error)

    def take_in(self, page: Page, state: bytes | None, keys: Keys | None) -> Page:
        """Go on after a page that has come, and return it without the rows that were given before.

        Args:
            page: the page.
            state: where the next one begins; None after the last.
            keys: tells how far the range has come; None where nobody wants to know.

        Raises:
            ProtocolError: the page is none of this range.
            PagingLoop: it is one that has come before.
        """
        if keys is not None and page.row_count:
            front = keys.front(page, self.part, self.front)
            if self.given is not None:
                page, self.given = keys.skip(page, self.given)
            self.front = front
        self.progress.reached(state)
        self.state = state
        self.has_ended = state is None
        self.failures = 0
        self.tried.clear()
        if page.row_count or self.has_ended:  # else, nothing was gained
            self.family.streak.count = 0
        return page


class Later:
    """The end of the wait of a reading; a sink."""

    __slots__ = ("_reading",)

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def resolve(self, value: object) -> None:
        """Called when it is time (`Sink`)."""
        self._reading.reader.waited(self._reading, None)

    def reject(self, error: BaseException) -> None:
        """Called at the end of the session (`Sink`)."""
        self._reading.reader.waited(self._reading, error)


def rest_of(reading: Reading) -> tuple[TokenRange, Front | None]:
    """Return what has not come of a range: from the last partition on, of which there may be more; and what has come of
    that one.
    """
    part, front, given = reading.part, reading.front, reading.given
    if front is None:
        return part, given
    more = given.rows if given is not None and given.token == front.token else 0
    return TokenRange(max(front.token - 1, part.start), part.end), Front(front.token, front.rows + more)


def divided(rest: TokenRange, given: Front | None) -> list[TokenRange]:
    """Return the parts in which to read what could not be read as a whole: two halves or, if the reading has stopped
    within a partition, this one and two halves of what follows. () if it is a single token.
    """
    if rest.width == 1:
        return []
    if given is None:
        return rest.split(2)
    first = TokenRange(rest.start, rest.start + 1)
    return [first, *TokenRange(first.end, rest.end).split(2)]
