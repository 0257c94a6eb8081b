"""Errors that nodes answer with: each its own exception, and tried again where that can do no harm, only there."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import INSERT, SELECT, Scene
from triocql import Consistency, errors
from triocql.testing.server import ErrorCode, error

ADDRESS = ip_address("10.0.0.9")
COUNTS = {"consistency": 4, "received": 1, "required": 2}
REASONS = {ADDRESS: 1}
BATCH_LOG = {**COUNTS, "write_type": "BATCH_LOG"}
DIGESTS = {**COUNTS, "received": 2, "data_present": False}

# The code, its fields, the exception; then how often it is sent with four nodes: a read, a write that is idempotent,
# and one that is not.
ROWS: list[tuple[int, dict[str, Any], type[errors.ResponseError], int, int, int]] = [
    (0x0000, {}, errors.ServerError, 4, 4, 1),
    (0x000A, {}, errors.ProtocolViolation, 1, 1, 1),
    (0x0100, {}, errors.BadCredentials, 1, 1, 1),
    (0x1000, {"consistency": 4, "required": 2, "alive": 1}, errors.Unavailable, 2, 2, 2),
    (0x1001, {}, errors.Overloaded, 4, 4, 1),
    (0x1002, {}, errors.IsBootstrapping, 4, 4, 4),
    (0x1003, {}, errors.TruncateError, 4, 4, 1),
    (0x1100, {**COUNTS, "write_type": "SIMPLE"}, errors.WriteTimeout, 1, 1, 1),
    (0x1100, BATCH_LOG, errors.WriteTimeout, 2, 2, 1),
    (0x1100, {**COUNTS, "write_type": "CAS", "contentions": 3}, errors.WriteTimeout, 1, 1, 1),
    (0x1200, {**COUNTS, "data_present": True}, errors.ReadTimeout, 1, 1, 1),
    (0x1200, DIGESTS, errors.ReadTimeout, 2, 2, 1),
    (0x1300, {**COUNTS, "reasons": REASONS, "data_present": True}, errors.ReadFailure, 1, 1, 1),
    (
        0x1400,
        {"keyspace": "ks", "function": "f", "arg_types": ("int", "text")},
        errors.FunctionFailure,
        1,
        1,
        1,
    ),
    (0x1500, {**COUNTS, "reasons": REASONS, "write_type": "SIMPLE"}, errors.WriteFailure, 1, 1, 1),
    (0x1600, {}, errors.CdcWriteFailure, 1, 1, 1),
    (0x1700, COUNTS, errors.CasWriteUnknown, 1, 1, 1),
    (0x2000, {}, errors.SyntaxError, 1, 1, 1),
    (0x2100, {}, errors.Unauthorized, 1, 1, 1),
    (0x2200, {}, errors.InvalidQuery, 1, 1, 1),
    (0x2300, {}, errors.ConfigurationError, 1, 1, 1),
    (0x2400, {"keyspace": "ks", "table": "t"}, errors.AlreadyExists, 1, 1, 1),
    (0x7777, {}, errors.ResponseError, 1, 1, 1),
]
NOT_EXECUTED = {0x000A, 0x0100, 0x1000, 0x1002, 0x2000, 0x2100, 0x2200, 0x2300, 0x2400}


def check_fields(raised: errors.ResponseError, code: int, fields: dict[str, Any]) -> None:
    """Check that the exception has every field of the answer."""
    assert (raised.code, raised.message) == (code, "because")
    assert str(raised.coordinator).endswith(":9042")
    expected = dict(fields)
    if "consistency" in expected:
        expected["consistency"] = Consistency.QUORUM
    if "reasons" in expected:
        expected["failures"] = 1
    for name, content in expected.items():
        assert getattr(raised, name) == content


@pytest.mark.parametrize(
    ("code", "fields", "kind", "reads", "idempotent", "writes"),
    ROWS,
    ids=[f"{code:04x}-{'-'.join(map(str, fields.values()))[-9:]}" for code, fields, *_ in ROWS],
)
def test_s16_each_error(
    code: int,
    fields: dict[str, Any],
    kind: type[errors.ResponseError],
    reads: int,
    idempotent: int,
    writes: int,
) -> None:
    async def row(scene: Scene) -> None:
        rule = scene.server.when().then(error(code, "because", **fields))
        for number, (call, tries) in enumerate(
            [
                (scene.read(0), reads),
                (scene.write(1, idempotent=True), idempotent),
                (scene.write(2), writes),
            ]
        ):
            raised = await scene.failed(call, errors.ResponseError)
            assert type(raised) is kind
            check_fields(raised, code, fields)
            asked = [each for each in rule.calls if each.decoded_values == [number]]
            assert len(asked) == tries
            assert len(raised.attempts) == tries - 1
            assert all(type(attempt.error) is kind for attempt in raised.attempts)
            assert raised.maybe_executed is (code not in NOT_EXECUTED)
            nodes = [each.node.index for each in asked]
            same = code in (ErrorCode.READ_TIMEOUT, ErrorCode.WRITE_TIMEOUT)
            assert len(set(nodes)) == (1 if same else tries)
        assert all(connection.state.value == "open" for connection in scene.connections)

    run("simulated", row, nodes=4, server={"versions": (5,)})


@pytest.mark.parametrize("text", ["Server is shutting down", "Query timed out before it could start"])
def test_s16_what_a_node_has_not_begun_goes_to_the_next_one(text: str) -> None:
    """Cassandra 5.0 says so in place of executing it; other answers of that code may come in the middle of a write."""

    async def row(scene: Scene) -> None:
        rule = scene.server.when(times=2).then(error(ErrorCode.OVERLOADED, text))
        assert (await scene.write(1).wait()).succeeded
        assert len({request.node.index for request in rule.calls}) == 2
        scene.server.when().then(error(ErrorCode.OVERLOADED, text))
        raised = await scene.failed(scene.write(2), errors.Overloaded)
        assert not raised.maybe_executed
        assert len(raised.attempts) == 2

    run("simulated", row, nodes=3)


@pytest.mark.parametrize("version", [3, 4])
def test_s16_failures_before_v5_are_a_number(version: int) -> None:
    async def row(scene: Scene) -> None:
        failed = error(0x1300, "because", **COUNTS, failures=3, data_present=False)
        scene.server.when(SELECT).then(failed)
        raised = await scene.failed(scene.read(1), errors.ResponseError)
        if version == 4:
            assert isinstance(raised, errors.ReadFailure)
            assert (raised.failures, raised.reasons) == (3, {})
        else:
            assert isinstance(raised, errors.ReadTimeout)

    run("simulated", row, server={"versions": (version,)})


@pytest.mark.parametrize("version", [3, 4, 5])
def test_s16_tried_again_elsewhere_with_success(version: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(times=2).then(error(ErrorCode.IS_BOOTSTRAPPING))
        call = await scene.write(1).wait()
        assert call.succeeded
        assert scene.server.log.count(INSERT) == 1
        assert call.execution is not None
        assert [type(attempt.error) for attempt in call.execution.attempts] == [errors.IsBootstrapping] * 2

    run("simulated", row, nodes=3, server={"versions": (version,)})
