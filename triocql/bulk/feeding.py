"""Which page is asked for next, and of which node: whatever there is room for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from triocql.bulk.asking import Asking
from triocql.bulk.coordinators import Coordinators
from triocql.bulk.failures import Streak
from triocql.bulk.pending import Pending
from triocql.bulk.reading import Family, Reading
from triocql.bulk.sizes import PageSizes
from triocql.protocol.constants import MAX_INT
from triocql.statements.prepared import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triocql.bulk.intervals import TokenRange
    from triocql.bulk.keys import Front
    from triocql.bulk.planner import Task
    from triocql.bulk.reading import Reader
    from triocql.bulk.shelf import Shelf
    from triocql.bulk.terms import Terms
    from triocql.engine.executing.executor import Executor
    from triocql.metadata.node import Node
    from triocql.statements.prepared import BoundStatement


class Feeding:
    """Has pages asked for: of ranges that were begun before those of others.

    Args:
        executor: starts requests.
        terms: what is wanted.
        tasks: the tasks, in the order of the ring.
        replicas: tells the replicas of a range as they are now; of all, those that may be asked.
        shelf: where pages come to.
        reader: whoever is told of them.

    Attributes:
        sizes: how large pages should be.
    """

    def __init__(
        self,
        executor: Executor,
        terms: Terms,
        tasks: Iterable[Task],
        replicas: Callable[[TokenRange], Sequence[Node]],
        shelf: Shelf,
        reader: Reader,
    ) -> None:
        self._router = executor.router
        self._terms = terms
        self._order = order = terms.order
        self._nodes = Coordinators(executor.router.pools, replicas, order.concurrency_per_node)
        self._pending = Pending(tasks, self._nodes, ordered=order.ordered)
        self._shelf = shelf
        self._reader = reader
        self.sizes = PageSizes(order.page_size)
        self._asking = Asking(
            executor, order.call, self._nodes, shelf, self.sizes, has_tablets=terms.has_tablets
        )
        self._hungry: deque[Reading] = deque()
        self._has_ended = self._pumping = self._due = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing is asked for any more, nor wanted of what comes."""
        return self._has_ended

    @property
    def has_more(self) -> bool:
        """Whether there are tasks that were not begun."""
        return bool(self._pending)

    def reading(self, part: TokenRange, family: Family, given: Front | None = None) -> Reading:
        """Return what reads a range, which nothing is asked of yet; `given` are the rows that came before it.

        Raises what codecs of the user's do with the values of a condition, which are encoded for each range.
        """
        return Reading(self._reader, part, self._bound(part, given), family, given)

    def want(self, *readings: Reading) -> None:
        """Have a page of each of these asked for once there is room. They want it once, however often it is said."""
        self._hungry.extend(each for each in readings if each not in self._hungry)

    def soon(self) -> None:
        """Ask once the batch of responses that is being read has ended, or now outside any."""
        if not self._router.reading:
            self.now()
        elif not self._due:
            self._due = True
            self._router.after_reading.append(self.now)

    def now(self) -> None:
        """Ask for pages while there is room. Called again from inside itself, it leaves the work to the first call."""
        self._due = False
        if self._pumping:
            return
        self._pumping = True
        try:
            self._ask_on()
            self._begin_more()
        finally:
            self._pumping = False

    def ended(self, reading: Reading) -> None:
        """Count that nothing of a reading is under way any more."""
        self._asking.ended(reading)

    def stop(self) -> None:
        """Ask for nothing more, abandon what is under way, and drop what is here. Idempotent."""
        self._has_ended = True
        self._pending.clear()
        self._hungry.clear()
        for reading in self._shelf.clear():
            asked, reading.asked = reading.asked, None
            if reading.expected:
                self._asking.ended(reading)
            if asked is not None:
                asked.abandon()

    # --- Within --------------------------------------------------------------------------------------------

    def _ask_on(self) -> None:
        """Ask for the pages that are wanted of what was begun, as far as there is room."""
        hungry = list(self._hungry)
        if self._order.ordered:
            hungry.sort(key=self._shelf.readings.index)
        for reading in hungry:
            if not self._may_ask(reading):
                return
            for node in self._candidates(reading):
                if self._nodes.has_room(node):
                    self._hungry.remove(reading)
                    self._ask(reading, node)
                    break

    def _candidates(self, reading: Reading) -> Sequence[Node | None]:
        if self._terms.is_pinned and reading.node is not None:
            return [reading.node]
        found = self._nodes.of(reading.part, reading.tried)
        # Who has begun with a range goes on with it, as long as that goes well.
        return [reading.node] if not reading.failures and reading.node in found else found

    def _begin_more(self) -> None:
        while self._may_ask(None) and self._shelf.begun < self._nodes.most:
            begun = self._pending.next()
            if begun is None:
                return
            task, node = begun
            try:
                reading = self.reading(task.range, Family(task, Streak()))
            except BaseException as error:
                # Of the user's code, as below: without it, the range would be left out.
                self._reader.ended_by(error)
                return
            self._shelf.readings.append(reading)
            self._ask(reading, node)

    def _may_ask(self, reading: Reading | None) -> bool:
        if self._has_ended or self._shelf.is_enough():
            return False
        return self._shelf.has_room(self.sizes.expected, reading)

    def _ask(self, reading: Reading, node: Node | None) -> None:
        try:
            self._asking.ask(reading, node)
        except BaseException as error:  # of the user's code: it is nothing to whoever reads the responses
            self._reader.ended_by(error)

    def _bound(self, part: TokenRange, given: Front | None) -> BoundStatement:
        terms, selection = self._terms, self._order.selection
        bounds = None if terms.keys is None else part
        if terms.counts:
            return bind(terms.statement, selection.count_values(bounds))
        left = self._shelf.left
        if left is not None and given is not None:  # they come once more, and count for the node
            left = min(left + given.rows, MAX_INT)
        return bind(terms.statement, selection.values(bounds, left))
