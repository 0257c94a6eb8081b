"""Hints about tablets, written by hand, field by field."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.metadata.node import Node

Replica = tuple[UUID, int]


def field(content: bytes | None) -> bytes:
    """Return a field of a tuple, or an element of a list: its length and its bytes."""
    return pack(">i", -1) if content is None else pack(">i", len(content)) + content


def replica(host_id: bytes, shard: int) -> bytes:
    return field(host_id) + field(pack(">i", shard))


def hint(
    first: int, last: int, replicas: Sequence[Replica], version: int | None = None, more: bytes = b""
) -> bytes:
    listed = b"".join(field(replica(host_id.bytes, shard)) for host_id, shard in replicas)
    of_v1 = field(pack(">q", first)) + field(pack(">q", last)) + field(pack(">i", len(replicas)) + listed)
    return of_v1 + (b"" if version is None else field(pack(">Q", version))) + more


def on(nodes: Sequence[Node], *shards: int) -> list[Replica]:
    """Return replicas on these nodes, at these shards."""
    return [(node.host_id or UUID(int=0), shard) for node, shard in zip(nodes, shards, strict=True)]
