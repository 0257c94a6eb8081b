"""The shard of a token: the vectors of other drivers, random triples, and both implementations."""

from __future__ import annotations

import random

import pytest

from triocql.engine.connections import Target
from triocql.metadata.sharding import Sharder, shard_of

_MIN, _MAX = -(2**63), 2**63 - 1

# Token, count of shards, ignored bits, shard: what drivers of ScyllaDB in Python, Cython, Rust, Go and Java agree on.
VECTORS = [
    (_MIN, 4, 12, 0),
    (_MIN + 1, 4, 12, 0),
    (-1, 4, 12, 3),
    (0, 4, 12, 0),
    (1, 4, 12, 0),
    (_MAX, 4, 12, 3),
    (-9219783007514621794, 4, 12, 3),
    (9222582454147032830, 4, 12, 3),
    (0, 12, 0, 6),
    (-1, 12, 0, 5),
    (_MAX, 12, 0, 11),
    (_MIN, 12, 0, 0),
    (-8839064797231613815, 12, 12, 4),
    (8833996863197925870, 12, 12, 6),
    (-8198557465434950441, 12, 12, 6),
    (-4200008757497435756, 12, 12, 4),
    (2739050094959918959, 12, 12, 2),
    (-4069959284402364209, 8, 12, 2),
    (-3248873570005575792, 8, 12, 4),
    (9010454139840013625, 8, 12, 5),
    (6292367497774912474, 3, 12, 0),
    (-4611686018427387904, 2, 0, 0),
    (4611686018427387904, 2, 0, 1),
    (-4611686018427387904, 2, 1, 1),
    (1234567890123456789, 1, 12, 0),
    (1234567890123456789, 7, 12, 0),
    (-1234567890123456789, 96, 12, 83),
    (-6917529027641081857, 128, 12, 127),
    (4503599627370495, 256, 12, 255),
    (-8611686018427387905, 65_535, 12, 53_842),
]


def sharded(shard_count: int, ignore_msb: int) -> Target:
    """Return the target of a node with shards."""
    target = Target()
    target.divide(shard_count, ignore_msb, [])
    return target


@pytest.mark.parametrize(("token", "shard_count", "ignore_msb", "shard"), VECTORS)
def test_the_vectors_of_other_drivers(token: int, shard_count: int, ignore_msb: int, shard: int) -> None:
    """Test 1 of the list, first half."""
    assert shard_of(token, shard_count, ignore_msb) == shard
    assert Sharder(shard_count, ignore_msb).shard_of(token) == shard
    assert sharded(shard_count, ignore_msb).shard_of(token) == shard


def test_there_are_30_vectors() -> None:
    assert len(VECTORS) == len(set(VECTORS)) == 30


def test_both_implementations_are_the_formula() -> None:
    """Test 1 of the list, second half: 200,000 random triples, in each implementation."""
    seeded = random.Random(16)
    for _ in range(1000):
        shard_count, ignore_msb = seeded.choice([1, 2, 7, 12, 64, 65_535]), seeded.randrange(64)
        target = sharded(shard_count, ignore_msb)
        for _ in range(200):
            token = seeded.getrandbits(64) - 2**63
            expected = ((((token + 2**63) << ignore_msb) % 2**64) * shard_count) >> 64
            assert 0 <= expected < shard_count
            assert shard_of(token, shard_count, ignore_msb) == expected
            assert target.shard_of(token) == expected


def test_a_node_without_shards_has_none_for_any_token() -> None:
    assert Target().shard_of(0) == -1
