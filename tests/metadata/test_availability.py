"""Which share of the ranges can be served is what one finds by counting the replicas of each."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from random import Random

import pytest

from tests.metadata.clusters import node, replicas_of, ring_of
from triocql.metadata import ReplicaMap, Tablet
from triocql.metadata.availability import Need, covered, likely, share
from triocql.metadata.node import Node
from triocql.metadata.replication import EverywhereStrategy, NetworkTopologyStrategy, strategy_of
from triocql.protocol.constants import Consistency

C = Consistency

CENTRES = ("dc1", "dc2", "dc3")
STRATEGIES = (
    {"kind": "SimpleStrategy", "replication_factor": "3"},
    {"kind": "SimpleStrategy", "replication_factor": "3/1"},
    {"kind": "SimpleStrategy", "replication_factor": "99"},
    {"kind": "NetworkTopologyStrategy", "dc1": "3", "dc2": "2"},
    {"kind": "NetworkTopologyStrategy", "dc1": "3", "dc2": "0", "dc4": "1"},
    {"kind": "EverywhereStrategy"},
)


def cluster(random: Random) -> list[Node]:
    return [
        node(f"n{number}", *(random.randrange(-(2**63), 2**63) for _ in range(8)), dc=random.choice(CENTRES))
        for number in range(12)
    ]


def needed(replicas: ReplicaMap, level: C, here: str) -> dict[str | None, int]:
    """Return how many replicas that are listed have to be there, by data centre, None for all, as servers have it."""
    strategy = replicas.strategy
    by_centre = isinstance(strategy, NetworkTopologyStrategy)
    factors = {"": strategy.factor("")}
    if isinstance(strategy, NetworkTopologyStrategy):
        factors = dict(strategy.data_centres)
    if isinstance(strategy, EverywhereStrategy):
        factors = {"": factors[""]._replace(all=len(replicas.ring.nodes))}

    def quorum(*names: str) -> int:
        some = [factors[name] for name in names if name in factors]
        return sum(each.all for each in some) // 2 + 1 - sum(each.transient for each in some)

    local = quorum(here) if by_centre else quorum("")
    needs: dict[C, dict[str | None, int]] = {
        C.ANY: {},
        C.ONE: {None: 1},
        C.TWO: {None: 2},
        C.THREE: {None: 3},
        C.QUORUM: {None: quorum(*factors)},
        C.SERIAL: {None: quorum(*factors)},
        C.ALL: {None: sum(each.all - each.transient for each in factors.values())},
        C.LOCAL_ONE: {here: 1},
        C.LOCAL_QUORUM: {here: local},
        C.LOCAL_SERIAL: {here: local},
        C.EACH_QUORUM: {name: quorum(name) for name in factors if factors[name].all},
    }
    return {None: quorum("")} if level is C.EACH_QUORUM and not by_centre else needs[level]


def counted(replicas: ReplicaMap, present: set[Node], level: C, here: str) -> Fraction:
    served = 0
    for token in replicas.ring.tokens:
        there = [each for each in replicas.find(token) if each in present]
        served += bool(present) and all(
            sum(centre in (None, each.data_centre) for each in there) >= need
            for centre, need in needed(replicas, level, here).items()
        )
    return Fraction(served, len(replicas.ring.tokens))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", STRATEGIES, ids=str)
def test_it_is_what_counting_gives(options: dict[str, str], seed: int) -> None:
    random = Random(seed)
    nodes = cluster(random)
    replicas = replicas_of(ring_of(nodes), **options)
    for count in range(len(nodes) + 1):
        present = set(random.sample(nodes, count))
        for level in C:
            expected = counted(replicas, present, level, "dc1")
            assert share(replicas, present, level, "dc1") == pytest.approx(float(expected)), (level, count)


@pytest.mark.parametrize("level", list(C))
def test_what_each_node_has_for_itself_needs_any_node(level: C) -> None:
    nodes = cluster(Random(0))
    replicas = replicas_of(ring_of(nodes), kind="LocalStrategy")
    assert share(replicas, set(nodes[:1]), level, "dc1") == 1.0
    assert share(replicas, set(), level, "dc1") == 0.0


def test_a_map_that_cannot_list_all_replicas_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of keyspaces that are everywhere in a large cluster, a map has some replicas only."""
    nodes = [node(f"n{number}", number) for number in range(10)]
    replicas = replicas_of(ring_of(nodes), kind="EverywhereStrategy")
    replicas = ReplicaMap(replicas.ring, replicas.strategy, [0] * 10, 1)
    assert share(replicas, set(nodes[:6]), C.QUORUM, None) == 1.0
    assert share(replicas, set(nodes[:5]), C.QUORUM, None) == 0.0


# --- Tablets ----------------------------------------------------------------------------------------------------------


def test_tablets_are_counted_by_their_tokens() -> None:
    a, b, c = (node(name, dc=dc) for name, dc in (("a", "dc1"), ("b", "dc1"), ("c", "dc2")))
    tablets = [Tablet(0, 10, (a, b), (0, 0)), Tablet(10, 40, (b, c), (0, 0)), Tablet(90, 100, (a, c), (0, 0))]
    assert covered(tablets, {a, b, c}, [Need(2)]) == (50, 50)
    assert covered(tablets, {a, b, c}, [Need(1, "dc2")]) == (50, 40)
    assert covered(tablets, {a, c}, [Need(2)]) == (50, 10)
    assert covered(tablets, {a, c}, [Need(1)]) == (50, 50)
    assert covered(tablets, {b}, [Need(1, "dc1"), Need(1, "dc2")]) == (50, 0)
    assert covered(tablets, set(), ()) == (50, 50)
    assert covered([], {a}, [Need(1)]) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_likely_is_the_share_of_all_ways_to_place_replicas(seed: int) -> None:
    random = Random(seed)
    nodes = [node(f"n{number}", dc=random.choice(CENTRES)) for number in range(random.randrange(1, 8))]
    factors = {name: random.randrange(4) for name in CENTRES}
    strategy = strategy_of({"class": "NetworkTopologyStrategy", **{k: str(v) for k, v in factors.items()}})
    assert isinstance(strategy, NetworkTopologyStrategy)
    present = {each for each in nodes if random.random() < 0.6}
    for need in [Need(random.randrange(5), random.choice((None, *CENTRES))) for _ in range(8)]:
        ways = [
            list(combinations([each for each in nodes if each.data_centre == name], min(factor, size)))
            for name, factor in factors.items()
            if need.data_centre in (None, name)
            for size in [sum(each.data_centre == name for each in nodes)]
        ]
        placed = [{each for part in way for each in part} for way in product(*ways)]
        expected = Fraction(sum(len(way & present) >= need.replicas for way in placed), len(placed))
        assert likely(strategy, nodes, present, [need]) == pytest.approx(float(expected))
