"""Sessions with nodes of the test server that have shards, on virtual time; which connections lead where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.scylla.world import SELECT, World
from triocql import Session
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.pool import Pool
from triocql.testing.server import Scylla
from triocql.testing.server.connection import ServerConnection
from triocql.testing.server.doors import Accepted
from triocql.testing.server.node import ServerNode

SCHEMA = """
CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE shop.users (id int PRIMARY KEY, name text)
"""


class Shards(World):
    """Nodes with shards, and sessions with them: what the nodes answer is `unprimed="echo"`."""

    def __init__(self, nodes: int = 1, *, scylla: Any, seed: int = 1, **options: Any) -> None:
        # With v5, which is refused, there would be a dial more.
        usual = {"protocol_version": 4, "connections_local": 2}
        super().__init__(nodes, schema=SCHEMA, scylla=scylla, seed=seed, **{**usual, **options})

    @property
    def node(self) -> ServerNode:
        """The first node."""
        return self.server.nodes[0]

    @contextmanager
    def session(self, seconds: float = 1.0, **options: Any) -> Iterator[Session]:
        """Open a session, and let `seconds` pass; after the block nothing may be left of it."""
        session = self.run(self.open(**options))
        self.reactor.advance(seconds)
        yield session
        check(session)
        self.run(session.aclose())
        self.reactor.settle()
        assert self.reactor.tasks == set()
        assert self.reactor.network.clients == set()

    def read(self, session: Session, *keys: int) -> None:
        """Read the users with these keys, one after the other."""

        async def all_of_them() -> None:
            for key in keys:
                await session.execute(SELECT, [key])

        self.run(all_of_them())

    def dials(self, node: int = 0) -> list[Accepted]:
        """Return the connections that a node took for pools: all but the control connection's."""
        taken = self.server.nodes[node].accepted
        return [each for each in taken if each.number not in self._control]

    @property
    def _control(self) -> set[int]:
        return {each.number for each in self.server.connections if each.events}


def pool_of(session: Session, node: int = 0) -> Pool:
    """Return a pool of a session."""
    pool: Pool = list(session._context.executor.router.pools)[node]
    return pool


def shards_of(pool: Pool) -> list[int]:
    """Return how many connections each shard has."""
    return [len(shard.connections) for shard in pool.shards]


def check(session: Session) -> None:
    """Check that each open connection is in one place, that of its shard, or spare, or on its end."""
    router = session._context.executor.router
    for pool in router.pools:
        placed = [each for shard in pool.shards for each in shard.connections]
        assert sorted(map(id, placed)) == sorted(map(id, pool.connections))
        assert not {*pool.connections} & {*pool.spare}
        assert len(pool.spare) <= 2 * len(pool.shards)
        assert all(each.state is State.OPEN for each in pool.connections)
        assert {each.sharder for each in pool.connections} <= {pool.sharder}
        for number, shard in enumerate(pool.shards):
            assert {each.shard for each in shard.connections} <= {number if pool.sharder else -1}
        assert pool.target.streams == [each.streams for each in pool.connections]
        assert pool.target.shards == ([shard.target for shard in pool.shards] if pool.sharder else [])
        assert pool.node.shard_count == (pool.sharder.shard_count if pool.sharder else None)
    inside = {each for pool in router.pools for each in (*pool.connections, *pool.spare)}
    for connection in set(router.connections()) - inside:
        assert connection.state is not State.OPEN, connection


def links(node: ServerNode, shard: int | None = None) -> list[ServerConnection]:
    """Return the connections that are open to a node, or to one shard of it, but for the control connection."""
    return [each for each in node.connections if not each.events and shard in (None, each.shard)]


def connections_of(session: Session) -> list[Connection]:
    """Return all connections of a session's pools."""
    found: list[Connection] = session._context.executor.router.connections()
    return found


__all__ = ["SELECT", "Scylla", "Shards", "check", "connections_of", "links", "pool_of", "shards_of"]
