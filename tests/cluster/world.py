"""A session with nodes of the test server on virtual time."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import triocql
from triocql import Session
from triocql.metadata.node import NodeState
from triocql.testing.server import CqlServer, ServerNode
from triocql.testing.simulated import SimTask, SimulatedReactor

T = TypeVar("T")

KEYSPACE = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}"


class World:
    """A session with nodes of the test server on virtual time."""

    def __init__(
        self,
        nodes: int = 3,
        *,
        topology: dict[str, dict[str, int]] | None = None,
        level: bool = False,
        schema: str = KEYSPACE,
        **options: Any,
    ) -> None:
        self.reactor = SimulatedReactor(level=level)
        server = CqlServer(
            None if topology else nodes, topology=topology, num_tokens=8, unprimed="echo", schema=schema
        )
        self.server = server.run_on(self.reactor)
        self.points = self.server.contact_points
        self.options = {"connections_local": 1, "reconnection_jitter": 0.0, **options}

    @contextmanager
    def session(self) -> Iterator[Session]:
        session = self.run(self._open())
        self.reactor.advance(0.1)
        self.server.log.clear()
        yield session
        self.run(session.aclose())
        self.reactor.settle()
        assert self.reactor.tasks == set()

    async def _open(self) -> Session:
        return await triocql.connect(self.points, reactor=self.reactor, **self.options).__aenter__()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def main() -> T:
            return await coroutine

        return self.reactor.run(main)

    def start(self, coroutine: Coroutine[Any, Any, T], cancel_at: int | None = None) -> SimTask[T]:
        async def main() -> T:
            return await coroutine

        task = self.reactor.start(main, cancel_at_checkpoint=cancel_at)
        self.reactor.settle()
        return task

    def later(self, seconds: float, node: ServerNode, version: UUID | None) -> None:
        """Have a node tell another version of the schema, some time from now."""
        when = self.reactor.now() + seconds
        self.reactor.call_at(when, lambda: setattr(node, "schema_version", version))

    def asked(self, table: str) -> int:
        """Return how often a system table was read since the session was opened, or the log cleared."""
        return sum(f" {table}" in entry.text for entry in self.server.log.everything)

    def control_node(self, session: Session) -> ServerNode:
        """Return the node that the control connection is to."""
        control = session._context.cluster._control.connection
        assert control is not None
        (node,) = [each for each in self.server.nodes if str(each.address) == control.node.name]
        return node

    def down(self, session: Session, node: ServerNode) -> None:
        """Have a node die, and the session notice."""
        node.stop()
        self.reactor.advance(2.0)
        (known,) = [each for each in session.metadata.nodes if each.host_id == node.host_id]
        assert known.state is NodeState.DOWN


def other(world: World, session: Session) -> ServerNode:
    """Return a node that the control connection is not to."""
    control = world.control_node(session)
    return next(node for node in world.server.nodes if node is not control)
