"""Have real Cassandra 5.0 nodes tell the tokens of keys, one node for each partitioner, and keep them.

python -m tests.metadata.capture_tokens
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from tests.codecs.capture import Connection
from tests.codecs.helpers import decode
from triocql.codecs.registry import Registry
from triocql.protocol.constants import V4, Consistency, Opcode
from triocql.protocol.requests import QueryParameters, execute
from triocql.protocol.responses import RowsHeader, decode_message
from triocql.testing.cassandra import CassandraCluster

from .keys import CAPTURED, MURMUR3_TOKENS, PARTITIONERS, TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYSPACE = "captured"
OTHERS = {"RandomPartitioner": "0", "ByteOrderedPartitioner": "00ff"}
"""Other partitioners, with the token of their node."""


def cells(body: bytes, count: int) -> Iterator[list[bytes]]:
    """Yield the cells of each row in a RESULT of kind rows."""
    header = decode_message(Opcode.RESULT, body, 0, V4)
    assert isinstance(header, RowsHeader)
    at = header.rows_offset
    for _ in range(header.row_count):
        row = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", body, at)
            row.append(body[at + 4 : at + 4 + size])
            at += 4 + size
        yield row


def tokens(connection: Connection, name: str, table: Table, registry: Registry) -> list[bytes]:
    """Insert the rows of a table, and return the token of each as the node has it."""
    names = [f"k{i}" for i in range(len(table.types))]
    typed = [
        f"{name} {kind.replace('address', f'{KEYSPACE}.address')}"
        for name, kind in zip(names, table.types, strict=True)
    ]
    listed = ", ".join(names)
    connection.run(f"CREATE TABLE {KEYSPACE}.{name} ({', '.join(typed)}, PRIMARY KEY (({listed})))")
    insert = connection.prepare(
        f"INSERT INTO {KEYSPACE}.{name} ({listed}) VALUES ({', '.join('?' * len(names))})"
    )
    bound = list(table.bound(registry))
    for values in bound:
        parameters = QueryParameters(Consistency.ONE, values=values)
        connection.ask(Opcode.EXECUTE, execute(V4, insert.id, None, parameters))
    rows = cells(connection.run(f"SELECT token({listed}), {listed} FROM {KEYSPACE}.{name}"), len(names) + 1)
    told = {tuple(key): token for token, *key in rows}
    return [told[tuple(parts(values))] for values in bound]


def parts(values: bytes) -> Iterator[bytes]:
    """Yield the values out of what is bound."""
    at = 2
    while at < len(values):
        (size,) = struct.unpack_from(">i", values, at)
        yield values[at + 4 : at + 4 + size]
        at += 4 + size


def empty_key_token(connection: Connection) -> bytes:
    """Return the token of the empty key. Only a view may have it."""
    view = "PRIMARY KEY (v, id)"
    connection.run(f"CREATE TABLE {KEYSPACE}.base (id int PRIMARY KEY, v text)")
    connection.run(
        f"CREATE MATERIALIZED VIEW {KEYSPACE}.by_v AS SELECT v, id FROM {KEYSPACE}.base"
        f" WHERE v IS NOT NULL AND id IS NOT NULL {view}"
    )
    connection.run(f"INSERT INTO {KEYSPACE}.base (id, v) VALUES (1, '')")
    while True:  # views are written in the background
        for row in cells(connection.run(f"SELECT token(v) FROM {KEYSPACE}.by_v"), 1):
            return row[0]


def capture(
    partitioner: str, own: Mapping[str, object], rows: int | None
) -> tuple[dict[str, object], list[bytes]]:
    """Return what a node with a partitioner tells: its own tokens and the one of the empty key, as text; and those of
    the first rows of all tables.
    """
    registry = Registry()
    with CassandraCluster(yaml={"partitioner": f"org.apache.cassandra.dht.{partitioner}", **own}) as cluster:
        connection = Connection(cluster.nodes[0].address)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        connection.run(f"CREATE KEYSPACE {KEYSPACE} WITH replication = {replication}")
        connection.run(f"CREATE TYPE {KEYSPACE}.address (street text, number int, class text)")
        told = [
            token
            for i, table in enumerate(TABLES)
            for token in tokens(connection, f"t{i}", Table(table.types, table.rows[:rows]), registry)
        ]
        empty = shown(partitioner, empty_key_token(connection))
        name, texts = next(cells(connection.run("SELECT partitioner, tokens FROM system.local"), 2))
    node = sorted(decode(registry, "set<text>", texts))
    return {"class": name.decode(), "node": node, "empty": empty}, told


def shown(partitioner: str, token: bytes) -> str:
    """Return a token as system tables have it."""
    return (
        token.hex()
        if partitioner == "ByteOrderedPartitioner"
        else str(int.from_bytes(token, "big", signed=True))
    )


def main() -> None:
    """Capture."""
    captured = {}
    captured["Murmur3Partitioner"], every = capture("Murmur3Partitioner", {}, None)
    for partitioner, own in OTHERS.items():
        told, some = capture(partitioner, {"num_tokens": 1, "initial_token": own}, 1)
        captured[partitioner] = {**told, "keys": [shown(partitioner, token) for token in some]}
    CAPTURED.mkdir(exist_ok=True)
    MURMUR3_TOKENS.write_bytes(b"".join(every))
    PARTITIONERS.write_text(json.dumps(captured, indent=1) + "\n")
    print(f"{MURMUR3_TOKENS}: {len(every)} tokens")


if __name__ == "__main__":
    main()
