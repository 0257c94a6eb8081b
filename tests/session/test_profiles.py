"""Profiles as options: what is derived from what, what is refused, what stands in a URL."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql import Consistency, PolicyOptions, Profile
from triocql.config.options import Options
from triocql.config.requests import RequestOptions, ResolvedOptions, SharedOptions
from triocql.errors import OptionError
from triocql.policies import (
    ConstantSpeculation,
    NeverRetry,
    NeverSpeculate,
    RoundRobin,
    ServerTimestamps,
    Throttle,
)

read = Options.from_arguments

VALUES: dict[str, Any] = {
    "timeout": st.floats(10, 99),
    "attempt_timeout": st.floats(1, 5),
    "consistency": st.sampled_from([Consistency.ONE, Consistency.QUORUM]),
    "serial_consistency": st.sampled_from([Consistency.SERIAL, Consistency.LOCAL_SERIAL]),
    "page_size": st.integers(1, 99),
    "timestamp": st.integers(1, 99),
    "tracing": st.booleans(),
    "custom_payload": st.dictionaries(st.just("x"), st.binary(max_size=1)),
    "keyspace": st.sampled_from(["a", "b"]),
    "now_in_seconds": st.integers(0, 99),
    "idempotent": st.booleans(),
    "lwt": st.booleans(),
    "retry": st.builds(NeverRetry),
    "speculation": st.builds(NeverSpeculate),
    "balancing": st.builds(RoundRobin),
    "timestamps": st.builds(ServerTimestamps),
    "throttling": st.builds(Throttle, st.just(1)),
}
LAYERS = st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=5)


def test_the_options_of_a_profile_are_those_of_requests_and_the_policies_about_them() -> None:
    own = {each.name for each in dataclasses.fields(Profile)}
    assert own == {*VALUES, "base"}
    assert {each.name for each in dataclasses.fields(RequestOptions)} - own == {
        "paging_state",
        "node",
        "profile",
    }
    assert {each.name for each in dataclasses.fields(PolicyOptions)} - own == {"reconnection", "addresses"}
    assert own >= {each.name for each in dataclasses.fields(SharedOptions)}


@given(LAYERS)
def test_a_line_of_profiles_gives_what_laying_them_over_each_other_by_hand_gives(
    layers: list[dict[str, Any]],
) -> None:
    by_hand: dict[str, Any] = {"request": {}, "policies": {}}
    for layer in layers:
        for name, value in layer.items():
            is_option = name in {each.name for each in dataclasses.fields(SharedOptions)}
            by_hand["request" if is_option else "policies"][name] = value
    profiles = {
        str(number): Profile(base=str(number - 1) if number else None, **layer)
        for number, layer in enumerate(layers)
    }
    policies = PolicyOptions()
    options = Options(profiles=profiles, policies=policies, request=ResolvedOptions(timeout=7.0))
    name = str(len(layers) - 1) if layers else "default"
    resolved = options.resolve(name)
    expected = {"timeout": 7.0, **by_hand["request"], "profile": name if layers else None}
    found = {each.name: getattr(resolved.request, each.name) for each in dataclasses.fields(ResolvedOptions)}
    defaults = {
        each.name: getattr(ResolvedOptions(), each.name) for each in dataclasses.fields(ResolvedOptions)
    }
    assert found == {**defaults, **expected}
    assert resolved.policies == dataclasses.replace(policies, **by_hand["policies"])


def test_bases_may_come_after_what_is_derived_from_them() -> None:
    profiles = {"nightly": Profile(base="reports", timeout=600.0), "reports": Profile(page_size=10)}
    resolved = read(profiles=profiles).resolve("nightly").request
    assert (resolved.timeout, resolved.page_size) == (600.0, 10)
    assert read(profiles={"a": Profile(base="default")}).resolve("a").policies == read().policies


def test_the_session_s_own_bound_of_attempts_may_be_longer_than_a_profile_s_timeout() -> None:
    options = read(attempt_timeout=5.0, profiles={"quick": Profile(timeout=1.0)})
    assert options.resolve("quick").request.attempt_timeout == 5.0


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ({"a": Profile(base="a")}, "derived from one another in a circle: a -> a$"),
        ({"a": Profile(base="b"), "b": Profile(base="a")}, "in a circle: a -> b -> a$"),
        (
            {"a": Profile(base="b"), "c": Profile()},
            "unknown profile 'b'; .* 'a', 'c', 'default'\nit is the base of .*'a'$",
        ),
        ({"default": Profile()}, "'default' stands for the session's own options"),
        ({"": Profile()}, "the name of a profile is ''; it has to be a str that is not empty"),
        ({3: Profile()}, "the name of a profile is 3"),
        ({"a": {"timeout": 3}}, "the profile 'a' is of type dict; it has to be a triocql.Profile"),
        ([Profile()], "profiles is of type list; it has to be a dict"),
    ],
)
def test_what_are_no_profiles(profiles: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(profiles=profiles)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base": 3}, "base is 3; it has to be the name of a profile"),
        ({"timeout": -1}, "timeout is -1; it has to be"),
        ({"consistency": "QUORAM"}, "consistency is 'QUORAM'"),
        ({"retry": NeverRetry}, "the retry policy is the class NeverRetry"),
        ({"balancing": "x"}, r"the balancing policy is of type str; .* a method distance\(\)"),
        ({"throttling": NeverRetry()}, r"the throttling policy .* a method turn\(\)"),
        ({"request_timeout": 3}, "unknown option 'request_timeout' of Profile; write timeout="),
        ({"load_balancing_policy": 3}, "write balancing="),
        ({"speculative_execution_policy": 3}, "write speculation="),
        ({"row_factory": dict}, "write row_type=, with each call"),
        ({"paging_state": b""}, "unknown option 'paging_state' of Profile"),
        ({"timout": 3}, "did you mean 'timeout'"),
        ({"timeout": 1, "attempt_timeout": 1}, "attempt_timeout is 1; it has to be less than timeout, .* 1"),
    ],
)
def test_what_is_no_profile(arguments: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Profile(**arguments)


def test_profiles_never_change() -> None:
    given = {"a": Profile()}
    options = read(profiles=given)
    given["b"] = Profile()
    assert list(options.profiles) == ["a"]
    assert dataclasses.replace(options, keyspace="x").profiles == {"a": Profile()}
    with pytest.raises(TypeError):
        options.profiles["b"] = Profile()  # type: ignore[index]


def test_profiles_in_a_url() -> None:
    url = (
        "cql://host/shop?timeout=3&profiles.reports.timeout=60&profiles.reports.consistency=local_quorum"
        "&profiles.nightly.base=reports&profiles.nightly.idempotent=true&profiles.a.b.page_size=7"
    )
    options = read(url)
    assert options.profiles == {
        "reports": Profile(timeout=60.0, consistency=Consistency.LOCAL_QUORUM),
        "nightly": Profile(base="reports", idempotent=True),
        "a.b": Profile(page_size=7),
    }
    assert options.request.timeout == 3.0
    both = read(url, profiles={"nightly": Profile(timeout=1.0), "other": Profile()})
    assert list(both.profiles) == ["reports", "nightly", "a.b", "other"]
    assert both.profiles["nightly"] == Profile(timeout=1.0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("profiles.a.timout=3", "unknown option 'timout' in a URL; did you mean 'timeout'"),
        ("profiles.a.timeout=x", "timeout is 'x' in a URL; it has to be a number"),
        ("profiles.a.retry=x", "retry cannot be given in a URL"),
        ("profiles.a=3", "'profiles.a' in a URL is no option of a profile: write profiles"),
        ("profiles..timeout=3", "is no option of a profile"),
        ("profiles.default.timeout=3", "'default' stands for the session's own options"),
        ("profiles=a", "profiles cannot be given in a URL"),
    ],
)
def test_what_is_no_profile_in_a_url(query: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(f"cql://host?{query}")


def test_names_and_keep_alive_in_a_url() -> None:
    options = read("cql://host?remote_data_centres=dc2,dc3&tcp_keepalive=30&local_data_centre=dc1")
    assert options.remote_data_centres == ("dc2", "dc3")
    assert options.connection.tcp_keepalive == 30
    assert read("cql://host?tcp_keepalive=false").connection.tcp_keepalive is False
    with pytest.raises(
        OptionError, match="tcp_keepalive is 'x' in a URL; it has to be true, false or a whole"
    ):
        read("cql://host?tcp_keepalive=x")


# --- Options that would be accepted and do nothing -----------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: read(**options),
        RequestOptions,
        Profile,
        lambda **options: ResolvedOptions(**options),
    ],
)
def test_a_bound_of_attempts_that_never_counts(make: Any) -> None:
    with pytest.raises(OptionError, match=r"attempt_timeout is 11; it has to be less than timeout, .* 10"):
        make(attempt_timeout=11, timeout=10)
    make(attempt_timeout=math.inf, timeout=10)
    make(attempt_timeout=9, timeout=math.inf)
    make(attempt_timeout=9)


def test_the_session_s_default_timeout_counts_for_attempts_too() -> None:
    with pytest.raises(OptionError, match=r"attempt_timeout is 15; it has to be less than timeout, .* 10\.0"):
        read(attempt_timeout=15)


def test_speculation_of_one_attempt() -> None:
    with pytest.raises(OptionError, match="max_attempts is 1; it has to be an integer from 2"):
        ConstantSpeculation(0.1, max_attempts=1)


def test_a_data_centre_that_is_local_and_remote() -> None:
    with pytest.raises(OptionError, match="'dc1' is local_data_centre, and among remote_data_centres"):
        read(local_data_centre="dc1", remote_data_centres=["dc2", "dc1"])
