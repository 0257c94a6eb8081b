"""Nodes that say that they have too much to do: S44."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import Scene
from triocql import errors
from triocql.config.policies import PolicyOptions
from triocql.policies import ExponentialBackoffRetry
from triocql.testing.server import ErrorCode, Opcode, Scylla, error, rate_limited

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
        _is_seen(scene, len(rule.calls), {ErrorCode.OVERLOADED: "Overloaded"}.get(code, "IsBootstrapping"))

    options: dict[str, Any] = {} if policy is None else {"policies": PolicyOptions(retry=policy)}
    run("simulated", row, nodes=3, **options)


def _is_seen(scene: Scene, refused: int, outcome: str) -> None:
    """The metrics show which node refuses, how often, and that others had to do it."""
    metrics = scene.session.metrics
    busy, *others = sorted(metrics.nodes, key=lambda node: outcome not in node.attempts)
    assert 0 < busy.attempts[outcome].count == busy.retries == refused
    assert all(node.attempts.keys() <= {"success", "Unprepared"} and not node.retries for node in others)
    writes = [each for each in metrics.requests if each.operation == "INSERT"]
    assert {key for each in writes for key in each.outcomes} == {"success"}
    assert sum(each.durations.count for each in writes) == len(scene.calls)
    assert sum(each.retries for each in writes) == refused
    assert not metrics.queued


def test_s44_what_a_rate_limit_refuses_is_raised_once_and_seen() -> None:
    """It is that of a partition, on whichever node: whoever asks again makes too much even more."""

    async def row(scene: Scene) -> None:
        links = scene.links
        rule = scene.server.when(node=0).then(rate_limited(op="write"))
        end = scene.now() + 30
        while scene.now() < end:
            scene.write(len(scene.calls), idempotent=True)
            await scene.sleep(0.1)
        await scene.sleep(5)
        refused = [call for call in scene.calls if not call.succeeded]
        assert 0 < len(refused) == len(rule.calls) < len(scene.calls)
        for call in refused:
            assert isinstance(call.error, errors.RateLimitReached)
            assert not call.error.attempts
            assert not call.error.maybe_executed
        assert scene.links == links
        metrics = scene.session.metrics
        busy, *others = sorted(metrics.nodes, key=lambda node: "RateLimitReached" not in node.attempts)
        assert busy.attempts["RateLimitReached"].count == len(refused)
        assert not any(node.retries for node in metrics.nodes)
        assert not any("RateLimitReached" in node.attempts for node in others)

    run("simulated", row, nodes=3, server={"scylla": Scylla()})


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
