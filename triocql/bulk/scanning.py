"""A table on its way: ranges are read beside each other, and whoever wants their pages takes them.

There is no task and no scope in it, and no `await`: pages that arrive, or are taken, have others asked for. So leaving
a scan is one call, which abandons what is under way.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from triocql.bulk import failures
from triocql.bulk.counts import count_of
from triocql.bulk.feeding import Feeding
from triocql.bulk.pieces import Discarded, Piece
from triocql.bulk.planner import Task
from triocql.bulk.reading import Family, Later, divided, rest_of
from triocql.bulk.shelf import Shelf
from triocql.engine.requests.single import Wait
from triocql.errors import (
    FailedRange,
    InvalidQuery,
    ProtocolError,
    QueueFull,
    RequestError,
    ScanIncomplete,
    SchemaChanged,
    copy_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triocql.abc import Waiter
    from triocql.bulk.intervals import TokenRange
    from triocql.bulk.keys import Front
    from triocql.bulk.reading import Reading
    from triocql.bulk.terms import Terms
    from triocql.codecs.rows import Page
    from triocql.engine.executing.executor import Executor
    from triocql.engine.requests import Response
    from triocql.metadata.node import Node
    from triocql.protocol.types import ColumnSpec


class Scanning:
    """Reads the tasks of a plan, within a number of bytes, and gives their pages to one consumer.

    Args:
        executor: starts requests.
        terms: what is wanted.
        tasks: the tasks, in the order of the ring.
        replicas: tells the replicas of a range as they are now; of all, those that may be asked.

    Attributes:
        failed: the ranges that could not be read.
        waiter: whoever waits for a piece.
    """

    def __init__(
        self,
        executor: Executor,
        terms: Terms,
        tasks: Iterable[Task],
        replicas: Callable[[TokenRange], Sequence[Node]],
    ) -> None:
        self.failed: list[FailedRange] = []
        self.waiter: Waiter[None] | None = None
        self._executor = executor
        self._terms = terms
        self._order = order = terms.order
        limit = None if terms.counts else order.selection.limit
        self._shelf = Shelf(order.max_bytes, limit, order.before.rows, ordered=order.ordered)
        self._feeding = Feeding(executor, terms, tasks, replicas, self._shelf, self)
        self._discarded: deque[Discarded] = deque()
        # Where a range counts as a whole or not at all, it does not matter how far it has come.
        self._keys = None if order.restart or terms.counts else terms.keys
        self._columns: tuple[ColumnSpec, ...] | None = None
        self._failure: BaseException | None = None
        self._closed = False

    # --- What the consumer calls ---------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the first pages, unless all rows that are wanted were taken before."""
        if self._shelf.left == 0:
            self._stop()
        self._feeding.now()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        more = self._shelf.readings or self._feeding.has_more or self._discarded or self._failure is not None
        return self._closed or not more

    def take(self) -> Piece | Discarded | None:
        """Return what comes next, None if it is not here yet; and have more asked for.

        Raises what has ended the scan, again and again: what was given before is not all.
        """
        if self._failure is not None:
            raise copy_of(self._failure)
        if self._discarded:
            return self._discarded.popleft()
        shelf = self._shelf
        if not shelf.has_next():
            return None
        reading = shelf.next()
        family = reading.family
        page, node = shelf.take(reading)
        family.take(page)
        is_whole = False
        if shelf.left == 0:
            self._stop()
        elif reading.has_ended and not reading.pages:
            shelf.remove(reading)
            family.left -= 1
            is_whole = family.is_complete and not family.left
        elif reading.asked is None and not reading.has_ended:
            self._feeding.want(reading)
        self._feeding.now()
        return Piece(family.task, page, node, is_whole, family.rows, family.size)

    def check_complete(self) -> None:
        """Raise ScanIncomplete if there are ranges that could not be read, and rows of them are wanted."""
        if self.failed and self._shelf.left != 0:
            raise self._incomplete()

    def attach(self, waiter: Waiter[None]) -> None:
        """Resolve `waiter` when there is something to be taken, or nothing will come; at once if that is so."""
        self.waiter = waiter
        self._wake()

    def close(self) -> None:
        """Abandon what is under way, and drop what is here. Idempotent."""
        self._closed = True
        self._stop()
        self._wake()

    # --- What readings tell --------------------------------------------------------------------------------

    def came(self, reading: Reading, response: Response) -> None:
        """Called with a page (`Reader`). Code of the user's, which is told first, may have ended all."""
        if self._feeding.has_ended:
            return
        self._feeding.ended(reading)
        whole = response.page
        if whole is None:
            self._missed(reading, RequestError("the retry policy has ignored that a page could not be read"))
            return
        try:
            if self._terms.counts and (whole.row_count or response.paging_state is None):
                count_of(whole)
            self._check_columns(whole)
            page = reading.take_in(whole, response.paging_state, self._keys)
        except ProtocolError as error:
            self._missed(reading, error)
            return
        except RequestError as error:
            self.ended_by(error)
            return
        reading.node = response.coordinator or reading.node
        self._feeding.sizes.came(reading.rows, whole.row_count, len(whole.body))
        if page.row_count:
            self._shelf.put(reading, page, response.coordinator)
        elif reading.has_ended:
            self._shelf.tell_end(reading)
        if not reading.has_ended and (self._order.ordered or not reading.pages):
            self._feeding.want(reading)
        self._feeding.soon()
        self._wake()

    def failed_with(self, reading: Reading, error: BaseException) -> None:
        """Called with the error that there is instead of a page (`Reader`), as `came`."""
        if self._feeding.has_ended:
            return
        self._feeding.ended(reading)
        self._missed(reading, error)

    def waited(self, reading: Reading, error: BaseException | None) -> None:
        """Called when it is time to ask for a page again, or with what has ended the wait (`Reader`)."""
        reading.asked = None
        if error is not None:
            self.ended_by(error)
        else:
            self._feeding.want(reading)
            self._feeding.soon()

    def ended_by(self, error: BaseException) -> None:
        """Called with an error that ends all (`Reader`)."""
        if self._failure is None and not self._closed:
            self._failure = error
            self._stop()
        self._wake()

    def _check_columns(self, page: Page) -> None:
        """Raise SchemaChanged for a page of other columns than the first one."""
        columns = page.plan.columns
        if self._columns is None:
            self._columns = columns
        elif columns is not self._columns and columns != self._columns:
            raise SchemaChanged(
                f"{self._name} was altered while it was read: its rows have other columns now"
            )

    @property
    def _name(self) -> str:
        return self._order.selection.table.cql_name

    # --- What goes wrong -----------------------------------------------------------------------------------

    def _missed(self, reading: Reading, error: BaseException) -> None:
        """Have a page tried again, or do without it."""
        if isinstance(error, InvalidQuery):
            is_guardrail = failures.is_guardrail(error)
            if is_guardrail and self._feeding.sizes.was_too_large(reading.rows, always=True):
                self._feeding.want(reading)
                self._feeding.soon()
                return
            if self._columns is not None and not is_guardrail:
                changed = SchemaChanged(f"{self._name} was altered while it was read: {error}")
                changed.__cause__ = error
                error = changed
        if not failures.may_pass(error):
            self.ended_by(error)
            return
        if failures.was_too_much(error):
            self._feeding.sizes.was_too_large(reading.rows)
        if not isinstance(error, QueueFull):  # which is no fault of the page
            reading.failures += 1
            reading.tried.append(reading.node)
        if reading.failures > failures.TRIES:
            self._give_up(reading, error)
            return
        when = self._executor.context.now() + failures.delay(reading.failures)
        reading.asked = wait = Wait(Later(reading), inf, inf, "")
        self._executor.router.delays.hold(wait, when, lambda request: wait.resolve(None))

    def _give_up(self, reading: Reading, error: BaseException) -> None:
        """Do without the rest of a range, or read it in parts."""
        terms, family = self._terms, reading.family
        family.streak.count += 1
        rest, given = (reading.part, None) if self._keys is None else rest_of(reading)
        parts: list[TokenRange] = []
        if terms.keys is not None and failures.may_be_divided(error) and not family.streak.is_hopeless:
            parts = divided(rest, given)
        if not parts:
            self.failed.append(FailedRange(rest, error))
            family.is_complete = False
        try:
            if self._order.restart:
                self._discard(reading, parts)
            else:
                self._go_on_in(reading, parts, given)
        except BaseException as bug:  # of the user's code, which is nothing to whoever reads the responses
            self.ended_by(bug)
            return
        if self.failed and self._order.raises:
            self.ended_by(self._incomplete())
        else:
            self._feeding.soon()
            self._wake()

    def _go_on_in(self, reading: Reading, parts: Sequence[TokenRange], given: Front | None) -> None:
        """Read what has not come of a range in parts; what is here of it is given."""
        following = [
            self._feeding.reading(part, reading.family, None if number else given)
            for number, part in enumerate(parts)
        ]
        reading.family.left += len(following)
        reading.has_ended = True
        self._shelf.add_after(reading, following)
        self._feeding.want(*following)
        if not reading.pages:
            self._shelf.remove(reading)
            reading.family.left -= 1

    def _discard(self, reading: Reading, parts: Sequence[TokenRange]) -> None:
        """Have what was given of a task count for nothing, and read it in parts, each of which counts for itself."""
        family = reading.family
        following = [
            self._feeding.reading(part, Family(Task(part, family.task.replicas), family.streak))
            for part in parts
        ]
        self._shelf.add_after(reading, following)
        self._shelf.remove(reading)
        self._feeding.want(*following)
        if family.was_taken:
            self._discarded.append(Discarded(family.task, family.rows, family.size))

    def _incomplete(self) -> ScanIncomplete:
        count, last = len(self.failed), self.failed[-1].error
        text = "1 range" if count == 1 else f"{count:,} ranges"
        error = ScanIncomplete(f"{text} of {self._name} could not be read, the last one because of: {last}")
        error.failed_ranges = tuple(self.failed)
        error.__cause__ = last
        return error

    def _stop(self) -> None:
        """Ask for nothing more, and drop what is here."""
        self._discarded.clear()
        self._feeding.stop()

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None and (
            self._failure is not None or self._shelf.has_next() or self._discarded or self.is_over
        ):
            waiter.resolve(None)
