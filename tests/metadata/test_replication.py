"""The replication of keyspaces, as system tables have it: values that can be compared; nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triocql.metadata.replication import (
    EverywhereStrategy,
    LocalStrategy,
    NetworkTopologyStrategy,
    ReplicationFactor,
    SimpleStrategy,
    UnknownStrategy,
    strategy_of,
)

PACKAGE = "org.apache.cassandra.locator."


@pytest.mark.parametrize("package", ["", PACKAGE])
def test_the_strategies(package: str) -> None:
    assert strategy_of({"class": f"{package}SimpleStrategy", "replication_factor": "3/1"}) == SimpleStrategy(
        ReplicationFactor(3, 1)
    )
    assert strategy_of(
        {"class": f"{package}NetworkTopologyStrategy", "b": "3", "a": "0"}
    ) == NetworkTopologyStrategy((("a", ReplicationFactor(0)), ("b", ReplicationFactor(3))))
    assert strategy_of({"class": f"{package}LocalStrategy"}) == LocalStrategy()
    assert strategy_of({"class": f"{package}EverywhereStrategy"}) == EverywhereStrategy()


def test_equal_replications_are_equal_and_found_by_their_hash() -> None:
    one = strategy_of({"class": f"{PACKAGE}NetworkTopologyStrategy", "a": "1", "b": "2"})
    same = strategy_of({"b": "2", "a": "1", "class": "NetworkTopologyStrategy"})
    other = strategy_of({"class": "NetworkTopologyStrategy", "a": "1", "b": "2/1"})
    assert one == same != other
    assert {one: 1}[same] == 1
    assert other not in {one: 1}


def test_what_is_wrong_is_said() -> None:
    found = {
        text: strategy_of({"class": "SimpleStrategy", "replication_factor": text}).problem
        for text in (
            "3",
            "-1",
            "+3",
            "",
            "1e3",
            "3/",
            "3/3",
            "0/1",
            "3/-1",
            "2147483647",
            "2147483648",
            "9" * 5000,
            "٣",
        )
    }
    assert {text for text, problem in found.items() if problem is None} == {"3", "2147483647"}
    assert found["-1"] == "replication_factor is '-1', which is no number of replicas"
    assert found["9" * 5000] == f"replication_factor is '{'9' * 50}...', which is no number of replicas"
    assert strategy_of({"class": "SimpleStrategy"}).problem == "replication_factor is not given"
    assert strategy_of({"class": "NetworkTopologyStrategy", "dc1": "3", "dc2": "x"}) == UnknownStrategy(
        "NetworkTopologyStrategy", "dc2 is 'x', which is no number of replicas"
    )
    assert strategy_of({"class": "com.example.OwnStrategy"}) == UnknownStrategy(
        "com.example.OwnStrategy", "'OwnStrategy' is a replication strategy that triocql does not know"
    )
    assert strategy_of({}).problem == "'' is a replication strategy that triocql does not know"


@settings(deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["class", "replication_factor", "dc1"]), st.text(max_size=5)),
        st.one_of(st.sampled_from(["SimpleStrategy", "NetworkTopologyStrategy", "3", "3/1"]), st.text()),
    )
)
def test_whatever_is_told_nothing_raises(replication: dict[str, str]) -> None:
    strategy = strategy_of(replication)
    assert hash(strategy) == hash(strategy_of(replication))
    assert (strategy.problem is not None) is isinstance(strategy, UnknownStrategy)
