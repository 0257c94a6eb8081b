"""Clusters of ScyllaDB that echo what is read, and what has to hold of where it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.faults.scene import Play, Row, Scene
from triocql.testing.server import CqlServer, Scylla

_KEYSPACE = (
    "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}"
)
_TABLE = "CREATE TABLE ks.t (k int PRIMARY KEY, v text)"
RING = f"{_KEYSPACE}; {_TABLE}"
TABLETS = f"{_KEYSPACE} AND tablets = {{'initial': 16}}; {_TABLE}"


def cluster(
    nodes: int = 3,
    *,
    schema: str = TABLETS,
    scylla: Scylla | Sequence[Scylla | None] | None = None,
    **options: Any,
) -> CqlServer:
    """Return nodes with four shards each, unless told otherwise, that answer reads with the values bound."""
    kinds = Scylla(shards=4) if scylla is None else scylla
    return CqlServer(nodes, schema=schema, scylla=kinds, unprimed="echo", **options)


def play(server: CqlServer, row: Row, **options: Any) -> Play:
    """Return a row with one session, after which no request has been one that its connection cannot read."""

    async def check(scene: Scene) -> None:
        assert server.log.malformed == []

    return Play(server, options, None, row, check)


async def read(scene: Scene, keys: Sequence[int], concurrency: int = 32) -> None:
    """Read these keys, and check the answers."""
    results = await scene.session.execute_concurrent_with_args(
        scene.select, [[key] for key in keys], concurrency=concurrency
    )
    assert [outcome.result_or_exc.scalar() for outcome in results] == list(keys)


def share_on_target(server: CqlServer) -> float:
    """Return which share of the requests in the log came to a replica of its partition, and to its shard."""
    found = Counter(entry.on_target for entry in server.log)
    assert None not in found
    return found[True] / found.total()


def places(server: CqlServer) -> Counter[tuple[int, int]]:
    """Return how many requests came to each shard of each node."""
    return Counter((entry.node, entry.shard) for entry in server.log)
