"""Pools of nodes with shards: which connections there are, and how they were dialled."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Literal
from uuid import uuid4

import pytest

from tests.scylla.shards import SELECT, Scylla, Shards, check, connections_of, links, pool_of, shards_of
from triocql import errors
from triocql.abc import Address
from triocql.cluster.ways import local_ports
from triocql.metadata.events import DialFailed
from triocql.observability.logs import once_a_minute


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


# --- By the shard-aware port ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 4, 12])
def test_a_pool_has_a_connection_for_each_shard_after_one_dial_more_than_that_at_most(
    shards: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one tells of the shards, and is one of them."""
    world = Shards(scylla=Scylla(shards=shards))
    with world.session() as session:
        assert shards_of(pool_of(session)) == [1] * shards
        dials = world.dials()
        assert len(dials) == shards
        assert [each.shard_aware for each in dials] == [False] + [True] * (shards - 1)
        for each in dials[1:]:
            assert each.shard == each.peer_port % shards
            assert 49_152 <= each.peer_port <= 65_535
        assert session.metadata.nodes[0].shard_count == shards
    assert warnings_of(caplog) == []


def test_several_connections_a_shard() -> None:
    world = Shards(scylla=Scylla(shards=3))
    with world.session(connections_per_shard=2, shard_aware_port_range=(50_000, 50_017)) as session:
        assert shards_of(pool_of(session)) == [2, 2, 2]
        ports = [each.peer_port for each in world.dials() if each.shard_aware]
        assert len({*ports}) == 5
        assert all(50_000 <= each <= 50_017 for each in ports)


def test_a_session_is_there_once_each_node_has_one_connection() -> None:
    world = Shards(2, scylla=Scylla(shards=64))
    session = world.run(world.open())
    assert all(1 <= sum(shards_of(pool_of(session, node))) < 64 for node in range(2))
    world.reactor.advance(1)
    assert all(shards_of(pool_of(session, node)) == [1] * 64 for node in range(2))
    world.run(session.aclose())


def test_local_ports_of_others_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """16 ports are taken of those that might be used, for each shard."""
    world = Shards(scylla=Scylla(shards=2))
    world.reactor.network.taken |= {50_000 + number for number in range(32)}
    with world.session(shard_aware_port_range=(50_000, 50_035)) as session:
        assert shards_of(pool_of(session)) == [1, 1]
        assert [each.shard_aware for each in world.dials()] == [False, True]
    assert warnings_of(caplog) == []


def test_without_a_local_port_the_node_chooses(caplog: pytest.LogCaptureFixture) -> None:
    world = Shards(scylla=Scylla(shards=4))
    world.reactor.network.taken |= set(range(49_152, 65_536))
    with world.session() as session:
        assert shards_of(pool_of(session)) == [1] * 4
        assert not any(each.shard_aware for each in world.dials())
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    ("shard", "shard_count", "first", "count"),
    [(5, 12, 49_157, 1365), (255, 256, 49_407, 64), (999, 1000, 49_999, 16), (30_000, 40_000, 0, 0)],
)
def test_local_ports(shard: int, shard_count: int, first: int, count: int) -> None:
    found = {port for _ in range(2000) for port in local_ports(shard, shard_count, 49_152, 65_535)}
    expected = range(first, 65_536, shard_count) if count else range(0)
    assert len(expected) == count
    assert found <= set(expected)
    assert len(found) >= 0.9 * count  # the last one is among them now and then
    for _ in range(20):
        ports = local_ports(shard, shard_count, 49_152, 65_535)
        assert len(ports) == len({*ports}) == min(32, count)


def test_no_shards_if_they_are_not_wanted() -> None:
    world = Shards(scylla=Scylla(shards=4))
    with world.session(shard_awareness=False) as session:
        pool = pool_of(session)
        assert (pool.sharder, shards_of(pool), session.metadata.nodes[0].shard_count) == (None, [2], None)


def test_a_shard_aware_port_given_as_the_contact_point() -> None:
    """Pitfall: shards are told of there, too."""
    world = Shards(scylla=Scylla(shards=6))
    with world.session(10, contact_points=[Address(world.node.address.host, 19_042)]) as session:
        assert shards_of(pool_of(session)) == [1] * 6
        assert {each.port for each in world.dials()} == {19_042}


def test_more_shards_than_there_can_be_connections_are_none(caplog: pytest.LogCaptureFixture) -> None:
    world = Shards(scylla=Scylla(shards=40_000))
    with world.session() as session:
        assert (pool_of(session).sharder, len(links(world.node))) == (None, 2)
    (warning,) = warnings_of(caplog)
    assert "40,000 shards, more than the 1,024" in warning


