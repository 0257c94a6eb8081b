"""The table of states, over whatever may happen in whatever order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.abc import Address
from triocql.metadata.node import Node, NodeState
from triocql.metadata.states import TRANSITIONS, Sign, show


def after(*signs: Sign) -> NodeState:
    """Return the state of a node to which that has happened."""
    node = Node(Address("10.0.0.1", 9042))
    for sign in signs:
        show(node, sign)
    return node.state


signs = st.lists(st.sampled_from(Sign), max_size=30).map(tuple)


@given(signs)
def test_every_change_is_one_of_the_table_and_is_told(happened: tuple[Sign, ...]) -> None:
    node = Node(Address("10.0.0.1", 9042))
    for sign in happened:
        before = node.state
        changed = show(node, sign)
        assert changed is (node.state is not before)
        assert node.state is TRANSITIONS.get((before, sign), before)


@given(signs, st.sampled_from(Sign))
def test_what_is_said_twice_changes_nothing(happened: tuple[Sign, ...], sign: Sign) -> None:
    once = after(*happened, sign)
    assert after(*happened, sign, sign) is once


@given(signs)
def test_hearsay_makes_no_node_up_nor_takes_one_away_that_is(happened: tuple[Sign, ...]) -> None:
    state = after(*happened)
    for hearsay in (Sign.SAID_UP, Sign.SAID_DOWN):
        said = after(*happened, hearsay)
        assert (said is NodeState.UP) is (state is NodeState.UP)


@given(signs, signs)
def test_a_node_that_is_not_wanted_stays_so_until_it_is(
    happened: tuple[Sign, ...], later: tuple[Sign, ...]
) -> None:
    meanwhile = tuple(sign for sign in later if sign is not Sign.WANTED)
    assert after(*happened, Sign.UNWANTED, *meanwhile) is NodeState.IGNORED
    assert after(*happened, Sign.UNWANTED, *meanwhile, Sign.WANTED) is NodeState.UNKNOWN


@given(signs)
def test_a_connection_makes_every_node_up_that_is_wanted(happened: tuple[Sign, ...]) -> None:
    assert after(*happened, Sign.WANTED, Sign.CONNECTED) is NodeState.UP


@pytest.mark.parametrize("state", NodeState)
def test_every_state_can_be_reached_and_left(state: NodeState) -> None:
    ways = (way for length in range(4) for way in itertools.product(Sign, repeat=length))
    assert any(after(*way) is state for way in ways)
    assert {following for (before, _), following in TRANSITIONS.items() if before is state} - {state}
