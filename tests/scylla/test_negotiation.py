"""What is agreed upon with nodes of ScyllaDB when they are connected to, over the network."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import triocql
from triocql.metadata.events import DialFailed
from triocql.testing.server import CqlServer, Scylla
from triocql.testing.server.connection import ServerConnection
from triocql.testing.simulated import SimulatedReactor

SCHEMA = """
CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE ks.t (k int PRIMARY KEY, v text)
"""
SELECT = "SELECT * FROM ks.t WHERE k = ?"

Play = Callable[[CqlServer, triocql.Session, SimulatedReactor], Awaitable[None]]


def run(
    play: Play, *nodes: Any, prepare: Callable[[CqlServer], object] = lambda server: None, **options: Any
) -> None:
    """Play something with a session of these nodes, which have a table with rows."""
    reactor = SimulatedReactor()
    server = CqlServer(len(nodes), scylla=list(nodes), schema=SCHEMA)
    server.serve_table("ks.t", [[k, f"v{k}"] for k in range(20)])
    prepare(server)
    server.run_on(reactor)
    usual: dict[str, Any] = {"schema": False, "connections_local": 1, "reconnection_jitter": 0.0}

    async def main() -> None:
        async with triocql.connect(server.contact_points, reactor=reactor, **{**usual, **options}) as session:
            await reactor.sleep(1)
            await play(server, session, reactor)

    reactor.run(main)
    assert not server.log.malformed


def of_requests(server: CqlServer) -> list[ServerConnection]:
    return [link for link in server.connections if not link.events]


def test_one_dial_is_wasted_on_the_version() -> None:
    """The whole session knows it then."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        taken = sum(len(node.accepted) for node in server.nodes)
        assert taken == len(server.connections) + 1
        assert {link.version for link in server.connections} == {4}
        of_requests(server)[0].drop("reset")
        await reactor.sleep(5)
        assert sum(len(node.accepted) for node in server.nodes) == taken + 1

    run(play, *(Scylla(shards=1) for _ in range(3)))


def test_each_connection_agrees_on_what_its_node_has() -> None:
    """In a cluster of all kinds."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        agreed = {server.nodes.index(node): node.connections[0].extensions for node in server.nodes}
        every = {
            "SCYLLA_RATE_LIMIT_ERROR",
            "SCYLLA_LWT_ADD_METADATA_MARK",
            "SCYLLA_USE_METADATA_ID",
            "TABLETS_ROUTING_V1",
        }
        assert agreed == {
            0: every,
            1: every - {"SCYLLA_USE_METADATA_ID", "TABLETS_ROUTING_V1"},
            2: every - {"SCYLLA_LWT_ADD_METADATA_MARK", "SCYLLA_RATE_LIMIT_ERROR"},
            3: set(),
        }

    run(
        play,
        Scylla(shards=1),
        Scylla(shards=1, metadata_ids=False, tablets=()),
        Scylla(shards=1, lwt_mask=None, rate_limit_code=None),
        None,
        protocol_version=4,
    )


@pytest.mark.parametrize(
    "supported",
    [
        {"SCYLLA_NR_SHARDS": None},
        {"SCYLLA_SHARD": ["x"]},
        {"SCYLLA_SHARD": ["4"]},
        {"SCYLLA_NR_SHARDS": ["0"]},
        {"SCYLLA_NR_SHARDS": []},
        {"SCYLLA_SHARDING_IGNORE_MSB": ["64"]},
        {"SCYLLA_SHARDING_ALGORITHM": ["another"]},
        {"SCYLLA_PARTITIONER": None},
        {"SCYLLA_LWT_ADD_METADATA_MARK": ["x"]},
        {"SCYLLA_RATE_LIMIT_ERROR": [""]},
        {"SCYLLA_HOST_ID": ["x"]},
    ],
    ids=str,
)
def test_what_means_nothing_is_left_off_and_told_once(
    supported: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """2: the session works, and the log says it once, however many connections there are."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        for k in range(20):
            assert (await session.execute(SELECT, [k])).one() == (k, f"v{k}")
        if any(name in str(supported) for name in ("SHARD", "PARTITIONER")):
            assert len(of_requests(server)) == 2

    with caplog.at_level(logging.WARNING):
        run(play, *(Scylla(shards=4, supported=dict(supported)) for _ in range(2)))
    told = [record for record in caplog.records if "offers what cannot be used" in record.getMessage()]
    assert len(told) == 1
    assert next(iter(supported)) in told[0].getMessage()


def test_a_connection_that_leads_to_another_node_is_closed_before_anything_is_asked_there() -> None:
    """There is an event, and the node gets no request of users."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        first, second = server.nodes
        assert second.scylla is not None
        async with session.events() as events:
            second.scylla.supported = {"SCYLLA_HOST_ID": [str(first.host_id)]}
            for link in [link for link in server.connections if link.node is second]:
                link.drop("reset")
            while True:
                event = await anext(events)
                if isinstance(event, DialFailed):
                    break
        assert "another node" in str(event.error)
        assert str(first.host_id) in str(event.error)
        server.log.clear()
        for k in range(20):
            assert (await session.execute(SELECT, [k])).one() == (k, f"v{k}")
        assert {entry.node for entry in server.log} == {0}
        second.scylla.supported = {}
        await reactor.sleep(100)
        server.log.clear()
        for k in range(40):
            await session.execute(SELECT, [k % 20])
        assert {entry.node for entry in server.log} == {0, 1}

    run(play, Scylla(shards=1), Scylla(shards=1))


def test_a_node_without_tokens_is_known_and_is_no_replica() -> None:

    def prepare(server: CqlServer) -> None:
        server.nodes[2].tokens = []

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        assert len(session.metadata.nodes) == 3
        for k in range(20):
            assert (await session.execute(SELECT, [k])).one() == (k, f"v{k}")
        select = await session.prepare(SELECT)
        server.log.clear()
        for k in range(20):
            await session.execute(select, [k])
        assert {entry.node for entry in server.log} == {0, 1}

    run(play, *(Scylla(shards=1, tablets=()) for _ in range(3)), prepare=prepare)
