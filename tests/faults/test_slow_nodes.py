"""Nodes that hang or are too busy, on every loop: with a bound for attempts, or copies, nobody waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.invariants import executions, run
from tests.faults.scene import EVERYWHERE, Scene
from triocql.config.policies import PolicyOptions
from triocql.policies import ConstantSpeculation, ExponentialBackoffRetry
from triocql.testing.server import ErrorCode, error

BOUND: dict[str, Any] = {"attempt_timeout": 2.0}
COPIES: dict[str, Any] = {"policies": PolicyOptions(speculation=ConstantSpeculation(0.02))}


@EVERYWHERE
@pytest.mark.parametrize(
    ("options", "longest"),
    [(BOUND, 2.1), (COPIES, 0.03), (BOUND | COPIES, 0.03)],
    ids=["bound", "copies", "both"],
)
def test_nobody_waits_for_a_node_that_is_paused(loop: str, options: dict[str, Any], longest: float) -> None:
    async def row(scene: Scene) -> None:
        scene.server.nodes[0].pause()
        calls = [scene.read(number) for number in range(100)]
        calls += [scene.write(number, idempotent=True) for number in range(100, 200)]
        began = scene.now()
        for call in calls:
            await call.wait()
            assert call.succeeded
        if scene.virtual:
            assert scene.now() - began <= longest
        scene.server.nodes[0].resume()

    run(loop, row, nodes=3, **options)


@EVERYWHERE
def test_what_is_not_idempotent_is_executed_once_at_most(loop: str) -> None:
    """Half of the writes may be executed twice; the others have no copies, and no second attempt."""

    async def row(scene: Scene) -> None:
        for call in [
            scene.write(number) for number in range(1000, 1128)
        ]:  # which has it prepared on both nodes
            await call.wait()
        scene.server.nodes[0].pause()
        twice = [scene.write(number, idempotent=True) for number in range(0, 100, 2)]
        calls = [*twice, *(scene.write(number, 0.5) for number in range(1, 100, 2))]
        for call in calls:
            await call.wait()
            assert call.succeeded or not call.idempotent
        scene.server.nodes[0].resume()
        await scene.until(lambda: scene.session.stats().orphans == 0)
        executed = executions(scene.server)
        assert all(executed[call.token] == 1 for call in calls if not call.idempotent)

    run(loop, row, nodes=2, **BOUND, **COPIES)


@pytest.mark.parametrize("code", [ErrorCode.OVERLOADED, ErrorCode.IS_BOOTSTRAPPING])
@pytest.mark.parametrize("policy", [None, ExponentialBackoffRetry()])
def test_a_node_that_is_too_busy_for_half_a_minute(code: ErrorCode, policy: Any) -> None:
    """The others are used, and it is asked no more often than before."""

    async def row(scene: Scene) -> None:
        scene.server.when(scene.select.text, node=0).then(error(code))
        for number in range(300):
            call = await scene.read(number, timeout=1.0).wait()
            assert call.succeeded
            await scene.sleep(0.1)
        assert len(scene.server.log) <= 600

    options: dict[str, Any] = {} if policy is None else {"policies": PolicyOptions(retry=policy)}
    run("simulated", row, nodes=3, **options)
