"""What a node of ScyllaDB tells of a tablet beside an answer, when a request has come to the wrong node or shard."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

V1: Final = "tablets-routing-v1"
"""The key of hints in the custom payload of an answer."""

V2: Final = "tablets-routing-v2"
"""The key of those that have a version, too."""

MOST_REPLICAS: Final = 256
"""How many replicas a tablet may have. No cluster has that many copies of its data."""

MOST_SHARDS: Final = 65_535
"""How many shards a node may have."""

_RANGE: Final = Struct(">iqiqii")
_LONG: Final = Struct(">iq")
_REPLICA: Final = Struct(">ii16sii")
_VERSIONS: Final = 2**64 - 1


class BadHint(ValueError):
    """What a node tells of a tablet cannot be read, or cannot be."""


class Hint(NamedTuple):
    """What a node tells of a tablet.

    Attributes:
        first, last: its tokens: those behind `first`, up to and with `last`.
        host_ids: those of its replicas, 16 bytes each.
        shards: the shard of each of these that has it.
        version: what stands for its replicas, from 0 up to 2**64 - 1; None in hints that have none.
    """

    first: int
    last: int
    host_ids: tuple[bytes, ...]
    shards: tuple[int, ...]
    version: int | None = None


def read_hint(value: bytes | None, *, versioned: bool = False) -> Hint:
    """Read a hint: a CQL ``tuple<bigint, bigint, list<frozen<tuple<uuid, int>>>>``, or with a ``bigint`` more.

    Fields that follow are left out, in replicas, too: newer servers may have more to tell.

    Args:
        value: its bytes, from the custom payload.
        versioned: whether it has to have a version.

    Raises:
        BadHint: it is cut off, or none that can be.
    """
    value = value or b""
    if not versioned and (usual := _usual(value)) is not None:
        return usual
    if len(value) < _RANGE.size:
        raise BadHint(f"it has only {len(value)} bytes")
    eight, first, also_eight, last, size, count = _RANGE.unpack_from(value)
    if eight != 8 or also_eight != 8:
        raise BadHint("its tokens are no numbers of 64 bits")
    if first >= last:
        raise BadHint(f"its first token, {first}, is not before its last one, {last}")
    end = _RANGE.size - 4 + size
    if size < 4 or end > len(value):
        raise BadHint(
            f"its replicas should have {size} bytes, of which {len(value) - _RANGE.size + 4} are there"
        )
    replicas = _replicas(value, end, count)
    version = _version(value, end) if versioned else None
    return Hint(first, last, tuple(replicas), tuple(replicas.values()), version)


class _Layout(NamedTuple):
    """Where everything is in a hint of so many replicas, as nearly all of them are.

    Attributes:
        mask: has ones where all have the same bits.
        same: what these are.
        parts: the first and the last token; then for each replica, the host_id and the shard.
    """

    mask: int
    same: int
    parts: Struct

    @classmethod
    def of(cls, count: int) -> _Layout:
        """Return the layout of hints of so many replicas. Shards have two bytes that are not 0."""
        nothing = bytes(16)
        head, each = _RANGE.pack(8, 0, 8, 0, 4 + count * _REPLICA.size, count), _REPLICA.size - 4
        mask = _RANGE.pack(-1, 0, -1, 0, -1, -1) + count * _REPLICA.pack(-1, -1, nothing, -1, -65_536)
        same = head + count * _REPLICA.pack(each, 16, nothing, 4, 0)
        parts = Struct(">4xq4xq8x" + count * "8x16s4xi")
        return cls(int.from_bytes(mask, "big"), int.from_bytes(same, "big"), parts)


_LAYOUTS: Final = {layout.parts.size: layout for layout in map(_Layout.of, range(1, 10))}


def _usual(value: bytes) -> Hint | None:
    """Return what a hint says that is as nearly all of them are, at once; None for any other, and for what is none."""
    layout = _LAYOUTS.get(len(value))
    if layout is None or int.from_bytes(value, "big") & layout.mask != layout.same:
        return None
    parts = layout.parts.unpack(value)
    first, last, ids, shards = parts[0], parts[1], parts[2::2], parts[3::2]
    if first >= last or max(shards) >= MOST_SHARDS or len(set(ids)) < len(ids):
        return None
    return Hint(first, last, ids, shards)


def _replicas(value: bytes, end: int, count: int) -> dict[bytes, int]:
    """Return the shards of the replicas, by host_id."""
    if not 0 < count <= MOST_REPLICAS:
        raise BadHint(f"it has {count} replicas")
    found: dict[bytes, int] = {}
    at = _RANGE.size
    for _ in range(count):
        if at + _REPLICA.size > end:
            raise BadHint(f"it has fewer replicas than the {count} that it says")
        size, sixteen, host_id, four, shard = _REPLICA.unpack_from(value, at)
        if sixteen != 16 or four != 4 or size < _REPLICA.size - 4:
            raise BadHint("a replica is not a uuid and an int")
        if not 0 <= shard < MOST_SHARDS:
            raise BadHint(f"a replica is on shard {shard}")
        found.setdefault(host_id, shard)
        at += 4 + size
    if at != end:
        raise BadHint("its replicas have another length than it says")
    return found


def _version(value: bytes, at: int) -> int:
    if at + _LONG.size > len(value):
        raise BadHint("it has no version")
    size, version = _LONG.unpack_from(value, at)
    if size != 8:
        raise BadHint("its version is no number of 64 bits")
    return int(version) & _VERSIONS