def test_metrics_and_health_tell_of_shards() -> None:
    world = Shards(2, scylla=[Scylla(shards=4), None])
    with world.session(5) as session:
        known = {node.shard_count: node for node in session.metadata.nodes}
        figures = {each.node: each for each in session.metrics.nodes}
        shards = figures[known[4]].shards
        assert [(each.number, each.connections, each.in_flight) for each in shards] == [
            (number, 1, 0) for number in range(4)
        ]
        assert figures[known[None]].shards == ()
        health = {each.node: each.connections for each in session.health().nodes}
        assert (health[known[4]], health[known[None]]) == (4, 2)


# --- Where that does not serve -------------------------------------------------------------------------------


def test_behind_nat_the_node_chooses_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Two dials in a row that lead elsewhere are enough; one warning, and one try after five minutes."""
    world = Shards(scylla=Scylla(shards=8, nat=True))
    with world.session() as session:
        assert shards_of(pool_of(session)) == [1] * 8
        by_port = [each for each in world.dials() if each.shard_aware]
        assert len(by_port) == 2
        (warning,) = warnings_of(caplog)
        assert "behind NAT" in warning
        assert "shard_aware_port=False" in warning
        before = len(world.dials())
        world.reactor.advance(290)
        links(world.node, 3)[0].drop("reset")
        world.reactor.advance(5)
        assert shards_of(pool_of(session)) == [1] * 8
        assert [each.shard_aware for each in world.dials()[before:]] == [False] * (
            len(world.dials()) - before
        )
        before = len(world.dials())
        once_a_minute.forget()
        world.reactor.advance(10)
        links(world.node, 3)[0].drop("reset")
        world.reactor.advance(5)
        assert [each.shard_aware for each in world.dials()[before:]].count(True) == 1
        assert shards_of(pool_of(session)) == [1] * 8
        assert sum("behind NAT" in each for each in warnings_of(caplog)) == 2


def test_a_connection_that_a_server_misplaces_is_no_reason(caplog: pytest.LogCaptureFixture) -> None:
    world = Shards(scylla=Scylla(shards=8, misplace=3))
    with world.session() as session:
        assert shards_of(pool_of(session)) == [1] * 8
        assert [each.shard_aware for each in world.dials()].count(False) == 1
        assert pool_of(session).spare == []
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("way", ["refuse", "black_hole", "tls"])
def test_a_shard_aware_port_that_does_not_serve(
    way: Literal["refuse", "black_hole", "tls"], caplog: pytest.LogCaptureFixture
) -> None:
    """Within the connect timeout the shards have their connections by the usual port."""
    world = Shards(scylla=Scylla(shards=4, shard_port=way))
    with world.session(0) as session:
        told = world.listen(session)
        world.reactor.advance(4.9)
        assert way != "black_hole" or [type(each) for each in told].count(DialFailed) == 1
        assert shards_of(pool_of(session)) == [1] * 4
        (warning,) = warnings_of(caplog)
        assert "cannot be used, while the node can" in warning
        assert pool_of(session).last_failure is None
        assert session.metrics.nodes[0].failed_dials == 0


def test_a_port_that_never_connects() -> None:
    """On the way there."""
    world = Shards(scylla=Scylla(shards=4))
    address = Address(world.node.address.host, world.node.shard_aware_port or 0)
    world.reactor.network.listeners[address].black_hole = True
    with world.session(4.9) as session:
        assert shards_of(pool_of(session)) == [1] * 4


def test_no_shard_aware_port() -> None:
    for options, scylla in (
        ({"shard_aware_port": False}, Scylla(shards=6)),
        ({}, Scylla(shards=6, shard_aware=False)),
    ):
        world = Shards(scylla=scylla)
        with world.session(**options) as session:
            assert shards_of(pool_of(session)) == [1] * 6
            assert not any(each.shard_aware for each in world.dials())
            assert pool_of(session).spare == []


# --- Steering the node's choice ------------------------------------------------------------------------------


def test_shards_that_others_use_much() -> None:
    """By the shard-aware port all shards are covered, whoever else is there."""
    world = Shards(scylla=Scylla(shards=4, load={0: 40}))
    with world.session() as session:
        assert shards_of(pool_of(session)) == [1] * 4
        assert len(links(world.node)) == 4


def test_a_few_connections_of_others_are_steered_around() -> None:
    """Where the node chooses: as many spare connections as it takes, within the bound."""
    world = Shards(scylla=Scylla(shards=4, load={0: 3}))
    with world.session(shard_aware_port=False) as session:
        assert shards_of(pool_of(session)) == [1] * 4
        assert pool_of(session).spare == []
        assert len(links(world.node)) == 4
        assert len(world.dials()) > 4


def test_dialling_in_vain_ends_and_is_tried_again_at_leisure() -> None:
    """Where it cannot be: at most twice as many spare connections as there are shards; then a pause."""
    world = Shards(scylla=Scylla(shards=4, load={0: 10_000}))
    most = 0
    with world.session(0, shard_aware_port=False) as session:
        for _ in range(400):
            world.reactor.advance(0.005)
            check(session)
            most = max(most, len(links(world.node)))
        assert shards_of(pool_of(session)) == [0, 1, 1, 1]
        assert most <= 3 * 4
        world.reactor.advance(600)
        # Three rounds, then one after each pause: 1, 2, 4, ... 60 seconds.
        assert len(world.dials()) <= 4 + 3 * 4 + 16 * 4
        world.read(session, *range(20))
        assert world.node.scylla is not None
        world.node.scylla.load = {}
        world.reactor.advance(61)
        assert shards_of(pool_of(session)) == [1] * 4
        assert pool_of(session).spare == []


def test_what_one_round_does_not_reach_several_do() -> None:
    """Spare connections are kept in the pauses between rounds: a shard is reached that is further ahead than one."""
    world = Shards(scylla=Scylla(shards=4, load={0: 10_000}))
    with world.session(120, shard_aware_port=False) as session:
        assert shards_of(pool_of(session)) == [0, 1, 1, 1]
        assert world.node.scylla is not None
        world.node.scylla.load = {0: 3}
        before = len(world.dials())
        world.reactor.advance(240)
        assert shards_of(pool_of(session)) == [1] * 4
        assert pool_of(session).spare == []
        assert len(world.dials()) - before <= 4 * 4
        assert len(links(world.node)) == 4


def test_nothing_but_a_lost_connection_shortens_the_pause_between_rounds() -> None:
    """Neither requests that wait for another node, nor what events say: the node has connections, and serves."""
    world = Shards(2, scylla=Scylla(shards=4, load={0: 10_000}), reconnection_maximum=60.0)
    with world.session(200, shard_aware_port=False) as session:
        node, other = world.server.nodes
        other.stop()
        down = next(each for each in session.metadata.nodes if each.host_id == other.host_id)
        before = len(node.accepted)

        async def ask() -> None:
            for _ in range(60):
                world.server.announce("STATUS_CHANGE", "UP", node)
                with suppress(errors.NoNodeAvailable, errors.RequestTimeout):
                    await session.execute(SELECT, [1], node=down, timeout=0.5)
                await world.reactor.sleep(1)

        world.run(ask())
        assert len(node.accepted) - before <= 5 * 4
        other.start()


def test_behind_nat_chance_reaches_a_shard_to_which_the_node_gives_nothing() -> None:
    """Its shard-aware port leads anywhere then; as long as the node gives what is missing, it is left alone."""
    world = Shards(scylla=Scylla(shards=4, nat=True, load={0: 10_000}))
    with world.session(600) as session:
        assert shards_of(pool_of(session)) == [1] * 4
        assert pool_of(session).spare == []
        assert len(links(world.node)) == 4
        before = len(world.dials())
        world.reactor.advance(600)
        assert len(world.dials()) == before


def test_a_network_that_leads_to_one_shard_only_is_no_storm() -> None:
    """By chance, too; the node's own choice is asked for all the while."""
    world = Shards(scylla=Scylla(shards=4, nat=True, load={0: 10_000}))
    world.node._occupancy.chosen = lambda port, shards, misplace: 1  # type: ignore[method-assign]
    with world.session(600) as session:
        assert shards_of(pool_of(session)) == [0, 1, 1, 1]
        assert len(world.dials()) <= 4 + 3 * 4 + 16 * 4
        assert world.node.scylla is not None
        world.node.scylla.load = {}
        world.reactor.advance(121)  # one round may be the one try of the port
        assert shards_of(pool_of(session)) == [1] * 4


