"""Sets of every type, with values on both sides of whatever a comparator looks at, and how a real node sorted them."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from triocql.codecs.temporal import Date, Time, Timestamp
from triocql.codecs.values import EMPTY

CAPTURED = Path(__file__).with_name("captured") / "cassandra-5.0-order.txt"
"""A type and the bytes of a set of it in each line, written by `capture_order.py`."""

_random = Random(7)


def _integers(bits: int) -> list[Any]:
    edges = [-(2 ** (bits - 1)), -1, 0, 1, 2 ** (bits - 1) - 1]
    return edges + [_random.getrandbits(bits) - 2 ** (bits - 1) for _ in range(20)]


def _some(make: Callable[[], Any], count: int = 20) -> list[Any]:
    return [make() for _ in range(count)]


def _floats() -> list[Any]:
    edges = [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -1e-45]
    return edges + _some(lambda: _random.uniform(-1000, 1000))


def _varints() -> list[int]:
    numbers = _some(lambda: _random.getrandbits(_random.choice((7, 8, 15, 16, 63, 64, 200))))
    return [0, -1, 127, 128, -128, -129, 2**63, -(2**63), *numbers, *(-number for number in numbers)]


def _decimals() -> list[Decimal]:
    edges = "0 0E+5 1.0 1.00 1 -1 1E+400 -1E+400 1E-400 -1E-400 99 100 1E+2"
    return [
        *map(Decimal, edges.split()),
        *_some(lambda: Decimal(_random.randrange(-999, 999)).scaleb(_small())),
    ]


def _uuid(version: int) -> UUID:
    return UUID(int=_random.getrandbits(128) & ~(0xF << 76) | version << 76)


def _time_uuids() -> list[UUID]:
    """Some of one time, which differ in the other bytes."""
    one = _uuid(1)
    return [
        *(UUID(int=one.int & ~(2**64 - 1) | _random.getrandbits(64)) for _ in range(20)),
        *_some(lambda: _uuid(1)),
    ]


def _uuids() -> list[UUID]:
    return [
        *_time_uuids(),
        *_some(lambda: _uuid(_random.randrange(16)), 60),
        UUID(int=0),
        UUID(int=2**128 - 1),
    ]


def _bytes() -> bytes:
    return _random.randbytes(_random.randrange(4))


def _address() -> str:
    return _random.choice(("1.2.3.", "200.1.1.")) + str(_random.randrange(256))


def _small() -> int:
    return _random.randrange(-2, 3)


def _maybe(value: Any) -> Any:
    return _random.choice((None, value))


def _nested() -> list[dict[Decimal, tuple[UUID | None, int]]]:
    return [{Decimal(_small()): (_maybe(_uuid(_random.choice((1, 4)))), _small())}]


ELEMENTS: list[tuple[str, list[Any]]] = [
    ("ascii", _some(lambda: "".join(_random.choices("aAzZ~0", k=_random.randrange(4))))),
    ("bigint", [EMPTY, *_integers(64)]),
    ("blob", _some(_bytes, 40)),
    ("boolean", [True, False]),
    ("date", [Date(number) for number in _integers(32)]),
    ("decimal", [EMPTY, *_decimals()]),
    ("double", [EMPTY, *_floats()]),
    ("float", [EMPTY, *_floats()]),
    ("inet", [*_some(_address), "::1", "ff::", "102::"]),
    ("int", [EMPTY, *_integers(32)]),
    ("smallint", _integers(16)),
    ("text", ["", "a", "A", "é", "z", "ﬁ", "😀", "\uffff", "aa", "\0"]),
    ("time", [Time(number) for number in (0, 1, 86_399_999_999_999, 255, 256, 2**32, 2**40)]),
    ("timestamp", [EMPTY, *map(Timestamp, _integers(64))]),
    ("timeuuid", _time_uuids()),
    ("tinyint", _integers(8)),
    ("uuid", _uuids()),
    ("varint", [EMPTY, *_varints()]),
    ("list<int>", [[_small() for _ in range(_random.randrange(4))] for _ in range(30)]),
    ("set<int>", [[_small() for _ in range(_random.randrange(4))] for _ in range(30)]),
    (
        "map<int, double>",
        [{_small(): float(_small()) for _ in range(_random.randrange(3))} for _ in range(30)],
    ),
    ("tuple<int, text>", [(_maybe(_small()), _maybe(_random.choice(("", "a", "b")))) for _ in range(40)]),
    ("pair", [(_maybe(_small()), _maybe(_random.choice(("", "a", "b")))) for _ in range(40)]),
    ("vector<int, 2>", [[_small(), _small()] for _ in range(30)]),
    ("vector<varint, 2>", [[_small() * 200, _small()] for _ in range(30)]),
    ("vector<vector<double, 1>, 2>", [[[float(_small())], [float(_small())]] for _ in range(30)]),
    ("list<frozen<map<decimal, frozen<tuple<uuid, varint>>>>>", _some(_nested, 30)),
]
