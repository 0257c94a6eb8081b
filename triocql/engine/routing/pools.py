"""The pools of all nodes."""

from __future__ import annotations

from collections.abc import Container, Iterator

from triocql.engine.connections import Target
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.requests.telling import call
from triocql.metadata.node import Node


class Pools:
    """The pool of each node, and the connections that are in none any more, but still end what they have.

    Attributes:
        nodes: those that have a pool; replaced as a whole.
        get: returns the pool of a node, None if it has none any more.
        targets: what requests to each node are sent to.
    """

    def __init__(self) -> None:
        self.nodes: tuple[Node, ...] = ()
        self._pools: dict[Node, Pool] = {}
        self._draining: set[Connection] = set()
        self.get = self._pools.get
        self.targets: dict[Node, Target] = {}

    def __iter__(self) -> Iterator[Pool]:
        return iter(tuple(self._pools.values()))

    def __len__(self) -> int:
        return len(self._pools)

    @property
    def names(self) -> str:
        """The nodes, for messages."""
        return ", ".join(node.name for node in self.nodes)

    def add(self, pool: Pool) -> None:
        """Add the pool of a node; one that it had already has to be removed after that."""
        self._pools[pool.node] = pool
        self.targets[pool.node] = pool.target
        self.nodes = tuple(self._pools)

    def remove(self, pool: Pool) -> None:
        """Forget the pool of a node."""
        if self._pools.get(pool.node) is pool:
            del self._pools[pool.node]
            del self.targets[pool.node]
            self.nodes = tuple(self._pools)

    # --- Connections ---------------------------------------------------------------------------------------

    def connections(self) -> list[Connection]:
        """Return every connection, those included that drain, or that are spare."""
        pooled = (each for pool in self for each in (*pool.connections, *pool.spare))
        return [*pooled, *self._draining.copy()]  # any thread may ask

    def has(self, connection: Connection) -> bool:
        """Whether `connection` is in the pool of its node."""
        pool = self._pools.get(connection.node)
        return pool is not None and connection in pool.connections

    def drain(self, connection: Connection) -> None:
        """Have a connection replaced that takes no more requests."""
        self._draining.add(connection)
        self._replace(connection)

    def discard(self, connection: Connection) -> None:
        """Have a connection replaced that has ended."""
        self._draining.discard(connection)
        self._replace(connection)

    def _replace(self, connection: Connection) -> None:
        pool = self._pools.get(connection.node)
        if pool is not None:
            pool.remove(connection)

    # --- What can be had -----------------------------------------------------------------------------------

    def has_open(self, beside: Container[Node] = ()) -> bool:
        """Whether a node, `beside` these, takes requests, now or once one of its stream ids is free."""
        return any(pool.has_open() for node, pool in self._pools.items() if node not in beside)

    def is_dialing(self) -> bool:
        """Whether a connection is being made."""
        return any(pool.dialing for pool in self._pools.values())

    def call_for_connections(self) -> bool:
        """Have connections dialled at once where they are missing; whether any is."""
        call(pool.on_need for pool in self if pool.on_need is not None)
        return self.is_dialing()
