"""The tablets of the test server: their maps, what happens to them, and when clients are told of one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.testserver.scylla import (
    TABLETS_SCHEMA,
    dial,
    execute,
    parsed,
    payload,
    prepare,
    startup,
    statement_id,
)
from tests.testserver.test_shards import VECTORS
from tests.testserver.world import SCHEMA, Client, World
from triocql.testing.server import CqlServer, ErrorCode, Scylla, Tablet, error, rows, tablet_hint, void
from triocql.testing.server.ring import ring_replicas
from triocql.testing.server.scylla.shards import shard_of
from triocql.testing.server.scylla.tablets import MAX_TOKEN, MIN_TOKEN, ServedTablets, block_of, even
from triocql.testing.server.systemtables import parse_selection, select
from triocql.testing.server.tokens import token_of

SELECT = "SELECT name FROM shop.users WHERE id = ?"
V1 = "TABLETS_ROUTING_V1"
KEY = (7).to_bytes(4, "big")
TOKEN = token_of(KEY)


# --- Bytes ---------------------------------------------------------------------------------------------------


def test_hints_are_those_of_other_implementations() -> None:
    one = VECTORS["tablet_v1"]
    replicas = [(UUID(host), shard) for host, shard in one["replicas"]]
    assert tablet_hint(one["first"], one["last"], replicas).hex() == one["hex"]
    for each in VECTORS["tablet_v2_suffix"]:
        version = int(each["version"], 16)
        assert tablet_hint(one["first"], one["last"], replicas, version).hex() == one["hex"] + each["hex"]
        assert [block_of(version, index) for index in range(16)] == list(bytes.fromhex(each["blocks"]))


# --- Maps ----------------------------------------------------------------------------------------------------


def tablets(count: int = 4) -> ServedTablets:
    return ServedTablets(even(count, lambda number: ((number % 3, 0),)), lambda index: UUID(int=index))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 128])
def test_even_tablets_cover_all_tokens(count: int) -> None:
    found = tablets(count)
    assert (found.all[0].first, found.all[-1].last) == (MIN_TOKEN, MAX_TOKEN)
    assert all(left.last == right.first for left, right in zip(found.all, found.all[1:], strict=False))
    for tablet in found.all:
        assert found.find(tablet.last) == found.find(tablet.first + 1) == tablet
    assert found.find(MIN_TOKEN) is None


def test_a_gap_has_no_tablet() -> None:
    found = tablets()
    found.set([Tablet(0, 10, ((0, 0),)), Tablet(20, 30, ((1, 0),))])
    assert [found.find(token) is None for token in (0, 1, 10, 11, 20, 21, 30, 31)] == [
        True, False, False, True, True, False, False, True
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no tablet has the token 15"):
        found.move(15, [(0, 0)])
    for wrong in (
        [Tablet(0, 10, ()), Tablet(5, 20, ())],
        [Tablet(5, 5, ())],
        [Tablet(7, 9, ()), Tablet(1, 2, ())],
    ):
        with pytest.raises(ValueError, match="do not overlap"):
            found.set(wrong)


def test_a_move_is_seen_by_some_first() -> None:
    found = tablets(1)
    before, after = ((0, 0),), ((2, 1), (1, 0))
    found.move(5, after, pending=(0, 3), seen_by=[2])
    assert [tablet and tablet.replicas for tablet in (found.find(5, node) for node in (0, 1, 2))] == [
        before, before, after
    ]  # fmt: skip
    assert found.find(5) == Tablet(MIN_TOKEN, MAX_TOKEN, after, (0, 3))
    found.agree()
    assert found.find(5, 0) == found.find(5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["split", "merge"]), st.integers(MIN_TOKEN + 1, MAX_TOKEN) | st.none())
    )
)
def test_splits_and_merges_lose_no_token(changes: list[tuple[str, int | None]]) -> None:
    found = tablets()
    for change, token in changes:
        if len(found.all) <= 64 or change == "merge":
            last = found.all[-1]
            if change == "merge" and token is not None and found.find(token) == last:
                with pytest.raises(ValueError, match="no tablet after it"):
                    found.merge(token)
            else:
                getattr(found, change)(token)
    assert (found.all[0].first, found.all[-1].last) == (MIN_TOKEN, MAX_TOKEN)
    assert all(left.last == right.first for left, right in zip(found.all, found.all[1:], strict=False))
    assert all(tablet.first < tablet.last and tablet.replicas for tablet in found.all)


def test_a_tablet_of_one_token_is_not_split() -> None:
    found = tablets()
    found.set([Tablet(0, 1, ((0, 0),))])
    with pytest.raises(ValueError, match="one token only"):
        found.split()


def test_the_version_is_that_of_the_replicas_in_their_order() -> None:
    found = tablets(2)
    versions = [found.version(-5)]
    for replicas in ([(1, 0), (0, 0)], [(0, 0), (1, 0)], [(0, 0), (1, 1)]):
        found.move(-5, replicas)
        versions.append(found.version(-5))
    assert len(set(versions)) == 4
    assert all(0 <= version < 1 << 64 for version in versions)
    found.move(-5, [(0, 0)])
    assert found.version(-5) == versions[0]


# --- Of keyspaces --------------------------------------------------------------------------------------------


def test_replicas_are_spread_over_nodes_and_shards() -> None:
    server = CqlServer(
        topology={"dc1": {"a": 3}, "dc2": {"a": 1}}, schema=TABLETS_SCHEMA, scylla=Scylla(shards=4)
    )
    server.schema.execute("ALTER KEYSPACE shop WITH tablets = {'initial': 64}")
    found = server.tablets("shop.users").all
    assert len(found) == 64
    assert {len({node for node, _ in tablet.replicas}) for tablet in found} == {3}
    assert {replica for tablet in found for replica in tablet.replicas} == {
        (n, s) for n in range(4) for s in range(4)
    }


def test_tables_without_tablets_are_told_apart() -> None:
    server = CqlServer(2, schema=SCHEMA, scylla=Scylla())
    for name in ("shop.users", "shop.nothing"):
        with pytest.raises(ValueError, match="no table of a keyspace with tablets"):
            server.tablets(name)
    with pytest.raises(ValueError, match=r"no table 'shop\.nothing'"):
        server.replicas("shop.nothing", 0)
    (owner,) = server.replicas("shop.users", 0)
    first, second = server.nodes
    assert owner == (1 if first.tokens[0] < 0 <= second.tokens[0] else 0, shard_of(0, 2, 12))


def test_another_replication_makes_other_tablets() -> None:
    server = CqlServer(3, schema=TABLETS_SCHEMA, scylla=Scylla())
    before = server.tablets("shop.users")
    before.move(0, [(2, 0)])
    assert server.tablets("shop.users") is before
    server.schema.execute(
        "ALTER KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 3}"
    )
    assert {len(tablet.replicas) for tablet in server.tablets("shop.users").all} == {3}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("tablets = {'enabled': true, 'initial': 16}", (16, None)),
        ("tablets = {'enabled': true} AND consistency = 'global'", (0, "global")),
        ("tablets = {'enabled': false}", None),
        ("durable_writes = true", None),
    ],
)
def test_scylla_keyspaces(properties: str, expected: Any) -> None:
    world = World(
        schema=f"CREATE KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy'}} AND {properties}",
        scylla=Scylla(),
    )
    node = world.server.nodes[0]

    selection = parse_selection("SELECT initial_tablets, consistency FROM system_schema.scylla_keyspaces")
    assert selection is not None
    found = [tuple(row.values()) for row in select(node, selection, [])[1]]
    assert found == ([] if expected is None else [expected])


def test_system_tablets_has_what_a_node_believes() -> None:
    """All tablets of all tables and views that have any."""
    world = World(schema=TABLETS_SCHEMA, nodes=3, scylla=Scylla(shards=2))
    server = world.server
    found = server.tablets("shop.users")
    found.move(TOKEN, [(2, 1)], seen_by=[0])
    table = server.schema.table("shop.users", None)
    assert table is not None
    for index, seen in ((0, True), (1, False)):
        selection = parse_selection(f"SELECT * FROM system.tablets WHERE table_id = {table.id}")
        assert selection is not None
        told = select(server.nodes[index], selection, [])[1]
        assert [row["last_token"] for row in told] == [tablet.last for tablet in found.all]
        assert {row["tablet_count"] for row in told} == {len(told)}
        assert any(row["replicas"] == [(server.nodes[2].host_id, 1)] for row in told) is seen


class RingNode:
    def __init__(self, index: int, data_center: str, rack: str, *tokens: int) -> None:
        self.index, self.data_center, self.rack, self.tokens = index, data_center, rack, list(tokens)


@pytest.mark.parametrize(
    ("replication", "token", "expected"),
    [
        ({"class": "SimpleStrategy", "replication_factor": "2"}, 15, [1, 2]),
        ({"class": "SimpleStrategy", "replication_factor": "2"}, 20, [1, 2]),
        ({"class": "SimpleStrategy", "replication_factor": "2"}, 61, [0, 1]),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "a": "2"}, 5, [0, 2]),
        ({"class": "NetworkTopologyStrategy", "a": "3", "b": "1"}, 5, [0, 1, 2, 3]),
        ({"class": "NetworkTopologyStrategy", "replication_factor": "1"}, 5, [0, 3]),
        ({"class": "EverywhereStrategy"}, 35, [3, 0, 1, 2]),
        ({"class": "LocalStrategy"}, 5, []),
    ],
)
def test_replicas_by_the_ring(replication: dict[str, str], token: int, expected: list[int]) -> None:
    """Nodes 0 and 1 share a rack: the second replica is in the other one."""
    nodes = [
        RingNode(0, "a", "x", 10, 60),
        RingNode(1, "a", "x", 20),
        RingNode(2, "a", "y", 30),
        RingNode(3, "b", "x", 40),
    ]
    assert ring_replicas(nodes, replication, token) == expected


# --- When clients are told -----------------------------------------------------------------------------------


class Asking:
    """A client on one shard of one node of two, with the extension, that has prepared a statement."""

    def __init__(
        self, *, node: int = 0, shard: int = 0, extensions: tuple[str, ...] = (V1,), **options: Any
    ) -> None:
        self.world = World(
            2, schema=options.pop("schema", TABLETS_SCHEMA), scylla=Scylla(shards=4), **options
        )
        self.server = self.world.server
        self.server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
        self.client: Client = dial(self.world, node, shard)
        startup(self.client, *extensions)
        self.id = statement_id(prepare(self.client, SELECT))

    def hint(self) -> bytes | None:
        found: bytes | None = payload(execute(self.client, self.id, KEY)).get("tablets-routing-v1")
        assert self.server.log.everything[-1].hint == found
        return found


@pytest.mark.parametrize(
    ("replicas", "pending", "told"),
    [
        ([(0, 1), (1, 3)], None, False),
        ([(1, 3), (0, 1)], None, False),
        ([(0, 2), (1, 1)], None, True),  # another shard of the node
        ([(1, 1)], None, True),  # another node
        ([(1, 1)], (0, 1), False),  # it is moving here
        ([(1, 1)], (0, 2), True),
    ],
)
def test_a_client_at_a_wrong_place_is_told(replicas: Any, pending: Any, told: bool) -> None:
    asking = Asking(shard=1)
    tablets = asking.server.tablets("shop.users")
    tablet = tablets.move(TOKEN, replicas, pending=pending)
    hint = asking.hint()
    entry = asking.server.log.everything[-1]
    assert (hint is not None, entry.on_target, entry.shard) == (told, (0, 1) in replicas, 1)
    assert tablets.hints == told
    if hint is not None:
        hosts = [(asking.server.nodes[node].host_id, shard) for node, shard in replicas]
        assert parsed(hint) == (tablet.first, tablet.last, hosts, None)


def test_nobody_else_is_told() -> None:
    assert Asking(shard=1, extensions=()).hint() is None
    ring = Asking(shard=1, schema=SCHEMA)
    assert ring.hint() is None
    assert ring.server.log.everything[-1].on_target in (True, False)
    asking = Asking(shard=1)
    tablets = asking.server.tablets("shop.users")
    tablets.move(TOKEN, [(1, 3)])
    asking.server.when(SELECT, times=1).then(error(ErrorCode.OVERLOADED))
    assert not payload(execute(asking.client, asking.id, KEY))
    asking.client.received.clear()
    assert not payload(asking.client.query(SELECT.replace("?", "7"))[0])
    tablets.set([])
    assert asking.hint() is None
    assert (tablets.hints, asking.server.log.everything[-1].on_target) == (0, None)


def test_writes_are_told_too_and_a_payload_of_the_rule_is_the_one_that_goes() -> None:
    asking = Asking(shard=1)
    asking.server.tablets("shop.users").move(TOKEN, [(1, 3)])
    asking.server.when(SELECT, times=1).then(void())
    assert asking.hint()
    asking.server.when(SELECT, times=1).then(void(payload={"tablets-routing-v1": b"raw"}))
    assert payload(execute(asking.client, asking.id, KEY)) == {"tablets-routing-v1": b"raw"}


def test_a_node_tells_what_it_believes() -> None:
    asking = Asking(shard=1)
    tablets = asking.server.tablets("shop.users")
    tablets.move(TOKEN, [(0, 1)])
    tablets.move(TOKEN, [(1, 2)], seen_by=[1])
    assert asking.hint() is None
    assert asking.server.log.everything[-1].on_target is False
    tablets.agree()
    hint = asking.hint()
    assert hint is not None
    assert parsed(hint)[2] == [(asking.server.nodes[1].host_id, 2)]
