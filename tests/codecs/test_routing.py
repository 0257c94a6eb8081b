"""The partition key out of bound values, in both implementations."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs import routing

Key = Callable[[bytes, tuple[int, ...]], bytes | None]
_routing: Any = import_module("triocql.codecs._routing")
BOTH = pytest.mark.parametrize("routing_key", [routing.routing_key, _routing.routing_key])


def bound(values: list[bytes | int | None]) -> bytes:
    """Return values as an EXECUTE has them; a number stands for that length without bytes."""
    parts = [len(values).to_bytes(2, "big")]
    for value in values:
        size = -1 if value is None else value if isinstance(value, int) else len(value)
        parts.append(size.to_bytes(4, "big", signed=True))
        parts.append(value if isinstance(value, bytes) else b"")
    return b"".join(parts)


@BOTH
def test_one_part_is_its_bytes(routing_key: Key) -> None:
    assert routing_key(bound([b"a", b"bc"]), (1,)) == b"bc"
    assert routing_key(bound([b"", b"bc"]), (0,)) == b""


@BOTH
def test_several_parts_have_their_lengths(routing_key: Key) -> None:
    assert routing_key(bound([b"a", None, b"bc"]), (2, 0)) == b"\0\x02bc\0\0\x01a\0"


@BOTH
def test_no_key_where_a_part_is_missing_or_too_long(routing_key: Key) -> None:
    assert routing_key(bound([b"a"]), ()) is None
    assert routing_key(bound([None]), (0,)) is None
    assert routing_key(bound([b"a", -2]), (0, 1)) is None
    assert routing_key(bound([b"a", bytes(65_536)]), (0, 1)) is None
    assert routing_key(bound([b"a", bytes(65_535)]), (0, 1)) is not None


@given(st.data())
def test_both_take_what_was_bound(data: st.DataObject) -> None:
    values = data.draw(
        st.lists(st.one_of(st.none(), st.just(-2), st.binary(max_size=300)), min_size=1, max_size=6)
    )
    indexes = tuple(data.draw(st.permutations(range(len(values))))[: data.draw(st.integers(0, len(values)))])
    parts = [values[index] for index in indexes]
    whole = bound(values)
    if not parts or not all(isinstance(part, bytes) for part in parts):
        expected = None
    elif len(parts) == 1:
        expected = parts[0]
    else:
        expected = b"".join(len(p).to_bytes(2, "big") + p + b"\0" for p in parts if isinstance(p, bytes))
    assert routing.routing_key(whole, indexes) == expected
    assert _routing.routing_key(whole, indexes) == expected
