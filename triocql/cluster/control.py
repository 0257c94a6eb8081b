"""The control connection: on it a session reads what the cluster is made of, and is told what happens to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import TYPE_CHECKING

from triocql.cluster.connector import Connector
from triocql.cluster.heartbeat import Heartbeat
from triocql.cluster.nodes import Nodes
from triocql.cluster.query import InternalQueries
from triocql.cluster.tables import Tables
from triocql.cluster.topology import Topology
from triocql.engine.connections.connection import Connection
from triocql.errors import Attempt, ConnectError, ConnectTimeout, Error, RequestTimeout
from triocql.metadata.node import Distance, Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.observability.logs import get_logger
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import register

if TYPE_CHECKING:
    from triocql.abc import Waiter
    from triocql.metadata.peers import ClusterFacts

logger = get_logger(__name__)

_EVENTS = ("TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE")
# Seconds between two rounds through all nodes, at least.
_SHORTEST_PAUSE = 0.1


class Control:
    """One connection of its own, to one node at a time, and the task that keeps it; the `Owner` of that connection.

    Requests of users have nothing to do with it: while there is none, they go on with the nodes that are known.
    """

    def __init__(self, connector: Connector) -> None:
        self.connection: Connection | None = None
        self._connector = connector
        self._reactor = connector.reactor
        self._topology = Topology()
        self._timeout = connector.options.connection.connect_timeout
        self._reconnection = connector.options.reconnection_policy
        self._nodes: Nodes
        self._left: Node | None = None
        self._failures = 0
        self._due = inf
        self._closed = False
        self._waiter: Waiter[None] | None = None
        self._cancel: Callable[[], None] | None = None

    async def open(self) -> Snapshot:
        """Return the cluster, as the first contact point tells that can be reached and does. Raises ConnectError."""
        attempts: list[Attempt] = []
        for address in self._connector.options.contact_points:
            node = Node(address)
            began = self._reactor.now()
            try:
                facts = await self._connect(node, Snapshot())
            except ConnectError as error:
                if (thrown := _thrown(error)) is not None:
                    raise thrown from None
                attempts.append(Attempt(node, error, self._reactor.now() - began))
            else:
                return self._follow(Snapshot(), facts)
        raise _none_connected(attempts)

    def start(self, nodes: Nodes) -> None:
        """Keep the connection from now on, and have `nodes` follow what it tells."""
        self._nodes = nodes
        self._cancel = self._reactor.spawn(self.run)

    def close(self) -> None:
        """End the task and the connection. Synchronous and idempotent."""
        self._closed = True
        if self._cancel is not None:
            self._cancel()
        if self.connection is not None:
            self.connection.close()

    async def run(self) -> None:
        """Read what is due, and go to another node whenever the connection is lost."""
        while not self._closed:
            if self.connection is None and self._reactor.now() >= self._due:
                await self._reconnect()
            else:
                await self._pause()
