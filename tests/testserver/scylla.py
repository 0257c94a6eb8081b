"""A bare client of the test server's Scylla mode, which prepares and executes."""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

from tests.testserver.world import Client, World
from triocql.abc import Address
from triocql.testing.server import Opcode
from triocql.testing.server.encoder import FLAG_PAYLOAD
from triocql.testing.server.framing import Frame
from triocql.testing.server.wire import Reader, short_bytes, string, value

TABLETS_SCHEMA = """
CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}
    AND tablets = {'enabled': true, 'initial': 4};
CREATE TABLE shop.users (id int PRIMARY KEY, name text)
"""


def dial(world: World, node: int = 0, shard: int | None = None, address: Address | None = None) -> Client:
    """Return a client at a node that has said nothing yet: at the shard-aware port for a shard, or at an address."""
    at = world.server.nodes[node]
    shards = 1 if at.scylla is None else at.scylla.shards
    local_port = None if shard is None else _free(world, 49152 + (shard - 49152) % shards, shards)
    ordinary = at.address.port if shard is None else at.shard_aware_port or 0
    client = Client(world, 4)

    async def main() -> None:
        target = address or Address(at.address.host, ordinary)
        await world.reactor.connect(target, client, timeout=5, local_port=local_port)

    world.reactor.run(main)
    return client


def _free(world: World, port: int, step: int) -> int:
    used = {connection.peer_port for connection in world.server.connections}
    return next(each for each in range(port, 65536, step) if each not in used)


def startup(client: Client, *extensions: str, **options: str) -> Frame:
    """Say STARTUP with these extensions, and return the answer."""
    options = {"CQL_VERSION": "3.0.0", **dict.fromkeys(extensions, ""), **options}
    pairs = b"".join(string(each) for pair in options.items() for each in pair)
    return one(client, Opcode.STARTUP, struct.pack(">H", len(options)) + pairs)


def one(client: Client, opcode: int, body: bytes = b"") -> Frame:
    """Send a request and return the one frame that has come."""
    client.received.clear()
    (frame,) = client.ask(opcode, body)
    return frame


def prepare(client: Client, text: str) -> Frame:
    """Prepare, and return the answer."""
    return one(client, Opcode.PREPARE, struct.pack(">i", len(text)) + text.encode())


def statement_id(prepared: Frame) -> bytes:
    """Return the id in the answer to PREPARE."""
    reader = Reader(prepared.body)
    assert reader.integer() == 4
    return reader.short_bytes()


def execute(
    client: Client,
    id_: bytes,
    *values: bytes,
    metadata_id: bytes | None = None,
    flags: int = 0,
    tail: bytes = b"",
) -> Frame:
    """Execute at ONE, with a metadata id where one is given, and return the answer."""
    body = short_bytes(id_) + (b"" if metadata_id is None else short_bytes(metadata_id))
    body += struct.pack(">HBH", 1, flags | 1, len(values)) + b"".join(map(value, values))
    return one(client, Opcode.EXECUTE, body + tail)


def payload(frame: Frame) -> dict[str, Any]:
    """Return the payload that goes along with an answer."""
    return Reader(frame.body).bytes_map() if frame.flags & FLAG_PAYLOAD else {}


def parsed(hint: bytes) -> tuple[int, int, list[tuple[UUID, int]], int | None]:
    """Return what a hint says: first, last, replicas, and the version of v2."""
    outer = Reader(hint)
    first, last, listed = (outer.nullable_bytes() or b"" for _ in range(3))
    inner = Reader(listed)
    replicas = []
    for _ in range(inner.integer()):
        pair = Reader(inner.nullable_bytes() or b"")
        host, shard = pair.nullable_bytes() or b"", pair.nullable_bytes() or b""
        replicas.append((UUID(bytes=host), int.from_bytes(shard, "big", signed=True)))
    rest = hint[len(first) + len(last) + len(listed) + 12 :]
    version = int.from_bytes(rest[4:], "big") if rest else None
    return (
        int.from_bytes(first, "big", signed=True),
        int.from_bytes(last, "big", signed=True),
        replicas,
        version,
    )
