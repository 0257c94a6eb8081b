"""What is counted of requests, by kind and outcome."""

from __future__ import annotations

from triocql import errors
from triocql.observability.meters import MOST, OTHER, Kind, Meter, Meters, outcome_of
from triocql.observability.metrics import SUCCESS


def test_outcomes_are_told_apart_by_the_class_of_the_error() -> None:
    meter = Meter()
    meter.success.record(0.01)
    meter.failed(errors.QueueFull("full"), 0.0)
    meter.failed(errors.QueueFull("full"), 0.1)
    meter.failed(errors.Abandoned("gone"), 0.2)
    read = meter.read()
    assert {outcome: durations.count for outcome, durations in read.items()} == {
        SUCCESS: 1,
        "QueueFull": 2,
        "Cancelled": 1,
    }
    assert read["QueueFull"].largest == 0.1


def test_errors_of_users_code_are_one_outcome_however_many_classes_they_have() -> None:
    kinds = [type(f"Error{number}", (errors.Error,), {"__module__": "shop"}) for number in range(3)]
    assert {outcome_of(kind("x")) for kind in kinds} == {"Other"}
    assert outcome_of(ValueError("x")) == outcome_of(KeyboardInterrupt()) == "Other"


def test_there_are_no_more_kinds_than_can_be_kept() -> None:
    meters = Meters()
    for number in range(2 * MOST):
        meters.of("", f"ks{number}", "SELECT").success.record(1.0)
    read = meters.read()
    assert len(read) == MOST + 1
    assert read[Kind(OTHER, OTHER, OTHER)][SUCCESS].count == MOST
    assert meters.of("", "ks0", "SELECT") is meters.of("", "ks0", "SELECT")


def test_what_is_no_known_operation_is_one_kind() -> None:
    meters = Meters()
    assert meters.of("", None, "CREATE") is meters.of("", "", "gibberish")
    assert set(meters.read()) == {Kind("", "", OTHER)}
