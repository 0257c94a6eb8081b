"""Equal values have one form, whatever order their sets and maps were given in."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from triocql.codecs.canonical import canonical_values
from triocql.codecs.registry import Registry
from triocql.codecs.typeparser import parse_type
from triocql.protocol.constants import UNSET
from triocql.protocol.types import ColumnSpec


def canonical(kind: str, value: Any, *more: Any) -> bytes:
    columns = [ColumnSpec("ks", "t", "a", parse_type(kind)), ColumnSpec("ks", "t", "b", parse_type("int"))]
    return canonical_values(columns, Registry().binder(columns).bind([value, *(more or (1,))]))


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("set<text>", list),
        ("list<frozen<set<text>>>", lambda names: [["x"], names]),
        ("set<frozen<set<text>>>", lambda names: [["x", *names], ["y"]]),
        ("map<text, int>", lambda names: {name: len(name) for name in names}),
        ("map<int, frozen<set<text>>>", lambda names: {1: names, 2: []}),
        ("tuple<frozen<set<text>>, int>", lambda names: (names, 1)),
    ],
)
def test_any_order(kind: str, make: Any) -> None:
    orders = [list(order) for order in permutations(("a", "bb", "ccc"))]
    assert len({canonical(kind, make(order)) for order in orders}) == 1
    assert canonical(kind, make(["a", "bb"])) != canonical(kind, make(["a", "c"]))


@pytest.mark.parametrize("value", [None, UNSET, [], ["b", "a"]])
def test_a_list_has_its_order_and_nothing_is_mixed_up(value: Any) -> None:
    others = [None, UNSET, [], ["a", "b"], ["b", "a"], ["ba"]]
    same = [other for other in others if canonical("list<text>", other) == canonical("list<text>", value)]
    assert same == [value]
    assert canonical("list<text>", value, 1) != canonical("list<text>", value, 2)
