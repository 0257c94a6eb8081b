"""The decision table of the default retry policy: error by idempotence by number of retries."""

from __future__ import annotations

from typing import Any

import pytest

from triocql import Consistency, errors
from triocql.errors import OptionError
from triocql.policies import (
    Decision,
    DefaultRetryPolicy,
    DowngradingConsistency,
    ExponentialBackoffRetry,
    NeverRetry,
    Retry,
)

RAISE, SAME, NEXT, IGNORE = Decision.RAISE, Decision.SAME, Decision.NEXT, Decision.IGNORE


def lost(*, written: bool) -> errors.RequestError:
    error = errors.ConnectionLost("gone")
    error.maybe_executed = written
    return error


def overdue(*, written: bool) -> errors.RequestError:
    return errors.AttemptTimeout("late", phase="waiting", written=written, timeout=0.5)


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
    ("overdue unwritten", overdue(written=False), (NEXT, NEXT, NEXT, NEXT)),
    ("overdue written", overdue(written=True), (NEXT, NEXT, RAISE, RAISE)),
    ("rate limit", answer(errors.RateLimitReached), (RAISE, RAISE, RAISE, RAISE)),
    ("bootstrapping", answer(errors.IsBootstrapping), (NEXT, NEXT, NEXT, NEXT)),
    ("unavailable", answer(errors.Unavailable), (NEXT, RAISE, NEXT, RAISE)),
    ("overloaded, not begun", answer(errors.Overloaded, maybe_executed=False), (NEXT, NEXT, NEXT, NEXT)),
    ("overloaded", answer(errors.Overloaded, maybe_executed=True), (NEXT, NEXT, RAISE, RAISE)),
    ("server error", answer(errors.ServerError, maybe_executed=True), (NEXT, NEXT, RAISE, RAISE)),
    ("truncate", answer(errors.TruncateError, maybe_executed=True), (NEXT, NEXT, RAISE, RAISE)),
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


@pytest.mark.parametrize("kind", [errors.Overloaded, errors.IsBootstrapping, errors.Unavailable])
def test_never_is_never(kind: type[errors.ResponseError]) -> None:
    assert NeverRetry().decide(answer(kind), idempotent=True, retries=0) is RAISE


# --- With another consistency --------------------------------------------------------------------------------

QUORUM = {"consistency": Consistency.QUORUM, "required": 4}
AT_ONE, AT_TWO, AT_THREE = (
    Retry(SAME, level) for level in (Consistency.ONE, Consistency.TWO, Consistency.THREE)
)

# What is decided for an idempotent request and for another one, the first time.
DOWNGRADED: list[tuple[str, errors.RequestError, tuple[Decision | Retry, Decision | Retry]]] = [
    ("unavailable, 1", answer(errors.Unavailable, alive=1, **QUORUM), (AT_ONE, AT_ONE)),
    ("unavailable, 2", answer(errors.Unavailable, alive=2, **QUORUM), (AT_TWO, AT_TWO)),
    ("unavailable, 3", answer(errors.Unavailable, alive=3, **QUORUM), (AT_THREE, AT_THREE)),
    ("unavailable, none", answer(errors.Unavailable, alive=0, **QUORUM), (NEXT, NEXT)),
    (
        "unavailable in each data centre",
        answer(errors.Unavailable, alive=0, required=2, consistency=Consistency.EACH_QUORUM),
        (AT_ONE, AT_ONE),
    ),
    (
        "unavailable, serial",
        answer(errors.Unavailable, alive=1, required=2, consistency=Consistency.SERIAL),
        (NEXT, NEXT),
    ),
    (
        "unavailable, a batch",
        answer(errors.Unavailable, alive=1, maybe_executed=True, **QUORUM),
        (AT_ONE, RAISE),
    ),
    ("read, some", answer(errors.ReadTimeout, received=2, data_present=True, **QUORUM), (AT_TWO, RAISE)),
    ("read, none", answer(errors.ReadTimeout, received=0, data_present=False, **QUORUM), (RAISE, RAISE)),
    (
        "read, digests",
        answer(errors.ReadTimeout, received=4, data_present=False, **QUORUM),
        (SAME, RAISE),
    ),
    (
        "write that one has",
        answer(errors.WriteTimeout, received=1, write_type="SIMPLE", **QUORUM),
        (IGNORE, IGNORE),
    ),
    (
        "write that none has",
        answer(errors.WriteTimeout, received=0, write_type="SIMPLE", **QUORUM),
        (RAISE, RAISE),
    ),
    ("batch", answer(errors.WriteTimeout, received=1, write_type="BATCH", **QUORUM), (IGNORE, IGNORE)),
    (
        "unlogged batch",
        answer(errors.WriteTimeout, received=1, write_type="UNLOGGED_BATCH", **QUORUM),
        (AT_ONE, RAISE),
    ),
    ("log", answer(errors.WriteTimeout, received=0, write_type="BATCH_LOG", **QUORUM), (SAME, RAISE)),
    ("counter", answer(errors.WriteTimeout, received=1, write_type="COUNTER", **QUORUM), (RAISE, RAISE)),
    ("overloaded", answer(errors.Overloaded, maybe_executed=True), (NEXT, RAISE)),
]