@pytest.mark.parametrize("port", ["open", "none"])
def test_a_node_that_lies_about_its_shards_is_no_storm(port: str) -> None:
    """It says that there are 1,024, and that each connection is to the first one."""
    said = {"SCYLLA_NR_SHARDS": ["1024"], "SCYLLA_SHARD": ["0"]}
    world = Shards(scylla=Scylla(shards=1, shard_aware=port == "open", supported=said))
    with world.session(15) as session:
        assert len(world.dials()) <= 2 * 32 + 4 * 32 + 4
        world.reactor.advance(120)
        assert len(world.dials()) <= 2 * 32 + 8 * 32 + 4
        world.read(session, *range(20))


def test_connections_that_do_not_last_are_no_storm() -> None:
    """However many shards there are: each is replaced, at the pace that is allowed."""
    world = Shards(scylla=Scylla(shards=128))
    with world.session(2.1) as session:
        for _ in range(5):
            for link in links(world.node):
                link.drop("reset")
            world.reactor.advance(2.1)
        assert 128 + 32 * 12 < len(world.dials()) <= 128 + 64 + 32 * 12.6 + 2
        world.reactor.advance(5)
        assert shards_of(pool_of(session)) == [1] * 128


# --- What changes --------------------------------------------------------------------------------------------


