"""What is counted of requests and nodes, by kind and outcome."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from triocql import errors
from triocql.abc import Address
from triocql.metadata.node import Node
from triocql.observability.meter import outcome_of
from triocql.observability.meters import MOST, OTHER, Kind, Meters, Moment, RequestMeter
from triocql.observability.metrics import OPERATIONS, SUCCESS, Durations, Metrics, NodeMetrics, outcomes
from triocql.statements.texts import answers_to

SELECT = Kind("", "shop", "SELECT")


def test_outcomes_are_told_apart_by_the_class_of_the_error() -> None:
    meter = RequestMeter(SELECT, Moment())
    meter.success.record(0.01)
    meter.failed(errors.QueueFull("full"), 0.0)
    meter.failed(errors.QueueFull("full"), 0.1)
    meter.failed(errors.Abandoned("gone"), 0.2)
    read = outcomes(meter)
    assert {outcome: durations.count for outcome, durations in read.items()} == {
        SUCCESS: 1,
        "QueueFull": 2,
        "Cancelled": 1,
    }
    assert read["QueueFull"].largest == 0.1


def test_timeouts_are_counted_by_their_phases() -> None:
    meter = RequestMeter(SELECT, Moment())
    for phase in ("queued", "waiting", "queued"):
        late = errors.RequestTimeout("late", phase=phase, written=False, timeout=1.0)
        meter.failed(late, 1.0)
    assert meter.read().timeouts == {"queued": 2, "waiting": 1}


def test_errors_of_users_code_are_one_outcome_however_many_classes_they_have() -> None:
    kinds = [type(f"Error{number}", (errors.Error,), {"__module__": "shop"}) for number in range(3)]
    assert {outcome_of(kind("x")) for kind in kinds} == {"Other"}
    assert outcome_of(ValueError("x")) == outcome_of(KeyboardInterrupt()) == "Other"


def test_there_are_no_more_kinds_than_can_be_kept() -> None:
    meters = Meters(Moment())
    for number in range(2 * MOST):
        meters.of("", f"ks{number}", "SELECT").success.record(1.0)
    read = {meter.kind: meter for meter in meters.requests()}
    assert len(read) == MOST
    assert sum(read[Kind(OTHER, OTHER, OTHER)].success.counts()) == MOST + 1
    assert meters.of("", "ks0", "SELECT") is meters.of("", "ks0", "SELECT")


def test_nodes_that_left_are_added_up_and_no_more_meters_are_kept_than_are_of_use() -> None:
    meters = Meters(Moment())
    nodes = [Node(Address("10.0.0.1", number)) for number in range(1, 1001)]
    for node in nodes:
        meters.node(node).success.record(0.5)
        meters.node(node).bytes_sent += 10
        meters.forget([nodes[0], node])
    kept = meters.nodes()
    assert len(kept) <= 102
    assert nodes[0] in [meter.node for meter in kept]
    together = NodeMetrics.together((meters.forgotten, *(meter.read() for meter in kept)))
    assert together.bytes_sent == 10_000
    assert together.attempts[SUCCESS].count == 1000
    assert together.attempts[SUCCESS].sum == 500.0


def test_metrics_can_be_copied_pickled_and_taken_apart_but_not_changed() -> None:
    meters = Meters(Moment())
    meters.of("nightly", None, "INSERT").success.record(0.25)
    metrics = Metrics(requests=tuple(meter.read() for meter in meters.requests()))
    others: list[Any] = [copy.deepcopy(metrics), pickle.loads(pickle.dumps(metrics))]
    assert others == [metrics, metrics]
    assert dataclasses.asdict(metrics)["requests"][0]["operation"] == "INSERT"
    for each in (metrics, metrics.requests[0], metrics.former_nodes, Durations()):
        name = dataclasses.fields(each)[0].name
        try:
            setattr(each, name, None)
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(each)


def test_durations_of_some_requests_are_added_up() -> None:
    meters = Meters(Moment())
    for profile, keyspace, operation in (("", "a", "SELECT"), ("x", "a", "SELECT"), ("", "b", "INSERT")):
        meters.of(profile, keyspace, operation).success.record(1.0)
    meters.of("", "a", "SELECT").failed(errors.Overloaded("busy"), 0.5)
    metrics = Metrics(requests=tuple(meter.read() for meter in meters.requests()))
    assert metrics.durations().count == 4
    assert metrics.durations(keyspace="a").count == 3
    assert metrics.durations(profile="", operation="SELECT").count == 2
    assert metrics.durations(profile="default", operation="SELECT").count == 2
    assert metrics.durations(outcome="Overloaded").sum == 0.5
    assert metrics.durations(keyspace="c").count == 0
    assert metrics.durations(operation="DELETE", outcome="Unavailable").count == 0


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"operation": "select"},
            "operation is 'select'; it has to be one of SELECT, INSERT, .*PREPARE, OTHER",
        ),
        ({"operation": ["SELECT"]}, r"operation is \['SELECT'\]"),
        (
            {"outcome": "Success"},
            "outcome is 'Success'; it has to be 'success', 'Cancelled', 'Other', or the name",
        ),
        ({"outcome": "annotations"}, "outcome is 'annotations'"),
        ({"outcome": errors.Unavailable}, "outcome is .*Unavailable.*; it has to be"),
    ],
)
def test_durations_of_what_no_request_can_be_are_refused(wanted: Any, told: str) -> None:
    """It would be an alert that never comes."""
    with pytest.raises(errors.OptionError, match=told):
        Metrics().durations(**wanted)


def test_each_operation_of_a_statement_is_known() -> None:
    words = ("BEGIN", "DESC", "APPLY", *OPERATIONS)
    assert {answers_to(word).operation for word in words} | {"PREPARE"} == set(OPERATIONS)
