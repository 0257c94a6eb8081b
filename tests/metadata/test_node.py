"""A node is known by what it is, not by what it is called."""

from __future__ import annotations

import pickle
from uuid import uuid4

from triocql import errors
from triocql.abc import Address
from triocql.metadata.node import Node, NodeState


def node() -> Node:
    node = Node(Address("10.0.0.1", 9042))
    node.state = NodeState.UP
    node.host_id, node.data_centre, node.rack, node.release = uuid4(), "north", "r1", "5.0.2"
    node.tokens = tuple(map(str, range(256)))
    return node


def test_its_text_is_its_address() -> None:
    assert (str(node()), f"{node()}") == ("10.0.0.1:9042", "10.0.0.1:9042")
    assert repr(node()) == "<Node 10.0.0.1:9042 up>"


def test_a_pickled_one_is_small_and_knows_what_it_is() -> None:
    one = node()
    pickled = pickle.dumps(one)
    again = pickle.loads(pickled)
    assert len(pickled) < 500
    for name in ("address", "name", "state", "distance", "told", "host_id", "data_centre", "rack", "release"):
        assert getattr(again, name) == getattr(one, name)
    assert again.tokens == ()
    assert again is not one
    assert again != one


def test_errors_with_nodes_are_pickled() -> None:
    one = node()
    error = errors.Overloaded("too much")
    error.coordinator = one
    error.attempts = (errors.Attempt(one, errors.ConnectionLost("gone"), 0.5),)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.coordinator is again.attempts[0].node
    assert again.coordinator.data_centre == "north"
    timeout = errors.RequestTimeout("late", phase="waiting", written=True, timeout=1.0, node=one)
    assert str(pickle.loads(pickle.dumps(timeout)).node) == str(one)
