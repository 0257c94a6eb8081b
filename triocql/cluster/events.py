"""Events of a node, gathered in windows: many that come together are one reason to look again. Without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from triocql.abc import Address
from triocql.errors import ProtocolError
from triocql.protocol.constants import Opcode
from triocql.protocol.responses import (
    ClientRoutesChange,
    SchemaChange,
    StatusChange,
    TopologyChange,
    read_answer,
)

QUIET = 0.1
"""Seconds without another event after which a window closes."""

LONGEST = 1.0
"""Seconds after which it closes in any case."""

_MOST = 1024
_LONGEST_BODY = 4096


class Window(NamedTuple):
    """What was in a window.

    Attributes:
        events: each different event by the flags and the body of its frame, with the time when it came last.
        total: how many came, equal ones included.
        overflowed: whether there were others.
    """

    events: Mapping[tuple[int, bytes], float]
    total: int
    overflowed: bool


class EventWindow:
    """Keeps each different event once, in the order in which each came last, and says when to look at them.

    To take one in costs no more than a look-up: a flood comes between the answers that somebody waits for. Of more
    events than are kept, or of very long ones, it is only known that there were some.

    Attributes:
        due: when the window closes; inf while nothing is in it.
        overflowed: whether events were not kept.
    """

    def __init__(self) -> None:
        self.due = inf
        self.overflowed = False
        self._closes = inf
        self._events: dict[tuple[int, bytes], float] = {}
        self._count = 0

    def add(self, flags: int, body: bytes, now: float) -> None:
        """Take an event in."""
        key = (flags, body)
        self._count += 1
        events = self._events
        if key not in events and (len(events) == _MOST or len(body) > _LONGEST_BODY):
            self.overflowed = True
        else:
            events.pop(key, None)
            events[key] = now
        if self._closes == inf:
            self._closes = now + LONGEST
        self.due = min(now + QUIET, self._closes)

    def take(self) -> Window:
        """Close the window, and return what is in it."""
        window = Window(self._events, self._count, self.overflowed)
        self._events, self._count = {}, 0
        self.overflowed = False
        self.due = self._closes = inf
        return window


@dataclass(slots=True)
class News:
    """What events say, when all of a window are taken together.

    Attributes:
        up: whether a node is up, by its address: the last word on each counts.
        present: the addresses of nodes that should be among those of the cluster.
        removed: the addresses of nodes that should not.
        schema: the changes of the schema, in their order, with the times when they came.
        routes: the changes of client routes.
        problems: why events could not be read.
        count: how many events came, equal ones included.
        incomplete: whether there were more of them than were kept.
    """

    up: dict[Address, bool] = field(default_factory=dict)
    present: set[Address] = field(default_factory=set)
    removed: set[Address] = field(default_factory=set)
    schema: dict[SchemaChange, float] = field(default_factory=dict)
    routes: list[ClientRoutesChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    count: int = 0
    incomplete: bool = False

    @property
    def concerns_nodes(self) -> bool:
        """Whether the tables of nodes may have changed. To a DOWN they have nothing to add."""
        return bool(self.present or self.removed or any(self.up.values()) or self.incomplete)


def read_events(window: Window, version: int) -> News:
    """Return what the events of a window say."""
    news = News(count=window.total, incomplete=window.overflowed)
    for (flags, body), came in window.events.items():
        try:
            _read(read_answer(Opcode.EVENT, flags, body, version), came, news)
        except ProtocolError as error:
            news.problems.append(str(error))
    return news


def _read(event: object, came: float, news: News) -> None:
    if isinstance(event, SchemaChange):
        news.schema.pop(event, None)
        news.schema[event] = came
    elif isinstance(event, StatusChange):
        news.up[Address(str(event.address), event.port)] = event.change == "UP"
    elif isinstance(event, ClientRoutesChange):
        news.routes.append(event)
    elif isinstance(event, TopologyChange):
        address = Address(str(event.address), event.port)
        gone = event.change == "REMOVED_NODE"
        (news.removed if gone else news.present).add(address)
        (news.present if gone else news.removed).discard(address)
