"""Nodes are themselves, and snapshots of them differ by what was added and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from triocql.abc import Address
from triocql.errors import UsageError
from triocql.metadata.node import Node, NodeState
from triocql.metadata.snapshot import Snapshot

A, B, C = (Node(Address(f"10.0.0.{number}", 9042)) for number in (1, 2, 3))


def test_a_node_of_which_nothing_is_known_but_its_address() -> None:
    node = Node(Address("::1", 9042))
    assert (node.name, str(node), repr(node)) == ("[::1]:9042", "[::1]:9042", "<Node [::1]:9042 unknown>")
    assert node.state is NodeState.UNKNOWN
    assert (node.host_id, node.data_centre, node.rack, node.release) == (None, None, None, None)


def test_nodes_are_compared_by_identity() -> None:
    twin = Node(A.address)
    assert twin != A
    assert len({A, twin}) == 2
    twin.address = B.address
    assert twin in {twin}


@pytest.mark.parametrize(
    ("before", "after", "added", "removed"),
    [
        ((), (), (), ()),
        ((), (A, B), (A, B), ()),
        ((A, B), (A, B), (), ()),
        ((A, B), (B, A), (), ()),
        ((A, B), (B, C), (C,), (A,)),
        ((C, B, A), (B,), (), (C, A)),
        ((A,), (), (), (A,)),
    ],
)
def test_the_difference_of_two_snapshots(
    before: tuple[Node, ...], after: tuple[Node, ...], added: tuple[Node, ...], removed: tuple[Node, ...]
) -> None:
    assert Snapshot(after).since(Snapshot(before)) == (added, removed)


def test_another_node_with_the_same_address_is_another_node() -> None:
    replaced = Node(A.address)
    assert Snapshot((replaced,)).since(Snapshot((A,))) == ((replaced,), (A,))


def test_a_snapshot_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Snapshot((A,)).nodes = ()  # type: ignore[misc]


@pytest.mark.parametrize("key", [7, "station-01", None, [b"a"]])
def test_a_key_that_is_no_bytes_is_refused(key: Any) -> None:
    snapshot = Snapshot((A,))
    asked: list[Callable[[], object]] = [
        lambda: snapshot.token(key),
        lambda: snapshot.replicas("shop", key),
        lambda: snapshot.tablet("shop", "users", key),
    ]
    for each in asked:
        with pytest.raises(UsageError, match=rf"not {type(key).__name__}; .*bind\(\.\.\.\)"):
            each()
