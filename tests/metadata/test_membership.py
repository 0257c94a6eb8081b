"""Who belongs to a cluster, as one reading of its tables follows another: identity by host_id, and doubt."""

from __future__ import annotations

import uuid
from typing import Any

from triocql.abc import Address
from triocql.metadata.membership import Change, Membership
from triocql.metadata.node import Node
from triocql.metadata.peers import ClusterFacts, NodeFacts
from triocql.metadata.snapshot import Snapshot


def facts(number: int, host: str | None = None, release: str = "5.0.6", **others: Any) -> NodeFacts:
    address = Address(host or f"10.0.0.{number}", 9042)
    known = {"data_centre": "dc1", "rack": "r1", "tokens": (), "schema_version": None, **others}
    return NodeFacts(uuid.UUID(int=number), address, release=release, **known)


class Cluster:
    """A cluster that is read again and again, by the first of the nodes that are told."""

    def __init__(self, translate: Any = lambda address: address) -> None:
        self.membership = Membership(translate)
        self.snapshot = Snapshot()
        self.teller = Node(Address("contact", 9042))

    def read(self, *told: NodeFacts, removed: frozenset[Address] = frozenset()) -> Change:
        cluster = ClusterFacts("c", "p", told[0], told[1:], ())
        teller = {node.host_id: node for node in self.snapshot.nodes}.get(told[0].host_id, self.teller)
        change = self.membership.follow(self.snapshot, cluster, teller, removed)
        self.snapshot = change.snapshot
        return change

    @property
    def ids(self) -> list[int]:
        return [node.host_id.int for node in self.snapshot.nodes if node.host_id is not None]


def test_the_node_that_was_reached_keeps_the_address_by_which_it_was() -> None:
    cluster = Cluster()
    cluster.read(facts(1), facts(2))
    first, second = cluster.snapshot.nodes
    assert first is cluster.teller
    assert (first.address.host, first.told) == ("contact", Address("10.0.0.1", 9042))
    assert second.address == second.told == Address("10.0.0.2", 9042)


def test_a_node_is_the_same_object_wherever_it_goes() -> None:
    cluster = Cluster()
    cluster.read(facts(1), facts(2))
    _, node = cluster.snapshot.nodes
    change = cluster.read(facts(1), facts(2, "10.0.9.2"))
    assert cluster.snapshot.nodes[1] is node
    assert change.moved == ((node, Address("10.0.0.2", 9042)),)
    assert node.address == Address("10.0.9.2", 9042)
    assert cluster.read(facts(1), facts(2, "10.0.9.2")).moved == ()


def test_addresses_are_translated_and_the_former_one_is_what_was_dialled() -> None:
    cluster = Cluster(lambda told: Address(f"public-{told.host}", 19042))
    cluster.read(facts(1), facts(2))
    _, node = cluster.snapshot.nodes
    assert node.address == Address("public-10.0.0.2", 19042)
    change = cluster.read(facts(1), facts(2, "10.0.9.2"))
    assert change.moved == ((node, Address("public-10.0.0.2", 19042)),)


def test_a_node_with_another_release_was_upgraded_and_a_new_one_was_not() -> None:
    cluster = Cluster()
    assert cluster.read(facts(1), facts(2)).upgraded == ()
    change = cluster.read(facts(1), facts(2, release="5.1.0"))
    assert change.upgraded == (cluster.snapshot.nodes[1],)
    assert change.upgraded[0].release == "5.1.0"


def test_a_node_that_is_replaced_at_its_address_goes_at_once() -> None:
    cluster = Cluster()
    cluster.read(facts(1), facts(2))
    change = cluster.read(facts(1), facts(7, "10.0.0.2"))
    assert (cluster.ids, change.doubted) == ([1, 7], ())


def test_a_few_that_are_missing_are_gone() -> None:
    cluster = Cluster()
    cluster.read(*map(facts, range(1, 6)))
    assert cluster.read(*map(facts, range(1, 4))).doubted == ()
    assert cluster.ids == [1, 2, 3]


def test_most_of_them_are_gone_only_when_it_is_told_twice() -> None:
    cluster = Cluster()
    cluster.read(*map(facts, range(1, 6)))
    change = cluster.read(facts(1))
    assert [node.host_id.int for node in change.doubted if node.host_id] == [2, 3, 4, 5]
    assert cluster.ids == [1, 2, 3, 4, 5]
    assert cluster.read(facts(1)).doubted == ()
    assert cluster.ids == [1]


def test_a_doubt_ends_with_a_reading_that_has_them() -> None:
    cluster = Cluster()
    cluster.read(*map(facts, range(1, 6)))
    cluster.read(facts(1))
    cluster.read(*map(facts, range(1, 6)))
    assert len(cluster.read(facts(1)).doubted) == 4
    assert len(cluster.ids) == 5


def test_what_an_event_has_removed_is_not_doubted() -> None:
    cluster = Cluster()
    cluster.read(*map(facts, range(1, 4)))
    gone = frozenset({Address("10.0.0.2", 9042), Address("10.0.0.3", 9042)})
    assert cluster.read(facts(1), removed=gone).doubted == ()
    assert cluster.ids == [1]
