"""The execution log: which requests the nodes got, which of them were carried out, and assertions over that."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from .declared import Table
from .encoder import Opcode
from .requests import RawValue, Request

Query = str | re.Pattern[str]

DEFAULT_BYTES = 256 * 1024 * 1024
_ENTRY_BYTES = 1024
"""About what an entry takes besides the bytes of the request."""

EXECUTIONS = frozenset({Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH})
"""The opcodes of the requests that carry something out."""


def normal(text: str) -> str:
    """Return a query with single spaces and without its last semicolon.

    >>> normal("SELECT *  FROM t ;")
    'SELECT * FROM t'
    """
    return " ".join(text.split()).rstrip("; ")


def fits(query: Query | None, texts: list[str]) -> bool:
    """Whether one of the texts is the query, or has a match of the pattern; None fits all."""
    if query is None:
        return True
    if isinstance(query, str):
        wanted = normal(query)
        return any(text == query or normal(text) == wanted for text in texts)
    return any(query.search(text) for text in texts)


class Partition(NamedTuple):
    """A partition: a table of the schema, and a token."""

    table: Table
    token: int


@dataclass(eq=False)
class Execution:
    """A request in the log.

    Attributes:
        request: the request.
        time: when it came, in seconds of the server's clock.
        node: the index of the node.
        connection: the number of the connection among all of the server's, from 0.
        system: whether the node answers it by itself: system tables, USE, the handshake.
        executed: whether it was carried out, as far as the client can know: False once it was answered with an
            error that promises that nothing was done. What is never answered counts as executed.
        partition: the table and token of the one partition that it is about (prepared, ScyllaDB); None if not known.
        on_target: whether node and shard are those of a replica of its partition (ScyllaDB); None if that is not known.
        hint: the tablet that the client was told of along with the answer, as it went out.
    """

    request: Request
    time: float
    node: int
    connection: int
    system: bool
    executed: bool = True
    partition: Partition | None = None
    on_target: bool | None = None
    hint: bytes | None = None

    @property
    def shard(self) -> int:
        """The shard of the node that it came to, -1 if the node has none."""
        return self.request.connection.shard

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that are in use on its connection."""
        return self.request.connection.extensions

    @property
    def size(self) -> int:
        """The bytes that it counts in the log."""
        return len(self.request.body) + _ENTRY_BYTES

    @property
    def text(self) -> str:
        """The query; the texts of a batch, joined by semicolons."""
        return "; ".join(self.request.texts)

    @property
    def values(self) -> list[Any]:
        """The bound values, decoded where the node knows their types: prepared statements; else bytes."""
        return self.request.decoded_values

    @property
    def raw_values(self) -> tuple[RawValue, ...]:
        """The bound values' bytes, of all statements of a batch."""
        return (*self.request.values, *(value for entry in self.request.entries for value in entry.values))

    def __str__(self) -> str:
        refused = "" if self.executed else " (not executed)"
        shard = "" if self.shard < 0 else f", shard {self.shard}"
        where = f"node {self.node}{shard}, connection {self.connection}"
        return f"{self.time:.3f} s, {where}: {self.request}{refused}"


class ExecutionLog:
    """The log of what was executed, where, and how often.

    Iterating over it gives each `Execution` of a user's query, prepared statement or batch, in order; `everything`
    has the handshakes, PREPAREs and system queries, too.

    It has a bound, so that a server can run for days: beyond it, the oldest requests are forgotten, and what then asks
    the log gets a RuntimeError instead of an answer that may be wrong, until `clear`.

    Args:
        max_bytes: how many bytes of requests it keeps, each counted with 1 KiB for itself.

    Attributes:
        malformed: what was wrong with requests that were none, and got a protocol error.

    >>> def check(server):
    ...     assert server.log.count("INSERT INTO users (id) VALUES (?)") == 1
    ...     server.log.assert_executed("SELECT * FROM users WHERE id = ?", times=2, values=[7])
    ...     server.log.assert_at_most_once(re.compile("^INSERT"))
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: deque[Execution] = deque()
        self._bytes = 0
        self._forgotten = 0
        self.malformed: list[str] = []

    def add(self, entry: Execution) -> None:
        """Add an entry; the oldest ones go if there is no more room."""
        self._entries.append(entry)
        self._bytes += entry.size
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            self._bytes -= self._entries.popleft().size
            self._forgotten += 1

    @property
    def everything(self) -> list[Execution]:
        """All entries, in order. Raises RuntimeError if some were forgotten."""
        if self._forgotten:
            raise RuntimeError(
                f"the log has forgotten {self._forgotten:,} requests, as it keeps {self._max_bytes:,} bytes of them: "
                "clear() it now and then, or give the server a larger log_bytes"
            )
        return list(self._entries)

    def __iter__(self) -> Iterator[Execution]:
        return (each for each in self.everything if each.request.opcode in EXECUTIONS and not each.system)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(
        self, query: Query | None = None, *, node: int | None = None, values: list[Any] | None = None
    ) -> list[Execution]:
        """Return the executions that fit: the whole text or a pattern, the node's index, the values decoded."""
        return [
            each
            for each in self
            if each.executed
            and fits(query, each.request.texts)
            and node in (None, each.node)
            and (values is None or each.values == values)
        ]

    def count(
        self, query: Query | None = None, *, node: int | None = None, values: list[Any] | None = None
    ) -> int:
        """Return how many executions fit."""
        return len(self.find(query, node=node, values=values))

    def requests(self, opcode: int) -> list[Execution]:
        """Return all requests of one kind, whether executed or not."""
        return [each for each in self.everything if each.request.opcode == opcode]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.malformed.clear()
        self._bytes = self._forgotten = 0

    def assert_executed(
        self,
        query: Query | None = None,
        *,
        times: int | None = None,
        node: int | None = None,
        values: list[Any] | None = None,
    ) -> None:
        """Raise AssertionError unless so many executions fit; at least one, unless `times` says how many."""
        count = self.count(query, node=node, values=values)
        if count != times if times is not None else not count:
            wanted = "at least once" if times is None else f"{times} times"
            asked = _named(query, node=node, values=values)
            raise AssertionError(f"{asked} was executed {count} times, not {wanted}{self._all()}")

    def assert_not_executed(self, query: Query | None = None, *, node: int | None = None) -> None:
        """Raise AssertionError if an execution fits."""
        self.assert_executed(query, times=0, node=node)

    def assert_at_most_once(self, query: Query | None = None) -> None:
        """Raise AssertionError if something was executed twice: the same text with the same values."""
        counts = Counter((normal(each.text), each.raw_values) for each in self.find(query))
        twice = [f"{text!r} ({count} times)" for (text, _), count in counts.items() if count > 1]
        if twice:
            raise AssertionError(
                f"executed more than once with the same values: {', '.join(twice)}{self._all()}"
            )

    def _all(self) -> str:
        shown = [f"\n  {each}" for each in self][-20:]
        return f"; the last requests:{''.join(shown)}" if shown else "; there was no request at all"


def _named(query: Query | None, **conditions: Any) -> str:
    text = "something" if query is None else repr(query if isinstance(query, str) else query.pattern)
    said = [f"{name}={content!r}" for name, content in conditions.items() if content is not None]
    return f"{text} ({', '.join(said)})" if said else text
