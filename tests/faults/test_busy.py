"""Nodes that say that they have too much to do: S44."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import Scene
from triocql import errors
from triocql.config.policies import PolicyOptions
from triocql.policies import ExponentialBackoffRetry
from triocql.testing.server import ErrorCode, Opcode, error

BUSY = [ErrorCode.OVERLOADED, ErrorCode.IS_BOOTSTRAPPING]


@pytest.mark.parametrize("code", BUSY)
@pytest.mark.parametrize("policy", [None, ExponentialBackoffRetry()], ids=["default", "backing off"])
def test_s44_while_one_node_is_busy_the_others_do_its_work(code: ErrorCode, policy: Any) -> None:
    """No request fails, none is sent more than once to the node that is busy, and its connections stay."""

    async def row(scene: Scene) -> None:
        links = scene.links
        rule = scene.server.when(node=0).then(error(code))
        end = scene.now() + 30
        while scene.now() < end:
            scene.write(len(scene.calls), idempotent=True)
            await scene.sleep(0.1)
        await scene.sleep(5)
        for call in scene.calls:
            assert call.succeeded
            assert call.execution is not None
            assert len(call.execution.attempts) <= 1
        values = [tuple(request.values) for request in rule.calls]
        assert 0 < len(values) == len(set(values))
        assert scene.links == links

    options: dict[str, Any] = {} if policy is None else {"policies": PolicyOptions(retry=policy)}
    run("simulated", row, nodes=3, **options)


@pytest.mark.parametrize("code", BUSY)
def test_s44_when_all_nodes_are_busy_none_is_asked_twice(code: ErrorCode) -> None:
    """By default a request ends when each node has refused it once: what is too much is not made more."""

    async def row(scene: Scene) -> None:
        rule = scene.server.when().then(error(code))
        failure = await scene.failed(scene.write(1, idempotent=True), errors.RequestError)
        assert len(rule.calls) == len({request.node.index for request in rule.calls})
        assert [str(each.node) for each in failure.attempts] == [
            str(request.node.address) for request in rule.calls[:-1]
        ]
        assert 1 < len(rule.calls) <= 3

    run("simulated", row, nodes=3)


def test_s44_when_all_nodes_are_busy_a_patient_policy_asks_less_and_less_often() -> None:
    async def row(scene: Scene) -> None:
        await scene.sleep(1)  # until the statements are known on all nodes
        rule = scene.server.when().then(error(ErrorCode.OVERLOADED))
        scene.server.log.clear()
        call = scene.write(1, timeout=60.0, idempotent=True)
        await scene.failed(call, errors.Overloaded)
        times = [entry.time - call.began for entry in scene.server.log.requests(Opcode.EXECUTE)]
        assert len(rule.calls) == len(times) == 5
        assert times == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5], abs=0.05)

    patient = PolicyOptions(retry=ExponentialBackoffRetry(jitter=0.0))
    run("simulated", row, nodes=3, policies=patient, prepare_on_all_hosts=True)