@pytest.mark.parametrize(
    ("error", "decisions"), [row[1:] for row in DOWNGRADED], ids=[row[0] for row in DOWNGRADED]
)
def test_downgrading(
    error: errors.RequestError,
    decisions: tuple[Decision | Retry, Decision | Retry],
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = DowngradingConsistency()
    decided = tuple(policy.decide(error, idempotent=idempotent, retries=0) for idempotent in (True, False))
    assert decided == decisions
    told = sum(isinstance(each, Retry) or each is IGNORE for each in decisions)
    assert len(caplog.records) <= told
    assert bool(caplog.records) is bool(told)
    for idempotent in (True, False):  # and not a second time
        again = policy.decide(error, idempotent=idempotent, retries=1)
        assert again == DefaultRetryPolicy().decide(error, idempotent=idempotent, retries=1)


# --- After a delay -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "idempotent", "retried"),
    [
        (answer(errors.Overloaded, maybe_executed=True), True, True),
        (answer(errors.Overloaded, maybe_executed=True), False, False),
        (answer(errors.Unavailable), False, True),
        (answer(errors.ServerError, maybe_executed=True), True, True),
        (lost(written=False), False, True),
        (overdue(written=True), True, True),
        (write_timeout("SIMPLE"), True, True),
        (answer(errors.InvalidQuery), True, False),
        (answer(errors.ReadFailure), True, False),
    ],
)
def test_backing_off(error: errors.RequestError, idempotent: bool, retried: bool) -> None:
    policy = ExponentialBackoffRetry(attempts=6, base=0.1, maximum=1.0, jitter=0.5)
    for retries, exact in enumerate([0.1, 0.2, 0.4, 0.8, 1.0]):
        decision = policy.decide(error, idempotent=idempotent, retries=retries)
        if retried:
            assert isinstance(decision, Retry)
            assert decision.where is NEXT
            assert exact / 2 <= decision.delay <= min(1.0, exact * 1.5)
        else:
            assert decision is RAISE
    assert policy.decide(error, idempotent=idempotent, retries=5) is RAISE


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry(RAISE),
        lambda: Retry("next"),  # type: ignore[arg-type]
        lambda: Retry(delay=-1.0),
        lambda: Retry(delay=float("nan")),
        lambda: Retry(delay=float("inf")),
        lambda: Retry(delay="1"),  # type: ignore[arg-type]
        lambda: Retry(consistency="ONE"),  # type: ignore[arg-type]
        lambda: ExponentialBackoffRetry(attempts=0),
        lambda: ExponentialBackoffRetry(base=2.0, maximum=1.0),
        lambda: ExponentialBackoffRetry(jitter=1.5),
        lambda: ExponentialBackoffRetry(base=float("nan")),
    ],
)
def test_what_is_not_allowed_is_refused_where_it_is_written(make: Any) -> None:
    with pytest.raises(OptionError, match="it has to be"):
        make()
