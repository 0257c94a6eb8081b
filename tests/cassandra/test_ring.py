"""The replicas of keys are those that real nodes name, in two data centres with racks.

With one data centre they are in `cluster/test_token_awareness.py`, and in `make test`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from triocql import sync
from triocql.abc import Address
from triocql.metadata.building import build_replicas, build_ring, finish
from triocql.metadata.node import Node
from triocql.metadata.partitioners import partitioner_of
from triocql.metadata.replication import strategy_of
from triocql.metadata.schema import Keyspace
from triocql.metadata.snapshot import Snapshot
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .conftest import patient

pytestmark = [pytest.mark.cassandra, pytest.mark.long]

TOPOLOGY = {"dc1": {"r1": 2, "r2": 1}, "dc2": {"r1": 1}}
REPLICATIONS = {
    "once": {"class": "SimpleStrategy", "replication_factor": "1"},
    "thrice": {"class": "SimpleStrategy", "replication_factor": "3"},
    "one": {"class": "NetworkTopologyStrategy", "dc1": "1"},
    "two": {"class": "NetworkTopologyStrategy", "dc1": "2", "dc2": "1"},
    "three": {"class": "NetworkTopologyStrategy", "dc1": "3", "dc2": "1"},
    "remote": {"class": "NetworkTopologyStrategy", "dc1": "0", "dc2": "1"},
}
TRANSIENT = {
    "two_of_three": {"class": "NetworkTopologyStrategy", "dc1": "3/1", "dc2": "1"},
    "one_of_two": {"class": "NetworkTopologyStrategy", "dc1": "2/1"},
    "simple": {"class": "SimpleStrategy", "replication_factor": "3/1"},
}
KEYS = range(1_000)
AT_A_TIME = 4
"""How many nodetools run at once: each is a JVM of its own."""


def serialized(key: int) -> bytes:
    return key.to_bytes(8, "big", signed=True)


def create(cluster: CassandraCluster, replications: Mapping[str, Mapping[str, str]]) -> None:
    with sync.connect(cluster.contact_points[0], **patient()) as session:
        for name, replication in replications.items():
            options = ", ".join(f"'{option}': '{value}'" for option, value in replication.items())
            session.execute(f"CREATE KEYSPACE {name} WITH replication = {{{options}}}")
            session.execute(f"CREATE TABLE {name}.t (id bigint PRIMARY KEY) WITH read_repair = 'NONE'")


def known(cluster: CassandraCluster, keyspace: str) -> Snapshot:
    """Return what the system tables of a node tell, once it knows the keyspace that was created last."""
    with sync.connect(cluster.contact_points[:1], **patient()) as session:
        local = session.execute("SELECT * FROM system.local").all()
        peers = session.execute("SELECT * FROM system.peers_v2").all()
        keyspaces = session.execute("SELECT * FROM system_schema.keyspaces").all()
        while keyspace not in {row.keyspace_name for row in keyspaces}:
            keyspaces = session.execute("SELECT * FROM system_schema.keyspaces").all()
    nodes = []
    for row in (*local, *peers):
        address = row.rpc_address if row in local else row.native_address
        node = Node(Address(str(address), 9042))
        node.data_centre, node.rack, node.tokens = row.data_center, row.rack, tuple(row.tokens)
        nodes.append(node)
    partitioner = partitioner_of(local[0].partitioner)
    assert partitioner is not None
    ring = finish(build_ring(partitioner, nodes))
    assert not ring.problems
    told = {
        row.keyspace_name: Keyspace(row.keyspace_name, strategy_of(row.replication), row.durable_writes)
        for row in keyspaces
    }
    strategies = {keyspace.replication for keyspace in told.values()}
    assert not any(strategy.problem for strategy in strategies)
    maps = {strategy: finish(build_replicas(ring, strategy)) for strategy in strategies}
    return Snapshot(tuple(nodes), ring=ring, keyspaces=told, replica_maps=maps)


def described(text: str) -> tuple[list[int], list[list[str]]]:
    """Read what `nodetool describering` prints: the tokens that ranges end with, and the replicas of each."""
    found = re.findall(r"end_token:(-?\d+), endpoints:\[([^]]*)\]", text)
    ranges = sorted((int(end), endpoints.split(", ")) for end, endpoints in found)
    return [end for end, _ in ranges], [endpoints for _, endpoints in ranges]


def addresses(nodes: tuple[Node, ...]) -> list[str]:
    return [node.address.host for node in nodes]


@pytest.fixture(scope="module")
def cluster() -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(topology=TOPOLOGY, name="ring") as cluster:
        create(cluster, REPLICATIONS)
        yield cluster


def check_replicas(cluster: CassandraCluster, snapshot: Snapshot, keyspaces: Iterable[str]) -> None:
    """Compare the replicas of keys with those of the ranges that a node tells: each question is a Java of its own."""
    first = cluster.nodes[0]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        told = threads.map(lambda name: first.nodetool("describering", name), keyspaces)
        for name, text in zip(keyspaces, told, strict=True):
            ends, replicas = described(text)
            assert len(ends) == len(snapshot.ring.tokens)  # type: ignore[union-attr]
            for key in KEYS:
                token = snapshot.token(serialized(key))
                assert isinstance(token, int)
                at = bisect_left(ends, token) % len(ends)
                assert addresses(snapshot.replicas(name, serialized(key))) == replicas[at], (name, key)


def test_replicas_are_those_that_the_cluster_names(cluster: CassandraCluster) -> None:
    """In each keyspace, by its ranges; and some keys one by one."""
    snapshot = known(cluster, list(REPLICATIONS)[-1])
    check_replicas(cluster, snapshot, REPLICATIONS)
    first = cluster.nodes[0]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        asked = [(name, key) for name in ("thrice", "two") for key in KEYS[::100]]
        endpoints = threads.map(
            lambda each: first.nodetool("getendpoints", each[0], "t", str(each[1])), asked
        )
        for (name, key), text in zip(asked, endpoints, strict=True):
            assert addresses(snapshot.replicas(name, serialized(key))) == text.split(), (name, key)


def test_tokens_are_those_that_the_cluster_tells(cluster: CassandraCluster) -> None:
    snapshot = known(cluster, list(REPLICATIONS)[-1])
    with sync.connect(cluster.contact_points[0], **patient()) as session:
        insert = session.prepare("INSERT INTO three.t (id) VALUES (?)")
        session.execute_concurrent_with_args(insert, [[key] for key in KEYS])
        rows = session.execute("SELECT id, token(id) AS told FROM three.t", consistency="ALL").all()
    assert {row.id: row.told for row in rows} == {key: snapshot.token(serialized(key)) for key in KEYS}


def test_transient_replicas_are_left_out_and_the_others_are_those_of_the_cluster() -> None:
    """The server lists the transient replicas of a data centre behind its others."""
    require_cassandra()
    yaml = {"num_tokens": 1, "transient_replication_enabled": True}
    with CassandraCluster(topology=TOPOLOGY, name="transient", yaml=yaml) as cluster:
        create(cluster, TRANSIENT)
        snapshot = known(cluster, list(TRANSIENT)[-1])
        for name in TRANSIENT:
            ends, replicas = described(cluster.nodes[0].nodetool("describering", name))
            found = snapshot.replica_map(name)
            assert found is not None
            for token, listed in zip(ends, replicas, strict=True):
                assert addresses(found.find(token)) == without_transient(snapshot, name, listed), (
                    name,
                    token,
                )


def without_transient(snapshot: Snapshot, keyspace: str, listed: list[str]) -> list[str]:
    """Return the replicas without the last ones of each data centre."""
    strategy = snapshot.keyspaces[keyspace].replication
    nodes = {node.address.host: node for node in snapshot.nodes}
    groups: dict[str, list[str]] = {}
    for address in listed:
        place = strategy.place(nodes[address])
        assert place is not None
        groups.setdefault(place.group, []).append(address)
    factors = {name: strategy.factor(name) for name in groups}
    full = {name: group[: factors[name].all - factors[name].transient] for name, group in groups.items()}
    return [each for each in listed if any(each in group for group in full.values())]
