"""A session with nodes of the test server's Scylla mode on virtual time."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import triocql
from triocql import Session
from triocql.metadata.node import Node
from triocql.metadata.partitioners import MURMUR3
from triocql.testing.server import CqlServer, Opcode, Scylla
from triocql.testing.server.log import Execution
from triocql.testing.server.scylla.tablets import ServedTablets
from triocql.testing.simulated import SimulatedReactor

T = TypeVar("T")

SCHEMA = """
CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}
    AND tablets = {'enabled': true, 'initial': 8};
CREATE TABLE shop.users (id int PRIMARY KEY, name text)
"""
SELECT = "SELECT id FROM shop.users WHERE id = ?"


class World:
    """A session with nodes of ScyllaDB. What they answer is what `unprimed="echo"` says, after their own rules."""

    def __init__(
        self,
        nodes: int = 3,
        *,
        schema: str = SCHEMA,
        scylla: Any = None,
        topology: Any = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.reactor = SimulatedReactor(seed)
        server = CqlServer(
            None if topology else nodes,
            topology=topology,
            num_tokens=8,
            unprimed="echo",
            schema=schema,
            scylla=Scylla(shards=1) if scylla is None else scylla,
        )
        self.server = server.run_on(self.reactor)
        self.options = {
            "connections_local": 1,
            "reconnection_jitter": 0.0,
            "prepare_on_all_hosts": False,
            **options,
        }

    @contextmanager
    def session(self, **options: Any) -> Iterator[Session]:
        session = self.run(self.open(**options))
        self.reactor.advance(0.2)
        self.server.log.clear()
        yield session
        self.run(session.aclose())
        self.reactor.settle()
        assert self.reactor.tasks == set()

    async def open(self, **options: Any) -> Session:
        """Return a new session."""
        options = {"contact_points": self.server.contact_points, **self.options, **options}
        points = options.pop("contact_points")
        return await triocql.connect(points, reactor=self.reactor, **options).__aenter__()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await it."""

        async def main() -> T:
            return await coroutine

        return self.reactor.run(main)

    def listen(self, session: Session) -> list[object]:
        """Return a list to which the events of a session come."""
        told: list[object] = []

        async def listen() -> None:
            async with session.events() as events:
                async for event in events:
                    told.append(event)

        self.reactor.start(listen)
        return told

    @property
    def tablets(self) -> ServedTablets:
        """What the servers know of the tablets of shop.users."""
        return self.server.tablets("shop.users")

    @property
    def executed(self) -> Sequence[Execution]:
        """What was executed of the user's statements since the session was opened, or the log cleared."""
        return [
            entry
            for entry in self.server.log.everything
            if entry.text == SELECT and entry.request.opcode == Opcode.EXECUTE
        ]

    def asked(self, table: str) -> int:
        """Return how often a system table was read since the session was opened, or the log cleared."""
        return sum(f" {table} " in f"{entry.text} " for entry in self.server.log.everything)

    def known(self, session: Session, index: int) -> Node:
        """Return the node of the session that a server is."""
        host_id = self.server.nodes[index].host_id
        return next(node for node in session.metadata.nodes if node.host_id == host_id)


def token(number: int) -> int:
    """Return the token of a partition with an int for a key."""
    return MURMUR3.token(number.to_bytes(4, "big", signed=True))
