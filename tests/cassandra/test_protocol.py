"""The protocol without a session, over a blocking socket, with a real node."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.protocol import values
from triocql.abc import Address
from triocql.errors import ResponseError
from triocql.protocol import requests
from triocql.protocol.constants import UNSET, Consistency, Opcode
from triocql.protocol.framing import Framing
from triocql.protocol.handshake import Handshake
from triocql.protocol.login import Login
from triocql.protocol.requests import BatchEntry, QueryParameters
from triocql.protocol.responses import Message, Prepared, RowsHeader, decode_message, split_extras

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.protocol.compression import Algorithm
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra
every_wire = pytest.mark.parametrize(
    ("version", "algorithm"),
    [(3, None), (3, "lz4"), (3, "snappy"), (4, None), (4, "lz4"), (4, "snappy"), (5, None), (5, "lz4")],
)
BLOB = bytes(range(256)) * 1500
"""Three segments, uncompressed."""

ONE = Consistency.ONE


class Client:
    """One request at a time; what cannot be done raises."""

    def __init__(self, sock: socket.socket, version: int, algorithm: Algorithm | None) -> None:
        self.socket = sock
        self.wire = Framing(version)
        self.wire.use_compression(algorithm)
        self.handshake = Handshake(version, Login(None, Address("127.0.0.1", 9042)), compression=algorithm)
        request: tuple[int, bytes] | None = self.handshake.begin()
        while request is not None:
            request = self.handshake.receive(*self.exchange(*request))

    def exchange(self, opcode: int, body: bytes) -> tuple[int, int, bytes]:
        self.socket.sendall(self.wire.encode([(7, 0, opcode, body)]))
        frames = self.wire.receive(self.socket.recv(65536))
        while not frames:
            frames = self.wire.receive(self.socket.recv(65536))
        ((stream, flags, answer, content),) = frames
        assert stream == 7
        return answer, flags, content

    def ask(self, opcode: int, body: bytes) -> tuple[Message, bytes]:
        answer, flags, content = self.exchange(opcode, body)
        message = decode_message(answer, content, split_extras(flags, content)[1], self.wire.version)
        if isinstance(message, ResponseError):
            raise message
        return message, content

    def query(self, text: str, parameters: QueryParameters | None = None) -> bytes:
        """Return the cells of the answer."""
        body = requests.query(self.wire.version, text, parameters or QueryParameters(ONE))
        message, content = self.ask(Opcode.QUERY, body)
        return content[message.rows_offset :] if isinstance(message, RowsHeader) else b""


@contextmanager
def client(cluster: CassandraCluster, version: int, algorithm: Algorithm | None = None) -> Iterator[Client]:
    with socket.create_connection((cluster.nodes[0].address, cluster.nodes[0].port), timeout=30) as sock:
        yield Client(sock, version, algorithm)


@pytest.fixture
def table(cassandra: CassandraCluster) -> str:
    with client(cassandra, 4) as node:
        options = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        node.query(f"CREATE KEYSPACE IF NOT EXISTS protocol_tests WITH replication = {options}")
        node.query("CREATE TABLE IF NOT EXISTS protocol_tests.t (k int PRIMARY KEY, a blob, b blob)")
        node.query("TRUNCATE protocol_tests.t")
    return "protocol_tests.t"


def cell(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@every_wire
def test_long_values_there_and_back(
    cassandra: CassandraCluster, table: str, version: int, algorithm: Algorithm | None
) -> None:
    with client(cassandra, version, algorithm) as node:
        bound = values.in_order([bytes(4), BLOB, None])
        node.query(f"INSERT INTO {table} (k, a, b) VALUES (?, ?, ?)", QueryParameters(ONE, bound))
        assert node.query(f"SELECT a, b FROM {table}") == cell(BLOB) + b"\xff\xff\xff\xff"


@every_wire
def test_prepared_statements_and_batches(
    cassandra: CassandraCluster, table: str, version: int, algorithm: Algorithm | None
) -> None:
    with client(cassandra, version, algorithm) as node:
        text = f"INSERT INTO {table} (k, a, b) VALUES (?, ?, ?)"
        prepared, _ = node.ask(Opcode.PREPARE, requests.prepare(version, text))
        assert isinstance(prepared, Prepared)
        bound = values.in_order([bytes(4), b"a", b"b"])
        parameters = QueryParameters(ONE, bound, skip_metadata=True, timestamp=1)
        node.ask(Opcode.EXECUTE, requests.execute(version, prepared.id, prepared.metadata_id, parameters))
        again = values.in_order([bytes(4), b"A", b"B"])
        batch = [BatchEntry(prepared.id, again), BatchEntry(f"DELETE b FROM {table} WHERE k = 0")]
        last = QueryParameters(ONE, timestamp=2, serial_consistency=Consistency.SERIAL)
        node.ask(Opcode.BATCH, requests.batch(version, 0, batch, last))
        assert node.query(f"SELECT a, b FROM {table}") == cell(b"A") + b"\xff\xff\xff\xff"


@pytest.mark.parametrize("version", [4, 5])
def test_unset_values_and_values_with_names(cassandra: CassandraCluster, table: str, version: int) -> None:
    with client(cassandra, version) as node:
        node.query(f"INSERT INTO {table} (k, a, b) VALUES (0, 0x01, 0x02)")
        bound = values.with_names({"b": None, "a": UNSET, "k": bytes(4)})
        parameters = QueryParameters(ONE, bound, value_names=True)
        node.query(f"INSERT INTO {table} (k, a, b) VALUES (:k, :a, :b)", parameters)
        assert node.query(f"SELECT a, b FROM {table}") == cell(b"\1") + b"\xff\xff\xff\xff"


def test_what_v5_can_say_of_a_single_request(cassandra: CassandraCluster, table: str) -> None:
    with client(cassandra, 5) as node:
        node.query(f"INSERT INTO {table} (k, a) VALUES (0, 0x01) USING TTL 1000")
        name = table.partition(".")[2]
        here = QueryParameters(ONE, keyspace="protocol_tests")
        assert node.query(f"SELECT a FROM {name}", here) == cell(b"\1")
        in_2033 = QueryParameters(ONE, keyspace="protocol_tests", now_in_seconds=2_000_000_000)
        assert node.query(f"SELECT a FROM {name}", in_2033) == b""
        prepared, _ = node.ask(Opcode.PREPARE, requests.prepare(5, f"SELECT a FROM {name}", "protocol_tests"))
        assert isinstance(prepared, Prepared)
