"""Snapshots with a ring, made by hand: whose the partitions are that a session's requests are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import triocql
from tests.engine.world import World
from triocql.metadata.building import build_replicas, build_ring, finish
from triocql.metadata.node import Node
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.replication import strategy_of
from triocql.metadata.schema import Keyspace
from triocql.metadata.snapshot import Snapshot
from triocql.session.session import Session

KEYSPACE = "ks"


def snapshot_of(
    nodes: Sequence[Node], replication: dict[str, str] | None = None, tokens: int = 8
) -> Snapshot:
    """Return a snapshot of these nodes, each with some tokens; the keyspace has two replicas unless said otherwise."""
    random = Random(len(nodes))
    for node in nodes:
        node.tokens = tuple(str(random.randrange(-(2**63), 2**63)) for _ in range(tokens))
        node.data_centre = node.data_centre or "dc1"
        node.rack = node.rack or "r1"
    ring = finish(build_ring(MURMUR3, tuple(nodes)))
    strategy = strategy_of(replication or {"class": "SimpleStrategy", "replication_factor": "2"})
    return Snapshot(
        tuple(nodes),
        ring=ring,
        keyspaces={KEYSPACE: Keyspace(KEYSPACE, strategy)},
        replica_maps={strategy: finish(build_replicas(ring, strategy))},
    )


def nodes_of(session: Session) -> tuple[Node, ...]:
    """Return the nodes of a session."""
    return session._context.cluster.nodes.snapshot.nodes


def know(world: World, session: Session, snapshot: Snapshot) -> Snapshot:
    """Have a session know a snapshot."""
    session._context.cluster.nodes.apply(snapshot)
    world.settle()
    return snapshot


def keyed(world: World, session: Session, text: str) -> triocql.PreparedStatement:
    """Return a prepared statement whose first value is its partition key, in the keyspace."""
    statement = world.call(session.prepare, text)
    statement.prepared.state = replace(statement.prepared.state, partition_key=(0,))
    return statement


def key_of(number: int) -> bytes:
    """Return the routing key of an int."""
    return number.to_bytes(4, "big", signed=True)
