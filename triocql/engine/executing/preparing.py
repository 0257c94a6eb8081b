"""Statements that were prepared: a bounded memory of them, and one PREPARE in flight for however many callers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

from triocql.codecs.cache import LIMIT
from triocql.engine.contracts import Sink
from triocql.engine.executing import Execution
from triocql.engine.messages.descriptions import Descriptions, PrepareKey
from triocql.engine.messages.prepare import PrepareMessage
from triocql.engine.phase import Phase
from triocql.engine.requests import give
from triocql.engine.requests.telling import as_error, call, refuse, report
from triocql.engine.routing.router import Router
from triocql.errors import Error, copy_of
from triocql.metadata.node import Node
from triocql.protocol.constants import V5
from triocql.protocol.requests import prepare
from triocql.protocol.responses import Prepared
from triocql.statements.prepared import PreparedQuery
from triocql.statements.texts import names_keyspace


class _Flight:
    """One PREPARE and everybody who waits for it; the sink of its execution."""

    def __init__(self, owner: Preparing, key: PrepareKey) -> None:
        self.owner = owner
        self.key = key
        self.sinks: list[Sink] = []
        self.late: list[tuple[Sink, float]] = []
        self.execution: Execution
        self.message: PrepareMessage

    @property
    def is_written(self) -> bool:
        """Whether a node may have read it already."""
        return self.execution.phase is Phase.WAITING

    def join(self, sink: Sink, deadline: float) -> None:
        """Add one more who waits; the most patient one decides how long the node may take."""
        self.sinks.append(sink)
        self.execution.extend(deadline)

    def resolve(self, answer: Prepared) -> None:
        self.owner.prepared(self, answer)

    def reject(self, error: BaseException) -> None:
        self.owner.failed(self, error)


class _Known(NamedTuple):
    text: PreparedQuery
    weight: int


# What nodes have described, as caches count it: some hundreds of megabytes at the very most, and many times what a
# thousand statements of usual tables take.
_HEAVIEST = 4 * LIMIT

# How many statements a node that has come back is asked to prepare before it is asked for them: many clients may do so
# at once.
_LATELY = 128


class Preparing:
    """Prepares each text once. Work that several callers wait for belongs to none of them: it ends by itself.

    `on_new` is called with each statement that was not known before, and the node that has prepared it.
    """

    def __init__(
        self,
        router: Router,
        version: int,
        capacity: int,
        descriptions: Descriptions,
        new_execution: Callable[[Sink, PrepareKey], Execution],
        on_new: Callable[[PreparedQuery, Node | None], None],
    ) -> None:
        self._router = router
        self._version = version
        self._capacity = capacity
        self._descriptions = descriptions
        self._new_execution = new_execution
        self._on_new = on_new
        self._known: OrderedDict[PrepareKey, _Known] = OrderedDict()
        self._weight = 0
        self._flights: dict[PrepareKey, _Flight] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: PrepareKey) -> PreparedQuery | None:
        """Return the statement if it is known."""
        known = self._known.get(key)
        if known is None:
            return None
        self._known.move_to_end(key)
        return known.text

    def prepare(self, key: PrepareKey, sink: Sink, deadline: float) -> None:
        """Ask a node, and give the `PreparedQuery` of `key` to `sink`, behind which somebody waits until `deadline`."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.join(sink, deadline)
            return
        keyspace = key.keyspace if self._version >= V5 else None
        try:
            message = PrepareMessage(key.text, prepare(self._version, key.text, keyspace), self._version)
        except Error as error:
            sink.reject(error)
            return
        flight = _Flight(self, key)
        flight.message = message
        flight.execution = self._new_execution(flight, key)
        flight.join(sink, deadline)
        self._flights[key] = flight
        try:
            flight.execution.send(message)
        except BaseException as error:
            # As at the end of the stack: it is nowhere, and nobody would ever end it.
            self._flights.pop(key, None)
            flight.execution.withdraw(error)
            raise

    def ask(self, key: PrepareKey, sink: Sink, deadline: float) -> None:
        """Prepare by a request that is not on its way yet: what is known by now was found wrong."""
        flight = self._flights.get(key)
        if flight is not None and flight.is_written:
            flight.late.append((sink, deadline))
        else:
            self.prepare(key, sink, deadline)

    def prepared(self, flight: _Flight, answer: Prepared) -> None:
        """Keep what the node said, and pass it on."""
        self._land(flight)
        key = flight.key if self._version >= V5 else _looked_up(flight.key, answer)
        try:
            text = self._descriptions.keep(key, answer)
        except BaseException as error:  # a class of the callers' may have raised it
            self._reject(flight, error)
            return
        is_new = key not in self._known
        self._keep(key, text)
        for sink in flight.sinks:
            give(sink, text)
        if is_new:
            call([partial(self._on_new, text, flight.message.node)])

    def lately(self) -> list[PreparedQuery]:
        """Return statements that were prepared, or looked up, last, the latest first; a bounded number."""
        return [known.text for known in islice(reversed(self._known.values()), _LATELY)]

    def _keep(self, key: PrepareKey, text: PreparedQuery) -> None:
        """Know a statement, and forget those that were used longest ago as needed: a node says how large they are."""
        if (former := self._known.pop(key, None)) is not None:
            self._weight -= former.weight
        self._known[key] = known = _Known(text, text.state.weight)
        self._weight += known.weight
        while len(self._known) > self._capacity or (self._weight > _HEAVIEST and len(self._known) > 1):
            _, oldest = self._known.popitem(last=False)
            self._weight -= oldest.weight

    def failed(self, flight: _Flight, error: BaseException) -> None:
        """Pass the error on: each caller gets an object of its own."""
        self._land(flight)
        self._reject(flight, error)

    def _land(self, flight: _Flight) -> None:
        """Be done with a flight, and have what came too late for it asked anew."""
        self._flights.pop(flight.key, None)
        for sink, deadline in flight.late:
            try:
                self.prepare(flight.key, sink, deadline)
            except Exception as bug:
                refuse(sink, as_error(bug))
                report(bug)

    def _reject(self, flight: _Flight, error: BaseException) -> None:
        for sink in flight.sinks:
            refuse(sink, copy_of(error))


def _looked_up(key: PrepareKey, answer: Prepared) -> PrepareKey:
    """Return the key that a statement is known under that was looked up where its connection was by then: if a USE has
    overtaken it, not where it was meant to be. Without a keyspace, which no session goes back to, that does no harm.
    """
    metadata = answer.result_metadata
    columns = answer.bind_columns or (metadata.columns if metadata else ())
    if key.keyspace is None or not columns:
        return key
    keyspace = columns[0].keyspace
    if keyspace == key.keyspace or names_keyspace(key.text, keyspace):
        return key
    return key._replace(keyspace=keyspace)
