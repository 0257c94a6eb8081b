"""A table on nodes of a simulated network, and a session that scans it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch

import triocql
from triocql.bulk.feeding import Feeding
from triocql.session.session import Session
from triocql.testing.server import CqlServer, Request, ServedTable, ServerNode
from triocql.testing.server.node import Edit
from triocql.testing.simulated import SimTask, SimulatedReactor

if TYPE_CHECKING:
    from triocql.bulk.reading import Reading
    from triocql.metadata.node import Node

T = TypeVar("T")

NAME = "shop.events"
QUESTION = (
    "SELECT range_start, range_end, mean_partition_size, partitions_count FROM system.size_estimates "
    "WHERE keyspace_name = 'shop' AND table_name = 'events'"
)
"""What nodes are asked to know how large it is."""


class Shop:
    """Some nodes with the table ``shop.events``: a partition for each `id`, with `size` rows or as many as it is told.

    Attributes:
        rows: the rows, as tuples (id, n, v).
    """

    def __init__(
        self,
        partitions: int = 100,
        size: int | Callable[[int], int] = 1,
        *,
        nodes: int = 3,
        replication: int = 3,
        num_tokens: int = 4,
        seed: int = 0,
        level: bool = False,
        **options: Any,
    ) -> None:
        self.reactor = SimulatedReactor(seed, level=level)
        self.server = CqlServer(
            nodes,
            num_tokens=num_tokens,
            schema=(
                "CREATE KEYSPACE shop WITH replication = "
                f"{{'class': 'SimpleStrategy', 'replication_factor': '{replication}'}};"
                "CREATE TABLE shop.events (id int, n int, v text, PRIMARY KEY (id, n))"
            ),
        ).run_on(self.reactor)
        size_of = size if callable(size) else lambda _: size
        self.rows = [(id_, n, f"{id_}/{n}") for id_ in range(partitions) for n in range(size_of(id_))]
        self.table: ServedTable = self.server.serve_table(NAME, self.rows)
        self._options = {
            "connections_local": 1,
            "reconnection_jitter": 0.0,
            "prepare_on_all_hosts": False,
            **options,
        }

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session. After the block, and after its end, nothing may be under way, and nothing left open."""
        session = self.call(self._open)
        yield session
        self.reactor.settle()
        stats = session.stats()
        assert (stats.in_flight, stats.queued) == (0, 0), stats
        self.call(session.aclose)
        self.reactor.settle()
        assert self.reactor.tasks == set()
        assert self.reactor.network.clients == set()

    def call(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **keywords: Any) -> T:
        """Run `await fn(...)` to its end and return its result."""
        return self.reactor.run(lambda: fn(*args, **keywords))

    def start(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **keywords: Any) -> SimTask[T]:
        """Run `await fn(...)` in a task of its own, as far as it goes without waiting for time or a node."""
        task = self.reactor.start(lambda: fn(*args, **keywords))
        self.reactor.settle()
        return task

    async def _open(self) -> Session:
        session = await triocql.connect(
            self.server.contact_points, reactor=self.reactor, **self._options
        ).__aenter__()
        router = session._context.executor.router
        while any(pool.missing for pool in router.pools):
            await self.reactor.sleep(0.001)
        return session

    def at_page(self, number: int, happens: Callable[[], object]) -> None:
        """Have something happen when so many pages are asked for, counted from 1."""
        before, numbers = self.table.page, count(1)

        def page(request: Request, rows: int) -> int:
            if next(numbers) == number:
                happens()
            return before(request, rows)

        self.table.page = page

    def pages(self) -> list[Request]:
        """Return the requests for pages of the table, in order."""
        return list(self.table.rule.calls)


async def read(session: Session, **options: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a scan as tuples, in the order in which they come."""
    found: list[tuple[Any, ...]] = []
    async with session.scan(NAME, **options) as scan:
        async for batch in scan:
            found += batch.rows(tuple)
    return found


def estimates(size: int, partitions: int) -> Edit:
    """Return what has each node estimate so many partitions of `size` bytes in its primary ranges."""

    def told(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        tokens = sorted(token for each in node.server.members for token in each.tokens)
        return [
            {
                "keyspace_name": "shop",
                "table_name": "events",
                "range_start": str(tokens[tokens.index(token) - 1]),
                "range_end": str(token),
                "mean_partition_size": size,
                "partitions_count": partitions,
            }
            for token in node.tokens
        ]

    return told


@contextmanager
def watching() -> Iterator[list[tuple[int, int]]]:
    """Note, whenever a page is asked for, how many bytes are here or expected then, and of how many pages. A page that
    all others wait for in the order of the ring has room whatever they have: it is noted by itself.
    """
    seen: list[tuple[int, int]] = []
    ask = Feeding._ask

    def asking(feeding: Feeding, reading: Reading, node: Node | None) -> None:
        shelf = feeding._shelf
        is_awaited = feeding._order.ordered and reading is shelf.readings[0] and not reading.size
        ask(feeding, reading, node)
        pages = 1 if is_awaited else sum(len(each.pages) + (each.expected > 0) for each in shelf.readings)
        size = sum(each.size for each in shelf.readings)
        assert size == shelf.size
        seen.append((size, pages))

    with patch.object(Feeding, "_ask", asking):
        yield seen