def test_a_lost_connection_is_dialled_once(caplog: pytest.LogCaptureFixture) -> None:
    """Meanwhile the requests of its shard go to the others."""
    world = Shards(scylla=Scylla(shards=4))
    with world.session(5) as session:
        before = len(world.dials())
        links(world.node, 2)[0].drop("reset")
        while shards_of(pool_of(session))[2]:
            world.reactor._run_ready()
        world.read(session, *range(50))
        world.reactor.advance(5)
        assert shards_of(pool_of(session)) == [1] * 4
        (dial,) = world.dials()[before:]
        assert (dial.shard, dial.shard_aware) == (2, True)


def test_other_shards_after_a_restart() -> None:
    """At rest: no connection to a shard that there is not; the other way round, too; and none at all."""
    world = Shards(scylla=Scylla(shards=7))
    with world.session(5) as session:
        for shards in (3, 12, 1):
            world.node.reshard(shards)
            world.reactor.advance(10)
            assert shards_of(pool_of(session)) == [1] * shards
            assert session.metadata.nodes[0].shard_count == shards
            check(session)
            world.read(session, *range(20))


def test_shards_without_a_restart() -> None:
    """A connection that tells of others has all the old ones closed, once what is on them has ended."""
    world = Shards(scylla=Scylla(shards=3))
    with world.session(5) as session:
        assert world.node.scylla is not None
        world.node.scylla.ignore_msb = 5
        links(world.node, 1)[0].drop("reset")
        world.reactor.advance(3)
        pool = pool_of(session)
        assert pool.sharder == (3, 5)
        assert shards_of(pool) == [1] * 3
        assert len(links(world.node)) == 3


def test_shard_information_that_is_gone() -> None:
    """Pitfall: a node that has none any more has a plain pool."""
    world = Shards(scylla=Scylla(shards=5))
    with world.session(5) as session:
        world.node.stop()
        assert world.node.scylla is not None
        world.node.scylla.supported = {f"SCYLLA_{each}": None for each in ("SHARD", "NR_SHARDS")}
        world.node.start()
        world.reactor.advance(10)
        pool = pool_of(session)
        assert (pool.sharder, shards_of(pool), session.metadata.nodes[0].shard_count) == (None, [2], None)
        world.read(session, *range(20))


def test_a_session_that_goes_from_keyspace_to_keyspace_fills_its_shards() -> None:
    """What is made meanwhile follows, in place of being made anew until there is peace."""
    names = ["a", "b", "c"]
    world = Shards(scylla=Scylla(shards=16))
    for name in names:
        world.server.schema.execute(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
    for listener in world.reactor.network.listeners.values():
        listener.latency = 0.001
    with world.session(0) as session:

        async def wander() -> None:
            for number in range(100):
                await session.execute(f"USE {names[number % 3]}")

        world.run(wander())
        assert shards_of(pool_of(session)) == [1] * 16
        assert len(world.dials()) == 16
        world.reactor.advance(1)
        assert {each.keyspace for each in connections_of(session)} == {"a"}
        assert {each.keyspace for each in links(world.node)} == {"a"}


# --- Which node it is ----------------------------------------------------------------------------------------


def test_a_connection_that_leads_to_another_node_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed and told of, and nothing is asked of it, by whichever port it came."""
    world = Shards(2, scylla=Scylla(shards=4))
    with world.session(5) as session:
        told = world.listen(session)
        assert world.node.scylla is not None
        world.node.scylla.supported = {"SCYLLA_HOST_ID": [str(uuid4())]}
        links(world.node, 2)[0].drop("reset")
        before = len(world.node.accepted)
        world.reactor.advance(2)
        failures = [str(event.error) for event in told if isinstance(event, DialFailed)]
        assert any("it is another node: its host_id is" in failure for failure in failures)
        assert shards_of(pool_of(session)) == [1, 1, 0, 1]
        closed = {each.number for each in world.node.accepted[before:]}
        assert closed
        assert not closed & {each.number for each in world.node.connections}
        world.read(session, *range(50))
        assert not closed & {entry.connection for entry in world.executed}
        world.node.scylla.supported = {}
        world.reactor.advance(400)
        assert shards_of(pool_of(session)) == [1] * 4
