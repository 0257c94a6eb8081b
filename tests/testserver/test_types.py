"""Values are, byte for byte, what real nodes have written."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.server_values import CAPTURED, VALUES
from triocql.testing.server import wire
from triocql.testing.server.scalars import decode_vint, encode_vint
from triocql.testing.server.types import Raw, UserType, parse_type

ADDRESS = UserType(
    "captured",
    "address",
    (("street", parse_type("text")), ("number", parse_type("int")), ("class", parse_type("text"))),
)
KNOWN = {"address": ADDRESS}


def plain(value: Any) -> Any:
    """Return triocql's own classes as what the server takes and gives: numbers and tuples of them."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    numbers = dataclasses.astuple(value)
    return numbers if len(numbers) > 1 else numbers[0]


def test_all_values_as_a_node_has_written_them() -> None:
    cells = [parse_type(name, KNOWN.get).cell(plain(value)) for name, _, value in VALUES]
    assert CAPTURED.read_bytes().endswith(wire.integer(1) + b"".join(map(wire.value, cells)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, plain(value))
        for name, _, value in VALUES
        if not any(part in name for part in ("set", "map", "add"))
    ],
)
def test_what_is_written_is_read(name: str, value: Any) -> None:
    type_ = parse_type(name)
    assert type_.decode(type_.encode(value)) == value


def test_composed_values() -> None:
    mapping = parse_type("map<frozen<list<int>>, frozen<set<text>>>")
    assert mapping.decode(mapping.encode({(1, 2): ["a"], (3,): []})) == [([1, 2], ["a"]), ([3], [])]
    assert ADDRESS.decode(ADDRESS.encode({"number": 7})) == {"street": None, "number": 7, "class": None}
    assert ADDRESS.decode(ADDRESS.encode(("High",))) == {"street": "High"}


def test_cells() -> None:
    number = parse_type("int")
    assert number.cell(None) is None
    assert number.cell(Raw(b"")) == b""
    assert parse_type("list<int>").cell([Raw(b"xy")]) == b"\0\0\0\1\0\0\0\2xy"
    assert parse_type("uuid").cell(str(UUID(int=7))) == bytes(15) + b"\7"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("integer", "there is no type 'integer'"),
        ("map<int>", "map<...> of 1 elements"),
        ("list<int", "ends too early"),
        ("int>", "'>' is too much"),
        ("list[int]", "is not a CQL type"),
        ("vector<int; 2>", "is not a CQL type"),
        ("vector<int>", "',' is missing"),
        ("tuple<int int>", "'int' where '>' belongs"),
    ],
)
def test_what_is_no_type(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_type(text)


@given(st.integers(0, 2**64 - 1))
def test_vints(number: int) -> None:
    data = encode_vint(number)
    assert decode_vint(b"x" + data, 1) == (number, 1 + len(data))
