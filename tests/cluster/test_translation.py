"""Addresses that a cluster tells are translated by the user's policy, which can do no harm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.cluster.world import World
from tests.session.loops import LOOPS, Stage, run_on
from triocql import PolicyOptions
from triocql.abc import Address
from triocql.cluster.translation import Translation
from triocql.metadata.node import NodeState
from triocql.metadata.peers import ClusterFacts, NodeFacts
from triocql.policies.addresses import MappedAddresses
from triocql.testing.server import ServerNode
from triocql.testing.simulated import SimulatedReactor

A, B = Address("10.0.0.1", 9042), Address("10.0.0.2", 9042)


def facts(*told: Address) -> ClusterFacts:
    local, *peers = [NodeFacts(UUID(int=each.port), each, "dc1", "r1", "5.0", (), None) for each in told]
    return ClusterFacts("test", "", local, tuple(peers), ())


class Policy:
    """Translates by a function; counts what it was asked."""

    def __init__(self, answer: Callable[[Address], Any], *, blocks: bool = False) -> None:
        self.answer = answer
        self.blocks = blocks
        self.asked: list[tuple[Address, UUID | None, str | None, str | None]] = []

    def translate(
        self, address: Address, *, host_id: UUID | None, data_centre: str | None, rack: str | None
    ) -> Address:
        self.asked.append((address, host_id, data_centre, rack))
        answer: Address = self.answer(address)
        return answer


def moved(address: Address) -> Address:
    return Address(f"to-{address.host}", address.port)


def failing(error: BaseException) -> Callable[[Address], Address]:
    def answer(_address: Address) -> Address:
        raise error

    return answer


def learn(reactor: SimulatedReactor, translation: Translation, *told: Address) -> None:
    reactor.run(lambda: translation.prepare(facts(*told)))


def test_without_a_policy() -> None:
    reactor = SimulatedReactor()
    translation = Translation(reactor, None, 5.0)
    learn(reactor, translation, A)
    assert translation(A) is A


def test_a_policy_is_told_which_node_it_is_of() -> None:
    reactor = SimulatedReactor()
    policy = Policy(moved)
    translation = Translation(reactor, policy, 5.0)
    learn(reactor, translation, A, B)
    assert (translation(A).host, translation(B).host) == ("to-10.0.0.1", "to-10.0.0.2")
    assert policy.asked[0] == (A, UUID(int=9042), "dc1", "r1")
    learn(reactor, translation, A)
    assert len(policy.asked) == 2
    assert (translation(A), translation(B)) == (moved(A), B)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize(
    "answer",
    [failing(LookupError("mine")), failing(SystemExit("mine")), lambda _: "10.0.0.9", lambda _: None],
    ids=["raises", "exits", "text", "nothing"],
)
def test_what_it_fails_to_say_is_dialled_as_told_and_logged_once(
    answer: Callable[[Address], Any], blocks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reactor = SimulatedReactor()
    policy = Policy(answer, blocks=blocks)
    translation = Translation(reactor, policy, 5.0)
    for _ in range(3):
        learn(reactor, translation, A)
    assert translation(A) is A
    assert len(caplog.records) == 1
    policy.answer = moved
    learn(reactor, translation, A)
    assert translation(A) == moved(A)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_policy_that_blocks_has_a_thread(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            threads = []

            def answer(address: Address) -> Address:
                threads.append(threading.current_thread())
                return moved(address)

            policy = Policy(answer, blocks=True)
            translation = Translation(session._context.reactor, policy, 5.0)
            await translation.prepare(facts(A, B))
            assert translation(B) == moved(B)
            if "simulated" not in loop:
                assert threading.current_thread() not in threads

    run_on(loop, main)


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_one_that_takes_too_long_is_not_waited_for(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            policy = Policy(lambda _: over.wait(20), blocks=True)
            translation = Translation(session._context.reactor, policy, 0.05)
            await translation.prepare(facts(A))
            assert translation(A) is A
            over.set()

    run_on(loop, main)
    assert "took more than 0.05 s" in caplog.text


def test_nodes_are_dialled_where_the_policy_says() -> None:
    elsewhere = {f"192.0.2.{number}": f"127.0.0.{number}" for number in (1, 2, 3)}
    world = World(policies=PolicyOptions(addresses=MappedAddresses(elsewhere)))
    told = {there: here for here, there in elsewhere.items()}

    def edit(_node: ServerNode, rows: list[Any]) -> list[Any]:
        return [{**row, "native_address": told[row["native_address"]]} for row in rows]

    world.server.edit("system.peers_v2", edit)
    world.points = world.points[:1]
    with world.session() as session:
        nodes = session.metadata.nodes
        assert sorted(node.address.host for node in nodes) == sorted(elsewhere.values())
        assert {node.told.host for node in nodes[1:] if node.told} == {"192.0.2.2", "192.0.2.3"}
        assert {node.state for node in nodes} == {NodeState.UP}
