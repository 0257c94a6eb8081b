"""The decision table of the default retry policy: error by idempotence by number of retries."""

from __future__ import annotations

from typing import Any

import pytest

from triocql import errors
from triocql.policies.retry import Decision, DefaultRetryPolicy

RAISE, SAME, NEXT = Decision.RAISE, Decision.SAME, Decision.NEXT


def lost(*, written: bool) -> errors.RequestError:
    error = errors.ConnectionLost("gone")
    error.maybe_executed = written
    return error


def answer(kind: type[errors.ResponseError], **fields: Any) -> errors.RequestError:
    return kind("no", **fields)


def read_timeout(received: int, data_present: bool) -> errors.RequestError:
    return answer(errors.ReadTimeout, received=received, required=2, data_present=data_present)


def write_timeout(write_type: str) -> errors.RequestError:
    return answer(errors.WriteTimeout, received=1, required=2, write_type=write_type)


# What is decided for: idempotent and first, idempotent and tried again before, not idempotent, that again.
TABLE: list[tuple[str, errors.RequestError, tuple[Decision, Decision, Decision, Decision]]] = [
    ("lost unwritten", lost(written=False), (NEXT, NEXT, NEXT, NEXT)),
    ("lost written", lost(written=True), (NEXT, NEXT, RAISE, RAISE)),
    ("bootstrapping", answer(errors.IsBootstrapping), (NEXT, NEXT, NEXT, NEXT)),
    ("unavailable", answer(errors.Unavailable), (NEXT, RAISE, NEXT, RAISE)),
    ("overloaded", answer(errors.Overloaded), (NEXT, NEXT, RAISE, RAISE)),
    ("server error", answer(errors.ServerError), (NEXT, NEXT, RAISE, RAISE)),
    ("truncate", answer(errors.TruncateError), (NEXT, NEXT, RAISE, RAISE)),
    ("read, digests only", read_timeout(2, False), (SAME, RAISE, RAISE, RAISE)),
    ("read, with data", read_timeout(2, True), (RAISE, RAISE, RAISE, RAISE)),
    ("read, too few", read_timeout(1, False), (RAISE, RAISE, RAISE, RAISE)),
    ("write of a batch's log", write_timeout("BATCH_LOG"), (SAME, RAISE, RAISE, RAISE)),
    ("plain write", write_timeout("SIMPLE"), (RAISE, RAISE, RAISE, RAISE)),
    ("counter", write_timeout("COUNTER"), (RAISE, RAISE, RAISE, RAISE)),
    ("compare and set", write_timeout("CAS"), (RAISE, RAISE, RAISE, RAISE)),
]

NEVER = [
    errors.ProtocolViolation,
    errors.BadCredentials,
    errors.ReadFailure,
    errors.FunctionFailure,
    errors.WriteFailure,
    errors.CdcWriteFailure,
    errors.CasWriteUnknown,
    errors.SyntaxError,
    errors.Unauthorized,
    errors.InvalidQuery,
    errors.ConfigurationError,
    errors.AlreadyExists,
    errors.ResponseError,
]


@pytest.mark.parametrize(("error", "decisions"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table(error: errors.RequestError, decisions: tuple[Decision, ...]) -> None:
    policy = DefaultRetryPolicy()
    decided = tuple(
        policy.decide(error, idempotent=idempotent, retries=retries)
        for idempotent in (True, False)
        for retries in (0, 1)
    )
    assert decided == decisions


@pytest.mark.parametrize("kind", NEVER)
@pytest.mark.parametrize("idempotent", [True, False])
def test_what_is_never_tried_again(kind: type[errors.ResponseError], idempotent: bool) -> None:
    assert DefaultRetryPolicy().decide(answer(kind), idempotent=idempotent, retries=0) is RAISE
