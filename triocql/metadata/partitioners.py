"""Partitioners: what makes the token of a partition out of its key. A token says where on the ring it is."""

from __future__ import annotations

import re
from hashlib import md5
from typing import TYPE_CHECKING, Final, TypeAlias

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.metadata.murmur3 import murmur3
else:
    from triocql.metadata._murmur3 import murmur3

if TYPE_CHECKING:
    from collections.abc import Mapping

Token: TypeAlias = int | bytes

MIN_LONG: Final = -(2**63)
MAX_LONG: Final = 2**63 - 1

_HEXADECIMAL: Final = re.compile(r"(?:[0-9a-fA-F]{2})*", re.ASCII)


class Partitioner:
    """Makes tokens. Those of one partitioner can be compared with one another, and with no others.

    Attributes:
        name: the name of its class on the server, without the package.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def token(self, routing_key: bytes) -> Token:
        """Return the token of a partition.

        Args:
            routing_key: its key, serialized as nodes hash it.
        """
        raise NotImplementedError

    def parse(self, text: str) -> Token:
        """Return the token that a system table has as text.

        Raises:
            ValueError: it is none of this partitioner.
        """
        raise NotImplementedError


class Murmur3Partitioner(Partitioner):
    """The default of Cassandra: tokens are signed numbers of 64 bits.

    >>> MURMUR3.token(b"123")
    -7468325962851647638
    """

    __slots__ = ()

    def token(self, routing_key: bytes) -> int:
        """Return the token of a partition: its hash. The least number is kept for the key that is empty."""
        if routing_key == b"":
            return MIN_LONG
        token = murmur3(routing_key)
        return MAX_LONG if token == MIN_LONG else token

    def parse(self, text: str) -> int:
        """Return the token that a system table has as text."""
        return _number(text, MIN_LONG, MAX_LONG)


class RandomPartitioner(Partitioner):
    """The default before Cassandra 1.2: tokens are numbers from 0 to 2**127.

    >>> RANDOM.token(b"123")
    42767516990368493138776584305024125808
    """

    __slots__ = ()

    def token(self, routing_key: bytes) -> int:
        """Return the token of a partition: the magnitude of its MD5, taken for a signed number."""
        if routing_key == b"":
            return -1
        digest = md5(routing_key, usedforsecurity=False).digest()
        return abs(int.from_bytes(digest, "big", signed=True))

    def parse(self, text: str) -> int:
        """Return the token that a system table has as text."""
        return _number(text, -1, 2**127)


class ByteOrderedPartitioner(Partitioner):
    """Partitions in the order of their keys: tokens are the keys themselves.

    >>> BYTE_ORDERED.parse("00ff")
    b'\\x00\\xff'
    """

    __slots__ = ()

    def token(self, routing_key: bytes) -> bytes:
        """Return the token of a partition: its key."""
        return routing_key

    def parse(self, text: str) -> bytes:
        """Return the token that a system table has as text: hexadecimal."""
        if not _HEXADECIMAL.fullmatch(text):
            raise ValueError(f"{_shown(text)} is no token: it is not hexadecimal")
        return bytes.fromhex(text)


def _number(text: str, least: int, most: int) -> int:
    try:
        token = int(text)
    except ValueError:
        token = None
    if token is None or str(token) != text:  # spaces, underscores, other digits
        raise ValueError(f"{_shown(text)} is no token: it is not a number") from None
    if not least <= token <= most:
        raise ValueError(f"{_shown(text)} is no token: it is not within {least} and {most}")
    return token


def _shown(text: str) -> str:
    return repr(text if len(text) <= 50 else f"{text[:50]}...")


MURMUR3: Final = Murmur3Partitioner("Murmur3Partitioner")
RANDOM: Final = RandomPartitioner("RandomPartitioner")
BYTE_ORDERED: Final = ByteOrderedPartitioner("ByteOrderedPartitioner")

_PARTITIONERS: Final[Mapping[str, Partitioner]] = {
    each.name: each for each in (MURMUR3, RANDOM, BYTE_ORDERED)
}


def partitioner_of(class_name: str) -> Partitioner | None:
    """Return the partitioner by the name of its class on the server, as in ``system.local``, with or without the
    package; None for one whose tokens triocql cannot make: requests are not token-aware then.

    >>> partitioner_of("org.apache.cassandra.dht.Murmur3Partitioner")
    <Murmur3Partitioner>
    >>> partitioner_of("com.example.HomeMadePartitioner") is None
    True
    """
    return _PARTITIONERS.get(class_name.rpartition(".")[2])
