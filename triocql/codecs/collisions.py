"""Elements of sets and keys of maps that have one hash, so that Python takes quadratic time for them.

The hash of a number is its remainder by 2**61 - 1, and that of a tuple can be calculated, too: whoever may write such
values can choose as many of one hash as they like. Texts and blobs have a hash that nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from triocql.codecs.scalars import BlobNode, BooleanNode, FloatingNode, InetNode, IntegerNode, TextNode
from triocql.codecs.temporal import DateNode, TimeNode, TimestampNode
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from triocql.codecs.node import Node

MOST_ALIKE = 256
"""How many elements of one hash are taken: in no set of honest numbers are there ten."""

_SAFE = (
    BlobNode,
    BooleanNode,
    DateNode,
    FloatingNode,
    InetNode,
    IntegerNode,
    TextNode,
    TimeNode,
    TimestampNode,
)


def can_collide(node: Node) -> bool:
    """Return whether a type has any number of values of one hash; those of 8 bytes have a few of each at most."""
    return not isinstance(node, _SAFE)


def check_hashes(values: Collection[Any]) -> None:
    """Refuse values of which too many have one hash."""
    if len(values) > MOST_ALIKE and max(Counter(map(hash, values)).values()) > MOST_ALIKE:
        raise DecodeError(
            f"more than {MOST_ALIKE} elements that have one hash: to read them would take quadratic time"
        )
