"""Very many clients at once, behind NAT: none of them dials without end."""

from __future__ import annotations

from collections import Counter

import pytest

import triocql
from triocql import Session
from triocql.testing.server import CqlServer, Scylla
from triocql.testing.simulated import SimulatedReactor


class Crowd:
    """Clients of one node behind NAT, all of them at once, on virtual time."""

    def __init__(self, clients: int, shards: int = 4) -> None:
        self.reactor = SimulatedReactor()
        server = CqlServer(1, scylla=Scylla(shards=shards, nat=True)).run_on(self.reactor)
        (self.node,) = server.nodes
        self.clients = clients
        self.shards = shards
        self.sessions: list[Session] = []

    async def open(self, number: int) -> None:
        connecting = triocql.connect(
            self.node.contact_point,
            reactor=self.reactor,
            client_id=str(number),
            protocol_version=4,
            schema=False,
            heartbeat_interval=3600.0,
            heartbeat_timeout=3600.0,
            frame_timeout=3600.0,
        )
        self.sessions.append(await connecting.__aenter__())

    async def settle(self) -> int:
        """Give them ten minutes; return how many connections there were.

        Then each client has one to each shard and one for control, and dials no more.
        """
        before = len(self.node.accepted)
        await self.reactor.sleep(600)
        opened = len(self.node.accepted)
        held = Counter(connection.options["CLIENT_ID"] for connection in self.node.connections)
        assert len(held) == self.clients
        assert not any(
            pool.missing for session in self.sessions for pool in session._context.executor.router.pools
        )
        assert set(held.values()) == {self.shards + 1}
        await self.reactor.sleep(600)
        assert len(self.node.accepted) == opened
        return opened - before


async def play(crowd: Crowd, *, restarts: int = 0) -> None:
    """Have them all come at once, and the node start again: on an average each opens three times as many connections
    as there are shards at most, and one for control, each time.
    """
    for number in range(crowd.clients):
        crowd.reactor.spawn(crowd.open, number)
    most = crowd.clients * (3 * crowd.shards + 1)
    assert await crowd.settle() <= most
    for _ in range(restarts):
        crowd.node.restart()
        assert await crowd.settle() <= most
    for session in crowd.sessions:
        await session.aclose()


def test_clients_behind_nat_settle() -> None:
    """Also when the node restarts."""
    crowd = Crowd(30)
    crowd.reactor.run(lambda: play(crowd, restarts=1))


@pytest.mark.long
def test_a_thousand_clients_behind_nat_settle() -> None:
    crowd = Crowd(1_000, shards=2)
    crowd.reactor.run(lambda: play(crowd))


@pytest.mark.long
def test_hundreds_of_clients_behind_nat_settle_when_the_node_restarts() -> None:
    crowd = Crowd(200)
    crowd.reactor.run(lambda: play(crowd, restarts=1))
