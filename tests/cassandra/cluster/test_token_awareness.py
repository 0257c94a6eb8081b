"""Requests go to a node that has their partition: judged by what the nodes themselves say of their ranges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import triocql
import triocql.sync
from tests.cassandra.conftest import patient
from tests.cassandra.test_ring import check_replicas, create, known
from triocql.policies.balancing import RoundRobin

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

KEYSPACE = "single"
KEYS = [(n, f"text {n}") for n in range(1000)]
TRACED = 20


class Range(NamedTuple):
    """The tokens after `start`, up to `end`, and the node that has them."""

    start: int
    end: int
    owner: str


class Ranges:
    """The ranges of a keyspace with one replica, as ``nodetool describering`` tells them."""

    def __init__(self, described: str) -> None:
        pattern = r"TokenRange\(start_token:(-?\d+), end_token:(-?\d+), endpoints:\[([\d.]+)\]"
        found = (Range(int(start), int(end), owner) for start, end, owner in re.findall(pattern, described))
        self._ranges = sorted(found, key=lambda each: each.end)

    def owner(self, token: int) -> str:
        """Return the address of the node that has a token: the last range goes on at the beginning of the ring."""
        return next((each.owner for each in self._ranges if token <= each.end), self._ranges[0].owner)


class Reads(NamedTuple):
    """Of each key, the node that has it, and the one that was asked for it."""

    owners: list[str]
    coordinators: list[str]

    @property
    def elsewhere(self) -> int:
        """How many were asked of a node that does not have them."""
        return sum(owner != asked for owner, asked in zip(*self, strict=True))


@pytest.fixture(scope="module")
def single(three_nodes: CassandraCluster) -> CassandraCluster:
    """Three nodes with rows that each has a third of, of keys with two columns."""
    with triocql.sync.connect(three_nodes.contact_points, **patient()) as session:
        session.execute(
            f"CREATE KEYSPACE {KEYSPACE} WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        )
        session.execute(f"CREATE TABLE {KEYSPACE}.t (a int, b text, v int, PRIMARY KEY ((a, b)))")
        insert = session.prepare(f"INSERT INTO {KEYSPACE}.t (a, b, v) VALUES (?, ?, ?)")
        session.execute_concurrent_with_args(insert, [(a, b, a) for a, b in KEYS])
    return three_nodes


def read(cluster: CassandraCluster, **options: Any) -> Reads:
    """Read each key once."""
    ranges = Ranges(cluster.nodes[0].nodetool("describering", KEYSPACE))
    with triocql.sync.connect(cluster.contact_points[0], **patient(**options)) as session:
        select = session.prepare(f"SELECT v, token(a, b) AS place FROM {KEYSPACE}.t WHERE a = ? AND b = ?")
        results = [result for _, result in session.execute_concurrent_with_args(select, KEYS)]
        rows = [result.exactly_one() for result in results]
    assert [row.v for row in rows] == [a for a, _ in KEYS]
    coordinators = [str(result.coordinator).partition(":")[0] for result in results]
    return Reads([ranges.owner(row.place) for row in rows], coordinators)


def test_each_prepared_read_goes_to_its_replica(single: CassandraCluster) -> None:
    reads = read(single)
    assert reads.elsewhere == 0
    assert set(reads.owners) == {node.address for node in single.nodes}


def test_replicas_are_those_that_the_cluster_names(three: CassandraCluster) -> None:
    strategies = ("NetworkTopologyStrategy", "SimpleStrategy")
    keyspaces = {f"twice_{name}".lower(): {"class": name, "replication_factor": "2"} for name in strategies}
    create(three, keyspaces)
    check_replicas(three, known(three, list(keyspaces)[-1]), keyspaces)


def test_without_token_awareness_reads_go_anywhere(single: CassandraCluster) -> None:
    """So the test before this one can fail."""
    reads = read(single, policies=triocql.PolicyOptions(balancing=RoundRobin()))
    assert reads.elsewhere > len(KEYS) / 3


def test_without_keys_reads_go_anywhere(single: CassandraCluster) -> None:
    """From v4 on, nodes tell of a prepared statement which of its values are the key."""
    assert read(single, protocol_version=3).elsewhere > len(KEYS) / 3


def test_only_the_coordinator_has_a_part_in_a_read(single: CassandraCluster) -> None:
    """By what the nodes record of it."""
    with triocql.sync.connect(single.contact_points[0], **patient()) as session:
        select = session.prepare(f"SELECT v FROM {KEYSPACE}.t WHERE a = ? AND b = ?")
        for key in KEYS[:TRACED]:
            result = session.execute(select, key, tracing=True)
            while not (events := result.trace(timeout=30.0, consistency="ALL").events):
                pass  # they are written some time after the answer; each question takes a round trip
            assert {str(event.source) for event in events} == {str(result.coordinator).partition(":")[0]}
