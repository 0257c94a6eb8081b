"""Rings and replicas, by hand: whose a token is, and which nodes have its partitions."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.metadata import Ring
from triocql.metadata.partitioners import BYTE_ORDERED, MURMUR3, RANDOM

from .clusters import names, node, replicas_of, ring_of

# --- The ring ---------------------------------------------------------------------------------------------------------


def test_a_range_ends_with_the_token_of_its_owner() -> None:
    ring = ring_of([node("a", -100, 50), node("b", 0, 100)])
    assert list(ring.tokens) == [-100, 0, 50, 100]
    assert names(ring.nodes) == "a b"
    owners = {token: str(ring.owner(token)) for token in (-(2**63), -101, -100, -99, 0, 1, 50, 51, 100)}
    assert owners == {
        -(2**63): "a",
        -101: "a",
        -100: "a",
        -99: "b",
        0: "b",
        1: "a",
        50: "a",
        51: "b",
        100: "b",
    }
    assert str(ring.owner(101)) == str(ring.owner(2**63 - 1)) == "a", (
        "behind the last token is the first range"
    )


def test_a_ring_of_one_token() -> None:
    ring = ring_of([node("a", 7)])
    assert {ring.position(token) for token in (-(2**63), 6, 7, 8, 2**63 - 1)} == {0}
    assert names(replicas_of(ring, kind="SimpleStrategy", replication_factor="3").find(8)) == "a"


LEAST, MOST = -(2**63), 2**63 - 1
FAR_APART = st.integers(LEAST, MOST)
CLOSE = st.builds(
    lambda middle, offset: min(max(middle + offset, LEAST), MOST),
    st.sampled_from([LEAST, -(2**48), -1, 0, 2**62, MOST]),
    st.integers(-40, 40),
)


@given(st.sets(FAR_APART | CLOSE, max_size=200), st.lists(FAR_APART | CLOSE, max_size=20))
def test_the_range_of_a_token_is_found_however_tokens_lie(tokens: set[int], others: list[int]) -> None:
    ring = Ring(MURMUR3, (), array("q", sorted(tokens)), array("I", [0] * len(tokens)))
    for token in [*tokens, *others, *(token + 1 for token in tokens if token < MOST)]:
        at = bisect_left(ring.tokens, token)
        assert ring.position(token) == (at if at < len(tokens) else 0)


def test_the_range_of_a_token_is_found_among_many() -> None:
    rng = random.Random(1)
    tokens = array("q", sorted({rng.randrange(LEAST, MOST) for _ in range(100_000)}))
    ring = Ring(MURMUR3, (), tokens, array("I", [0]) * len(tokens))
    for token in [LEAST, tokens[0], tokens[-1], MOST, *(rng.randrange(LEAST, MOST) for _ in range(2_000))]:
        at = bisect_left(tokens, token)
        assert ring.position(token) == (at if at < len(tokens) else 0)


def test_tokens_that_somebody_else_takes_away_are_not_looked_at() -> None:
    ring = ring_of([node("a", *range(LEAST, MOST, 2**52))])
    replicas = replicas_of(ring, kind="SimpleStrategy", replication_factor="1")
    tokens: array[int] = ring.tokens  # type: ignore[assignment]
    del tokens[1:]
    assert {ring.position(token) for token in (LEAST, 0, 2**62, MOST)} <= {0, 1}
    del tokens[:]
    assert ring.position(2**62) == 0
    assert names(replicas.find(2**62)) == "a"


def test_a_ring_without_tokens_has_no_replicas() -> None:
    ring = ring_of([node("a"), node("b")])
    assert (ring.nodes, list(ring.tokens), ring.problems) == ((), [], ())
    assert ring.owner(1) is None
    for kind in ("SimpleStrategy", "EverywhereStrategy", "LocalStrategy"):
        assert replicas_of(ring, kind=kind, replication_factor="3").find(1) == ()
        assert replicas_of(ring, kind=kind, replication_factor="3").replicas(b"key") == ()


def test_nodes_without_tokens_are_no_replicas() -> None:
    ring = ring_of([node("a", 1), node("coordinator"), node("b", 2)])
    assert names(ring.nodes) == "a b"
    assert names(replicas_of(ring, kind="SimpleStrategy", replication_factor="3").find(1)) == "a b"
    assert names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1="3").find(1)) == "a b"


def test_a_token_of_two_nodes_is_that_of_the_first_one() -> None:
    ring = ring_of([node("a", 1, 3), node("b", 2, 3, 1), node("c", 4, 4)])
    assert list(ring.tokens) == [1, 2, 3, 4]
    assert names(ring.nodes[owner] for owner in ring.owners) == "a b a c"
    assert ring.problems == (
        "2 tokens of node b are those of nodes before it, or told twice",
        "1 tokens of node c are those of nodes before it, or told twice",
    )


def test_a_node_that_has_only_the_tokens_of_another_one_is_no_replica() -> None:
    ring = ring_of([node("old", 1, 2), node("new", 1, 2), node("other", 3)])
    assert names(replicas_of(ring, kind="SimpleStrategy", replication_factor="3").find(1)) == "old other"


def test_tokens_that_are_none_are_left_out() -> None:
    ring = ring_of([node("a", 1, "x", "", 2**63, "9" * 100_000), node("b", "y"), node("c", 2)])
    assert list(ring.tokens) == [1, 2]
    assert names(ring.nodes) == "a c"
    assert ring.problems == (
        "4 tokens of node a are none of the Murmur3Partitioner",
        "1 tokens of node b are none of the Murmur3Partitioner",
    )


def test_tokens_of_other_partitioners_have_their_own_order() -> None:
    ring = ring_of([node("a", "ff"), node("b", "00", "8000"), node("c", "80")], BYTE_ORDERED)
    assert list(ring.tokens) == [b"\0", b"\x80", b"\x80\0", b"\xff"]
    found = replicas_of(ring, kind="SimpleStrategy", replication_factor="1")
    assert [
        names(found.replicas(key)) for key in (b"", b"\0\0", b"\x80", b"\x80\0", b"\x81", b"\xff\0")
    ] == list("bccbab")
    ring = ring_of([node("a", 0), node("b", 5 * 10**37)], RANDOM)
    found = replicas_of(ring, kind="SimpleStrategy", replication_factor="1")
    assert RANDOM.token(b"123") < 5 * 10**37 < RANDOM.token(b"1")
    assert (names(found.replicas(b"123")), names(found.replicas(b"1"))) == ("b", "a")


def test_replicas_by_key_are_those_of_its_token() -> None:
    ring = ring_of([node(str(i), *range(-(2**63) + i * 2**50, 2**63, 2**60)) for i in range(16)])
    found = replicas_of(ring, kind="SimpleStrategy", replication_factor="2")
    for i in range(200):
        key = str(i).encode() * (i % 7 + 1)
        assert found.replicas(key) is found.find(MURMUR3.token(key))


def test_equal_replicas_are_the_same_tuple() -> None:
    ring = ring_of([node(str(i), *range(i, 300, 3)) for i in range(3)])
    found = replicas_of(ring, kind="SimpleStrategy", replication_factor="2")
    assert len({id(found.find(token)) for token in range(300)}) == 3
    assert all(found.find(token) is found.find(token + 3) for token in range(297))


# --- The replicas ---------------------------------------------------------------------------------------------------


def test_simple_strategy_takes_the_next_nodes() -> None:
    ring = ring_of([node("a", 0, 50), node("b", 10, 20, dc="dc2"), node("c", 30), node("d", 40, rack="r2")])
    found = {
        factor: [
            names(replicas_of(ring, kind="SimpleStrategy", replication_factor=factor).find(token))
            for token in (0, 11, 31, 51)
        ]
        for factor in ("0", "1", "2", "3", "9")
    }
    assert found == {
        "0": ["", "", "", ""],
        "1": ["a", "b", "d", "a"],
        "2": ["a b", "b c", "d a", "a b"],
        "3": ["a b c", "b c d", "d a b", "a b c"],
        "9": ["a b c d", "b c d a", "d a b c", "a b c d"],
    }


def test_each_data_centre_has_replicas_of_its_own() -> None:
    ring = ring_of(
        [
            node("a", 0),
            node("b", 10, dc="dc2"),
            node("c", 20),
            node("d", 30, dc="dc2"),
            node("e", 40, dc="dc3"),
        ]
    )
    found = replicas_of(ring, kind="NetworkTopologyStrategy", dc1="1", dc2="2", dc3="0", dc4="3")
    assert [names(found.find(token)) for token in (0, 1, 11, 21, 31, 41)] == [
        "a b d", "b c d", "c d b", "d a b", "a b d", "a b d",
    ]  # fmt: skip


def test_the_first_node_of_each_rack_comes_before_others_of_the_same() -> None:
    ring = ring_of(
        [node("a1", 0), node("a2", 1), node("a3", 2), node("b1", 3, rack="r2"), node("c1", 4, rack="r3")]
    )
    found = {
        factor: names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1=factor).find(0))
        for factor in ("1", "2", "3", "4", "5", "6")
    }
    assert found == {
        "1": "a1",
        "2": "a1 b1",
        "3": "a1 b1 c1",
        "4": "a1 a2 b1 c1",
        "5": "a1 a2 a3 b1 c1",
        "6": "a1 a2 a3 b1 c1",
    }


def test_a_rack_without_a_name_is_one() -> None:
    ring = ring_of([node("a", 0, rack=None), node("b", 1, rack=None), node("c", 2)])
    assert names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1="2").find(0)) == "a c"


def test_racks_of_the_same_name_in_two_data_centres_are_two() -> None:
    ring = ring_of(
        [node("a", 0), node("b", 1, dc="dc2"), node("c", 2, rack="r2"), node("d", 3, dc="dc2", rack="r2")]
    )
    assert names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1="2", dc2="2").find(0)) == "a b c d"


def test_a_node_whose_data_centre_is_not_known_is_no_replica() -> None:
    ring = ring_of([node("a", 0, dc=None), node("b", 1)])
    assert names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1="2").find(0)) == "b"


def test_transient_replicas_have_their_place_and_are_left_out() -> None:
    """Of 3/1 in two racks, one rack may have both full replicas: of 2 it may not."""
    ring = ring_of([node("a1", 0), node("a2", 1), node("b1", 2, rack="r2")])
    found = {
        factor: names(replicas_of(ring, kind="NetworkTopologyStrategy", dc1=factor).find(0))
        for factor in ("2", "3", "3/1", "3/2", "4/1", "4/2", "5/1", "9/8")
    }
    assert found == {
        "2": "a1 b1",
        "3": "a1 a2 b1",
        "3/1": "a1 a2",
        "3/2": "a1",
        "4/1": "a1 a2 b1",
        "4/2": "a1 a2",
        "5/1": "a1 a2 b1",
        "9/8": "a1",
    }
    assert names(replicas_of(ring, kind="SimpleStrategy", replication_factor="3/1").find(1)) == "a2 b1"


def test_everywhere_is_on_all_nodes_and_local_on_none() -> None:
    ring = ring_of([node("a", 0), node("b", 1, dc="dc2"), node("c")])
    assert names(replicas_of(ring, kind="EverywhereStrategy").find(1)) == "b a"
    for kind in ("LocalStrategy", "com.example.OwnStrategy", ""):
        assert replicas_of(ring, kind=kind).find(1) == ()


# The clusters of Cassandra's own NetworkTopologyStrategyTest, and what it says of them.


@pytest.mark.parametrize("third", [True, False])
def test_as_many_replicas_as_wanted_in_each_data_centre(third: bool) -> None:
    places = {
        "dc1": ("0123", "0234", "0345", "090a"),
        "dc2": ("0789", "0890", "0abc"),
        "dc3": ("0456", "0567", "00ab") if third else (),
    }
    nodes = [node(f"{dc}-{token}", token, dc=dc) for dc, tokens in places.items() for token in tokens]
    ring = ring_of(nodes, BYTE_ORDERED)
    wanted = {"dc1": "3", "dc2": "2", "dc3": "1"} if third else {"dc1": "3", "dc2": "3", "dc3": "0"}
    replicas = replicas_of(ring, kind="NetworkTopologyStrategy", **wanted).find(bytes.fromhex("0123"))
    assert len(set(replicas)) == len(replicas) == 6
    assert {dc: str(sum(each.data_centre == dc for each in replicas)) for dc in wanted} == wanted


def test_large_data_centres_with_racks() -> None:
    sizes = {"0": (2, 128, "2"), "1": (4, 256, "6"), "2": (8, 512, "6")}
    nodes = [
        node(f"10.{dc}.{rack}.{number}", f"{number:02x}{rack:02x}0{dc}", dc=dc, rack=str(rack))
        for dc, (racks, size, _) in sizes.items()
        for rack, number in product(range(racks), range(1, size // racks + 1))
    ]
    ring = ring_of(nodes, BYTE_ORDERED)
    found = replicas_of(
        ring, kind="NetworkTopologyStrategy", **{dc: wanted for dc, (_, _, wanted) in sizes.items()}
    )
    for token in ("123456", "200000", "000402", "ffffff", "400200"):
        replicas = found.find(bytes.fromhex(token))
        assert len(set(replicas)) == len(replicas) == 14
        racks = {dc: len({each.rack for each in replicas if each.data_centre == dc}) for dc in sizes}
        assert racks == {"0": 2, "1": 4, "2": 6}
