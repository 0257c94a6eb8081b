"""Any ring with any replication: the replicas are those that the server walks to, compiled and in pure Python."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.clusters import node, ring_of, walked
from triocql.metadata import murmur3 as pure_murmur3
from triocql.metadata import placement as pure_placement
from triocql.metadata import ring as pure_ring
from triocql.metadata.node import Node
from triocql.metadata.replication import (
    EverywhereStrategy,
    NetworkTopologyStrategy,
    ReplicationFactor,
    ReplicationStrategy,
    SimpleStrategy,
)

COMPILED = find_spec("triocql.metadata._placement") is not None
if COMPILED:
    from triocql.metadata import _murmur3, _placement

    compiled_ring: Any = __import__("triocql.metadata._ring", fromlist=["_ring"])

IMPLS = ("python", "cython") if COMPILED else ("python",)


@st.composite
def clusters(draw: st.DrawFn) -> list[Node]:
    """Nodes in some data centres and racks, with some tokens each; few tokens, so that some are told twice."""
    size = draw(st.integers(1, 12))
    few = st.integers(-40, 40)
    return [
        node(
            f"n{i}",
            *draw(st.lists(few, max_size=5)),
            dc=draw(st.sampled_from(["dc1", "dc2", "dc3", None])),
            rack=draw(st.sampled_from(["r1", "r2", "r3", "r4", None])),
        )
        for i in range(size)
    ]


@st.composite
def factors(draw: st.DrawFn) -> ReplicationFactor:
    replicas = draw(st.one_of(st.integers(0, 14), st.just(2**31 - 1)))
    return ReplicationFactor(replicas, draw(st.integers(0, replicas - 1)) if replicas else 0)


def strategies() -> st.SearchStrategy[ReplicationStrategy]:
    centres = st.dictionaries(st.sampled_from(["dc1", "dc2", "dc3", "dc4"]), factors())
    return st.one_of(
        st.builds(SimpleStrategy, factors()),
        st.just(EverywhereStrategy()),
        centres.map(lambda each: NetworkTopologyStrategy(tuple(sorted(each.items())))),
    )


def replica_map(
    impl: str, nodes: list[Node], strategy: ReplicationStrategy, stride: int
) -> pure_ring.ReplicaMap:
    rings, placements = (pure_ring, pure_placement) if impl == "python" else (compiled_ring, _placement)
    built = ring_of(nodes)
    ring = rings.Ring(built.partitioner, built.nodes, built.tokens, built.owners)
    placement = placements.Placement(ring.nodes, ring.owners, strategy)
    while placement.advance(stride):
        pass
    made: pure_ring.ReplicaMap = rings.ReplicaMap(ring, strategy, placement.table, placement.width)
    return made


@pytest.mark.parametrize("impl", IMPLS)
@settings(deadline=None)
@given(nodes=clusters(), strategy=strategies(), stride=st.integers(1, 70))
def test_replicas_are_those_that_the_server_walks_to(
    impl: str, nodes: list[Node], strategy: ReplicationStrategy, stride: int
) -> None:
    found = replica_map(impl, nodes, strategy, stride)
    ring = found.ring
    for token in range(-42, 43):
        replicas = found.find(token)
        if not ring.nodes:
            assert replicas == ()
            continue
        position = ring.position(token)
        assert list(replicas) == walked(ring, strategy, position)
        assert found.find(ring.tokens[position]) is replicas
        assert len(set(replicas)) == len(replicas)


@settings(deadline=None)
@given(nodes=clusters(), wanted=st.integers(1, 9))
def test_replicas_are_in_as_many_racks_as_can_be(nodes: list[Node], wanted: int) -> None:
    strategy = NetworkTopologyStrategy((("dc1", ReplicationFactor(wanted)),))
    found = replica_map(IMPLS[-1], nodes, strategy, 100)
    there = [each for each in found.ring.nodes if each.data_centre == "dc1"]
    racks = {each.rack for each in there}
    for token in found.ring.tokens:
        replicas = found.find(token)
        assert len(replicas) == min(wanted, len(there))
        assert set(replicas) <= set(there)
        assert len({each.rack for each in replicas}) == min(wanted, len(racks))


@pytest.mark.parametrize("impl", IMPLS)
@settings(deadline=None)
@given(
    keys=st.lists(st.binary(max_size=100), max_size=30),
    tokens=st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1),
)
def test_the_range_of_a_key_is_that_of_its_token(impl: str, keys: list[bytes], tokens: set[int]) -> None:
    found = replica_map(
        impl, [node(str(token), token) for token in tokens], SimpleStrategy(ReplicationFactor(1)), 100
    )
    ordered = sorted(tokens)
    for key in (*keys, b""):
        token = found.ring.partitioner.token(key)
        assert isinstance(token, int)
        owner = next((each for each in ordered if each >= token), ordered[0])
        assert [str(each) for each in found.replicas(key)] == [str(owner)]
        assert found.find(token) is found.replicas(key)
        assert found.ring.owner(token) is found.find(token)[0]


@pytest.mark.skipif(not COMPILED, reason="there is nothing compiled to compare with")
@settings(deadline=None)
@given(st.one_of(st.binary(max_size=80), st.binary(min_size=1000, max_size=1100)))
def test_both_hashes_are_the_same(key: bytes) -> None:
    assert _murmur3.murmur3(key) == pure_murmur3.murmur3(key)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_key_that_is_none_is_refused(impl: str) -> None:
    found = replica_map(impl, [node("a", 1)], SimpleStrategy(ReplicationFactor(1)), 1)
    for wrong in (None, "text"):
        with pytest.raises(TypeError):
            found.replicas(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", IMPLS)
def test_a_range_of_a_node_that_is_not_there_is_refused(impl: str) -> None:
    module = pure_placement if impl == "python" else _placement
    placement = module.Placement((node("a", 1),), [0, 7], SimpleStrategy(ReplicationFactor(1)))
    with pytest.raises(IndexError):
        list(iter(lambda: placement.advance(1), False))
