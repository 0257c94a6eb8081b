"""What is read when a session is opened: from which contact points, by when, and what is told of the others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.peer import Asked
from tests.engine.world import World
from triocql import errors
from triocql.abc import Address
from triocql.errors import ConnectError, ConnectTimeout
from triocql.protocol.constants import Opcode

LOGGER = "triocql.cluster.cluster"


def opened(world: World, *points: Address) -> Any:
    """Open a session by these contact points."""
    world.addresses = list(points) or world.addresses

    async def connect() -> Any:
        return await world.connect().__aenter__()

    return world.call(connect)


def silent_to_readers(asked: Asked) -> bool:
    """Answer the handshake only."""
    return asked.opcode in (Opcode.QUERY, Opcode.REGISTER)


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_connect_timeout_is_for_reading_the_cluster_too(nodes: int) -> None:
    world = World(count=nodes, connect_timeout=5.0)
    for node in world.nodes:
        node.script = silent_to_readers
    with pytest.raises(ConnectTimeout) as caught:
        opened(world)
    assert world.reactor.now() == pytest.approx(5.0, abs=0.1)
    assert len(caught.value.attempts) == (0 if nodes == 1 else nodes)
    world.assert_closed()


def test_a_contact_point_that_tells_nothing_leaves_time_to_the_next() -> None:
    world = World(count=2, connect_timeout=5.0)
    world.node.script = silent_to_readers
    session = opened(world)
    assert world.reactor.now() == pytest.approx(2.5, abs=0.1)
    assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
    world.call(session.aclose)


def test_the_error_of_contact_points_that_tell_nothing_is_of_their_kind() -> None:
    world = World(count=2)
    for node in world.nodes:
        node.script = lambda asked: asked.opcode == Opcode.REGISTER and asked.error(0x2100, "you may not")
    with pytest.raises(ConnectError, match="no contact point tells") as caught:
        opened(world)
    assert [attempt.decision for attempt in caught.value.attempts] == ["next contact point", "raised"]
    assert not caught.value.is_transient
    assert all(isinstance(attempt.error.__cause__, errors.Unauthorized) for attempt in caught.value.attempts)


def test_a_contact_point_that_is_no_node_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    world = World(count=2)
    stray = Address("10.9.9.9", 9042)
    session = opened(world, world.addresses[0], stray, Address("db.example", 9042))
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert lines == ["contact points that are none of the cluster's nodes are left out: 10.9.9.9:9042"]
    world.call(session.aclose)


@pytest.mark.parametrize("host", ["fd00::1", "/run/cql.sock", "@cql"])
def test_a_contact_point_by_ipv6_or_a_unix_socket(host: str, caplog: pytest.LogCaptureFixture) -> None:
    """The node tells its own address; it keeps the one by which it was reached."""
    world = World()
    point = Address(host, 0 if host[0] in "/@" else 9042)
    world.reactor.listen(point, world.node.accept)
    session = opened(world, point)
    (node,) = session.metadata.nodes
    assert node.address == point
    assert session.stats().connections == 1
    assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
    assert [
        record for record in caplog.records if record.name == LOGGER and record.levelname == "WARNING"
    ] == []
    world.call(session.aclose)
