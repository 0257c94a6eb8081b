"""Values that any user of the database can write, and that must not hold up whoever reads them."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from triocql.codecs.collisions import MOST_ALIKE
from triocql.codecs.digits import to_decimal
from triocql.codecs.values import FrozenMap
from triocql.errors import DecodeError

from .helpers import decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

PRIME = 2**61 - 1
MANY = 2_000


def alike(count: int) -> list[int]:
    """Numbers of 128 bits that have one hash."""
    return [number * PRIME for number in range(1, count + 1)]


ALIKE: dict[str, Any] = {
    "uuid": lambda count: [UUID(int=number) for number in alike(count)],
    "varint": alike,
    "decimal": lambda count: list(map(Decimal, alike(count))),
    "frozen<list<varint>>": lambda count: [(number,) for number in alike(count)],
    "frozen<tuple<uuid, int>>": lambda count: [(UUID(int=number), 1) for number in alike(count)],
    "frozen<set<varint>>": lambda count: [frozenset((number,)) for number in alike(count)],
    "frozen<map<varint, int>>": lambda count: [FrozenMap({number: 1}) for number in alike(count)],
}


@pytest.mark.parametrize("size", [1, 4, 511, 512, 513, 514, 1024, 1025, 3000, 4099])
def test_long_decimals_are_exact(size: int) -> None:
    chance = random.Random(size)
    samples = [chance.randbytes(size) for _ in range(4)]
    samples += [bytes(size), b"\xff" * size, b"\x80" + bytes(size - 1), b"\x7f" + b"\xff" * (size - 1)]
    samples += [bytes(size - 1) + b"\x01", b"\xff" * (size - 1) + b"\xfe"]
    for raw in samples:
        assert to_decimal(raw).as_tuple() == Decimal(int.from_bytes(raw, signed=True)).as_tuple()


def test_long_decimals_take_no_quadratic_time(registry: Registry) -> None:
    raw = b"\0\0\0\7" + random.Random(0).randbytes(200_000)
    begun = time.process_time()
    value = decode(registry, "decimal", raw)
    assert time.process_time() - begun < 2  # Python's own way takes 5 s
    assert value.as_tuple().exponent == -7
    assert len(value.as_tuple().digits) == pytest.approx(481_648, abs=2)


@pytest.mark.parametrize("cql_type", ALIKE)
def test_elements_of_one_hash_are_refused_where_they_are_many(registry: Registry, cql_type: str) -> None:
    values = ALIKE[cql_type](MANY)
    many = encode(registry, f"set<{cql_type}>", values)
    items = encode(registry, f"map<{cql_type}, int>", _Pairs(values))
    for whole, raw in ((f"set<{cql_type}>", many), (f"map<{cql_type}, int>", items)):
        with pytest.raises(DecodeError, match="more than 256 elements that have one hash"):
            decode(registry, whole, raw)
    few = values[:MOST_ALIKE]
    assert round_trip(registry, f"set<{cql_type}>", few) == set(few)
    assert round_trip(registry, f"map<{cql_type}, int>", dict.fromkeys(few, 1)) == dict.fromkeys(few, 1)


class _Pairs(dict[Any, Any]):
    """A mapping without the time that it would take to make one."""

    def __init__(self, keys: list[Any]) -> None:
        self.all = keys

    def __len__(self) -> int:
        return len(self.all)

    def items(self) -> Any:
        return ((key, 1) for key in self.all)


@pytest.mark.parametrize(
    "cql_type", ["uuid", "varint", "decimal", "frozen<tuple<varint, int>>", "double", "bigint"]
)
def test_many_honest_elements_are_read(registry: Registry, cql_type: str) -> None:
    chance = random.Random(1)
    numbers = [chance.getrandbits(62) for _ in range(1_000)]
    make: dict[str, Any] = {
        "uuid": lambda number: UUID(int=number),
        "decimal": Decimal,
        "double": float,
        "frozen<tuple<varint, int>>": lambda number: (number, 1),
    }
    values = set(map(make.get(cql_type, int), numbers))
    assert round_trip(registry, f"set<{cql_type}>", values) == values
    assert round_trip(registry, f"map<{cql_type}, int>", dict.fromkeys(values, 1)) == dict.fromkeys(values, 1)


def test_hash_of_a_map_is_that_of_its_items() -> None:
    items = {number: -number for number in range(100)}
    other = dict(reversed(items.items()))
    assert hash(FrozenMap(items)) == hash(FrozenMap(other))
    assert FrozenMap(items) == FrozenMap(other)
    assert len({hash(FrozenMap({number: 1})) for number in range(100)}) == 100
