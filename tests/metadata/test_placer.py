"""The ring and the maps of replicas follow the nodes and the keyspaces, and what fits is not built again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from triocql.abc import Address
from triocql.metadata.building import finish
from triocql.metadata.node import Node
from triocql.metadata.placer import MOST_MAPS, Placed, Placer
from triocql.metadata.replication import (
    NetworkTopologyStrategy,
    ReplicationFactor,
    SimpleStrategy,
    UnknownStrategy,
    strategy_of,
)
from triocql.metadata.schema import Keyspace, read_heads
from triocql.metadata.snapshot import Snapshot

MURMUR3 = "org.apache.cassandra.dht.Murmur3Partitioner"


def cluster(count: int, tokens: int = 4) -> Snapshot:
    nodes = []
    for number in range(count):
        node = Node(Address(f"10.0.0.{number + 1}", 9042))
        node.data_centre, node.rack = "dc1", f"r{number % 2}"
        node.tokens = tuple(str(1000 * each + number) for each in range(tokens))
        nodes.append(node)
    return Snapshot(tuple(nodes), partitioner=MURMUR3)


def simple(factor: int) -> Keyspace:
    return Keyspace(
        f"simple{factor}", strategy_of({"class": "SimpleStrategy", "replication_factor": str(factor)})
    )


def keyspaces(*each: Keyspace) -> dict[str, Keyspace]:
    return {keyspace.name: keyspace for keyspace in each}


def place(placer: Placer, snapshot: Snapshot, *each: Keyspace) -> Placed:
    return finish(placer.place(snapshot, keyspaces(*each)))


def test_what_fits_is_kept() -> None:
    placer, snapshot = Placer(), cluster(3)
    first = place(placer, snapshot, simple(1), simple(2))
    assert first.ring is not None
    assert set(first.replica_maps) == {simple(1).replication, simple(2).replication}
    again = place(placer, replace(snapshot), simple(2), simple(3))
    assert again.ring is first.ring
    assert again.replica_maps[simple(2).replication] is first.replica_maps[simple(2).replication]
    assert set(again.replica_maps) == {simple(2).replication, simple(3).replication}


@pytest.mark.parametrize("change", ["tokens", "rack", "node", "partitioner"])
def test_what_has_changed_is_built(change: str) -> None:
    placer, snapshot = Placer(), cluster(3)
    nts = Keyspace("nts", strategy_of({"class": "NetworkTopologyStrategy", "dc1": "2"}))
    first = place(placer, snapshot, nts)
    if change == "tokens":
        snapshot.nodes[0].tokens = ("7",)
    elif change == "rack":
        snapshot.nodes[0].rack = "r9"
    elif change == "node":
        snapshot = replace(snapshot, nodes=snapshot.nodes[1:])
    else:
        snapshot = replace(snapshot, partitioner="org.apache.cassandra.dht.RandomPartitioner")
    second = place(placer, snapshot, nts)
    assert second.ring is not first.ring
    assert second.replica_maps[nts.replication] is not first.replica_maps[nts.replication]
    assert place(placer, snapshot, nts).ring is second.ring


def test_an_unknown_partitioner_has_no_ring() -> None:
    assert place(Placer(), replace(cluster(2), partitioner="Mine"), simple(1)) == Placed(None, {})
    assert place(Placer(), Snapshot(), simple(1)) == Placed(None, {})


def test_no_step_takes_long() -> None:
    steps = Placer().place(cluster(100, 64), keyspaces(simple(3)))
    assert sum(1 for _ in steps) > 2 * 6400 / 512


def test_maps_have_a_bound_and_those_of_most_keyspaces_stay() -> None:
    many = [simple(factor) for factor in range(1, 200)]
    often = [replace(simple(150), name=f"ks{number}") for number in range(3)]
    placed = place(Placer(), cluster(2), *many, *often)
    assert len(placed.replica_maps) == MOST_MAPS
    assert simple(150).replication in placed.replica_maps


# --- Rows of system_schema.keyspaces -------------------------------------------------------------------------------


def test_rows() -> None:
    found = read_heads(
        {
            "system_schema.keyspaces": [
                {
                    "keyspace_name": "a",
                    "replication": {
                        "class": "org.apache.cassandra.locator.SimpleStrategy",
                        "replication_factor": "3",
                    },
                    "durable_writes": False,
                },
                {
                    "keyspace_name": "B",
                    "replication": {"class": "NetworkTopologyStrategy", "dc1": "3/1"},
                    "durable_writes": True,
                },
                {"keyspace_name": "c", "replication": None, "durable_writes": None},
                {"keyspace_name": "d", "replication": {"class": 7, 8: "x"}},
                {"keyspace_name": "e", "replication": [1]},
                {"keyspace_name": None, "replication": {}},
                {},
            ]
        }
    )
    assert list(found) == ["a", "B", "c", "d", "e"]
    assert found["a"].replication == SimpleStrategy(ReplicationFactor(3))
    assert not found["a"].durable_writes
    assert isinstance(found["B"].replication, NetworkTopologyStrategy)
    assert found["B"].replication.factor("dc1") == ReplicationFactor(3, 1)
    assert all(isinstance(found[name].replication, UnknownStrategy) for name in "cde")
    assert found["c"].durable_writes
