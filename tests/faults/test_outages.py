"""Nodes that restart, go away all at once, read nothing, or are cut off without a word; names that stand for others."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.engine.world import World
from tests.faults.invariants import run
from tests.faults.scene import INSERT, Call, Scene
from triocql import errors
from triocql.engine.connections.pool import Pool

AT_ONCE = 0.01


def pool(scene: Scene, index: int) -> Pool:
    """Return the pool of a node."""
    address = scene.server.nodes[index].contact_point
    (found,) = [each for each in scene.session._context.executor.router.pools if each.name == address]
    return found


def up(scene: Scene, index: int) -> None:
    """Tell the session what the cluster would: that a node is up."""
    scene.session._context.cluster.nodes.up(pool(scene, index).node)


# --- S28 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 5])
def test_s28_a_node_that_restarts_is_dialled_when_it_is_up_and_knows_the_statements(version: int) -> None:
    async def row(scene: Scene) -> None:
        for number in range(64):
            assert (await scene.write(number).wait()).succeeded
        scene.server.nodes[0].stop()
        await scene.sleep(120)
        scene.server.nodes[0].start()
        scene.server.log.clear()
        assert pool(scene, 0).missing
        up(scene, 0)
        await scene.sleep(AT_ONCE)
        assert len(pool(scene, 0).connections) == 1
        calls = [scene.read(number) for number in range(128)]
        for call in calls:
            assert (await call.wait()).succeeded
        there = [entry for entry in scene.server.log if entry.node == 0]
        assert len(there) >= 32
        assert all(entry.executed for entry in there)  # none was answered UNPREPARED
        assert len([each for each in scene.connections if each.node is pool(scene, 0).node]) == 1

    run("simulated", row, nodes=2, server={"versions": (version,)}, reprepare_on_up=True)


# --- S33 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["up events", "no events"])
def test_s33_a_rolling_restart_under_load_costs_no_idempotent_request(told: bool) -> None:
    async def row(scene: Scene) -> None:
        number = 0

        async def load(seconds: float) -> None:
            nonlocal number
            end = scene.now() + seconds
            while scene.now() < end:
                for _ in range(40):
                    number += 1
                    scene.write(number, idempotent=True)
                await scene.sleep(0.25)

        for index, node in enumerate(scene.server.nodes):
            await load(1)
            node.stop()
            await load(8)
            node.start()
            if told:
                up(scene, index)
            began = scene.now()
            while pool(scene, index).missing:
                await load(0.25)
            assert scene.now() - began <= (0.5 if told else 8.5)
        for call in scene.calls:
            await call.wait()
            assert call.succeeded

    run("simulated", row, nodes=3, reprepare_on_up=True)


# --- S34 -----------------------------------------------------------------------------------------------------


async def all_go(scene: Scene) -> None:
    """Have all nodes be away for ten minutes, while somebody asks from time to time."""
    names = {node.contact_point for node in scene.server.nodes}
    for node in scene.server.nodes:
        node.stop()
    for number in range(60):
        call = scene.read(number)
        error = await scene.failed(call, errors.NoNodeAvailable)
        assert call.took <= (AT_ONCE if number else 1.0)  # at first they may just be dialled again
        assert {str(attempt.node) for attempt in error.attempts} == names
        assert not error.maybe_executed
        await scene.sleep(10)
    for node in scene.server.nodes:
        node.start()


def test_s34_after_ten_minutes_the_first_request_finds_the_nodes() -> None:
    async def row(scene: Scene) -> None:
        await all_go(scene)
        assert (await scene.read(1000).wait()).took <= 1.0

    run("simulated", row, nodes=3)


def test_s34_after_ten_minutes_nodes_are_found_without_a_request() -> None:
    async def row(scene: Scene) -> None:
        await all_go(scene)
        began = scene.now()
        await scene.whole()
        assert scene.now() - began <= 60

    run("simulated", row, nodes=3)


# --- S35 -----------------------------------------------------------------------------------------------------


def connecting(world: World, **options: Any) -> Any:
    """Connect to nodes by a name."""
    options = {"connections_local": 1, "reconnection_jitter": 0.0, **options}
    return triocql.connect("db", reactor=world.reactor, **options).__aenter__()


def test_s35_a_name_that_stands_for_nothing_is_named() -> None:
    world = World()
    world.reactor.network.names["db"] = []
    with pytest.raises(errors.ConnectError, match=r"^db:9042, dialling: db stands for no host"):
        world.call(lambda: connecting(world))
    world.assert_closed()


@pytest.mark.parametrize("dead", ["fd00::1", "10.9.9.9"])
def test_s35_another_address_is_tried_while_one_does_not_answer(dead: str) -> None:
    world = World()
    world.reactor.listen(triocql.abc.Address(dead, 9042), world.node.accept).black_hole = True
    world.reactor.network.names["db"] = [dead, "10.0.0.1"]
    session = world.call(lambda: connecting(world))
    assert 0.2 < world.reactor.now() < 0.75  # for each of two connections: one more is the control connection
    assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
    world.call(session.aclose)
    world.assert_closed()


def test_s35_a_name_is_looked_up_again_when_all_is_lost() -> None:
    world = World(count=2)
    names = world.reactor.network.names
    names["db"] = ["10.0.0.1"]
    session = world.call(lambda: connecting(world))
    world.reactor.advance(5)
    names["db"] = ["10.0.0.2"]
    world.listeners[0].refuse = True
    world.listeners[0].accepted[0].reset()
    assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
    assert world.nodes[0].texts() == []
    assert world.nodes[1].texts() == ["SELECT x"]
    world.call(session.aclose)
    world.assert_closed()


# --- S40 -----------------------------------------------------------------------------------------------------


def test_s40_a_node_that_reads_nothing_has_its_share_go_elsewhere() -> None:
    async def row(scene: Scene) -> None:
        scene.server.nodes[0].pause()
        calls = [scene.write(number, timeout=3.0) for number in range(200)]
        await scene.sleep(0.1)
        stuck = [call for call in calls if not call.done]
        assert len(stuck) == 8
        for call in stuck:
            error = await scene.failed(call, errors.RequestTimeout)
            assert error.maybe_executed
        scene.server.nodes[0].resume()
        await scene.sleep(1)
        assert all(call.succeeded for call in calls if call not in stuck)

    run("simulated", row, nodes=3, max_in_flight=8)


def test_s40_when_no_node_reads_the_queue_has_its_bound_and_deadlines_hold_in_it() -> None:
    async def row(scene: Scene) -> None:
        for node in scene.server.nodes:
            node.pause()
        flying = [scene.write(number, timeout=60.0) for number in range(3 * 8)]
        hasty = [scene.write(1000 + number, timeout=2.0) for number in range(10)]
        patient: list[Call] = []
        while not (patient and patient[-1].done):
            patient.append(scene.write(2000 + len(patient), timeout=60.0))
        refused = patient.pop()
        assert isinstance(refused.error, errors.QueueFull)
        router = scene.session._context.executor.router
        assert 4000 <= router.queue.size < 4100
        for call in hasty:
            error = await scene.failed(call, errors.RequestTimeout)
            assert (error.phase, error.maybe_executed) == ("queued", False)
            assert 2.0 <= call.took < 2.25
        assert router.queue.size < 4000
        for node in scene.server.nodes:
            node.resume()
        for call in (*flying, *patient):
            assert (await call.wait()).succeeded
        executed = [entry.values[0] for entry in scene.server.log if entry.text == INSERT and entry.executed]
        assert len(executed) == len(set(executed)) == len(flying) + len(patient)

    run("simulated", row, nodes=3, max_in_flight=8, max_queue_bytes=4000)


# --- S45 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 3])
def test_s45_connections_that_are_cut_off_silently_are_found_although_writes_go_on(nodes: int) -> None:
    async def row(scene: Scene) -> None:
        number = 0

        async def writes(seconds: float) -> list[Call]:
            nonlocal number
            calls = []
            end = scene.now() + seconds
            while scene.now() < end:
                number += 1
                calls.append(scene.write(number, timeout=1.0))
                await scene.sleep(0.5)
            await scene.sleep(1.5)
            return calls

        await writes(10)
        cut = pool(scene, 0).connections[0]
        scene.server.nodes[0].black_hole()
        scene.server.nodes[0].heal()  # new connections get through
        lost = await writes(36)
        assert cut.state.value == "closed"
        failed = [call for call in lost if not call.succeeded]
        assert 0 < len(failed) < len(lost)
        assert all(isinstance(call.error, (errors.RequestTimeout, errors.ConnectionLost)) for call in failed)
        assert all(call.succeeded for call in await writes(10))

    run("simulated", row, nodes=nodes)
