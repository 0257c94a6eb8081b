"""What a filter is made of."""

from __future__ import annotations

from typing import Any

import pytest

from triocql.errors import OptionError
from triocql.policies.balancing import FilteredBalancing, RoundRobin


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "takes allow=, deny= or predicate="),
        ({"allow": "10.0.0.1"}, "several addresses, in a list"),
        ({"deny": "10.0.0.1"}, "several addresses, in a list"),
        ({"policy": 5, "deny": ["10.0.0.1"]}, "policy is 5; it has to be a balancing policy"),
        (
            {"policy": RoundRobin, "deny": ["10.0.0.1"]},
            "RoundRobin'>; it has to be a balancing policy: an object",
        ),
        ({"predicate": "rack1"}, "predicate is 'rack1'; it has to be a function of a node"),
    ],
)
def test_a_filter_that_is_none(arguments: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FilteredBalancing(**arguments)
