"""Keys of partitions, of every type that a key may have and of several parts, the same ones each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from tests.codecs.helpers import columns
from triocql.codecs import routing_key
from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Time, Timestamp

CAPTURED = Path(__file__).with_name("captured")
MURMUR3_TOKENS = CAPTURED / "cassandra-5.0-murmur3.bin"
"""The tokens of `TABLES`, in order, 8 bytes each, as a real node has told them; written by `capture_tokens.py`."""

PARTITIONERS = CAPTURED / "cassandra-5.0-partitioners.json"
"""For each partitioner, as text: the tokens of a node, that of the empty key and, but for Murmur3's, those of the
first row of each table."""


def text(random: Random) -> str:
    size = random.choice((0, 1, 2, 3, 12, 40))
    return "".join(
        chr(random.choice((random.randrange(32, 127), 0xE9, 0x20AC, 0x1F600))) for _ in range(size)
    )


def blob(random: Random) -> bytes:
    return random.randbytes(random.choice((*range(1, 34), 3_000)))


def number(bits: int) -> Callable[[Random], int]:
    """Return what makes signed numbers of at most so many bits, small ones as often as large ones."""
    return lambda random: random.randrange(-(2 ** random.randrange(bits)), 2 ** random.randrange(bits))


def several(make: Callable[[Random], Any]) -> Callable[[Random], list[Any]]:
    return lambda random: [make(random) for _ in range(random.randrange(4))]


def timeuuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128) & ~(0xF << 76) & ~(3 << 62) | 1 << 76 | 2 << 62)


MAKERS: dict[str, Callable[[Random], Any]] = {
    "ascii": lambda random: random.randbytes(random.randrange(1, 20)).hex(),
    "bigint": number(64),
    "blob": blob,
    "boolean": lambda random: random.random() < 0.5,
    "date": lambda random: Date(random.getrandbits(32) - 2**31),
    "decimal": lambda random: Decimal(random.getrandbits(70) - 2**69).scaleb(random.randrange(-9, 9)),
    "double": lambda random: random.uniform(-1e9, 1e9),
    "float": lambda random: random.randrange(-(2**20), 2**20) / 8,
    "inet": lambda random: random.choice(
        (IPv4Address(random.randbytes(4)), IPv6Address(random.randbytes(16)))
    ),
    "int": number(32),
    "smallint": number(16),
    "text": text,
    "time": lambda random: Time(random.randrange(86_400 * 10**9)),
    "timestamp": lambda random: Timestamp(random.getrandbits(63) - 2**62),
    "timeuuid": timeuuid,
    "tinyint": number(8),
    "uuid": lambda random: UUID(int=random.getrandbits(128)),
    "varint": number(150),
    "frozen<list<int>>": several(number(32)),
    "frozen<set<text>>": lambda random: set(several(text)(random)),
    "frozen<map<int, frozen<list<smallint>>>>": lambda random: {
        random.getrandbits(20): several(number(16))(random) for _ in range(3)
    },
    "frozen<tuple<int, text>>": lambda random: (random.getrandbits(31), text(random)),
    "frozen<address>": lambda random: (text(random), random.choice((None, 7)), text(random)),
    "vector<float, 3>": lambda random: [random.randrange(100) / 4 for _ in range(3)],
    "vector<text, 2>": lambda random: [text(random), text(random)],
}


class Table(NamedTuple):
    """A table by the types of its partition key, and values of these for some partitions."""

    types: tuple[str, ...]
    rows: list[list[Any]]

    def bound(self, registry: Registry) -> Iterator[bytes]:
        """Yield the values of each key as an EXECUTE has them."""
        binder = registry.binder(columns(*self.types), range(len(self.types)))
        for row in self.rows:
            yield binder.bind(row)

    def keys(self, registry: Registry) -> Iterator[bytes]:
        """Yield the serialized keys."""
        for values in self.bound(registry):
            key = routing_key(values, tuple(range(len(self.types))))
            assert key is not None
            yield key


def _row(types: tuple[str, ...], random: Random) -> list[Any]:
    row = [MAKERS[each](random) for each in types]
    return ["-"] if row == [""] else row  # a key of one part must not be empty


def _tables() -> list[Table]:
    random = Random(12)
    names = sorted(MAKERS)
    alone = [((name,), 240) for name in names]
    composed = [(tuple(random.choices(names, k=2 + i % 3)), 100) for i in range(40)]
    return [Table(types, [_row(types, random) for _ in range(size)]) for types, size in (*alone, *composed)]


TABLES = _tables()
"""10,000 keys."""
