"""Have a real Cassandra 5.0 node write one value of every type, and keep the page in which it gives them back.

    python -m tests.codecs.capture

It checks on the way that the node takes what triocql binds, and has the same bytes for it as for the CQL literal.
"""

from __future__ import annotations

import socket
import struct

from triocql.codecs.registry import Registry
from triocql.protocol.constants import V4, Consistency, Opcode
from triocql.protocol.requests import QueryParameters, execute, prepare, query, startup
from triocql.protocol.responses import Prepared, RowsHeader, decode_message
from triocql.testing.cassandra import CassandraCluster

from .server_values import CAPTURED, VALUES

KEYSPACE = "captured"
ONE = QueryParameters(consistency=Consistency.ONE)


class Connection:
    """A blocking connection of protocol v4, one request at a time."""

    def __init__(self, host: str) -> None:
        self._socket = socket.create_connection((host, 9042), timeout=30)
        self.ask(Opcode.STARTUP, startup({"CQL_VERSION": "3.0.0"}))

    def ask(self, opcode: Opcode, body: bytes) -> tuple[int, bytes]:
        """Send a request, and return opcode and body of its answer."""
        self._socket.sendall(struct.pack(">BBhBi", V4, 0, 0, opcode, len(body)) + body)
        _, _, _, answer, length = struct.unpack(">BBhBi", self._read(9))
        content = self._read(length)
        if answer == Opcode.ERROR:
            raise RuntimeError(str(decode_message(answer, content, 0, V4)))
        return answer, content

    def run(self, text: str) -> bytes:
        """Run a query, and return the body of its answer."""
        return self.ask(Opcode.QUERY, query(V4, text, ONE))[1]

    def prepare(self, text: str) -> Prepared:
        """Prepare a statement."""
        opcode, body = self.ask(Opcode.PREPARE, prepare(V4, text))
        message = decode_message(opcode, body, 0, V4)
        assert isinstance(message, Prepared)
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the node has closed the connection")
            data += part
        return data


def create(connection: Connection) -> None:
    """Create the table, and its row with the id 1 from literals."""
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    connection.run(f"CREATE KEYSPACE {KEYSPACE} WITH replication = {replication}")
    connection.run(f"CREATE TYPE {KEYSPACE}.address (street text, number int, class text)")
    named = [
        f"c{i:02} {name.replace('address', KEYSPACE + '.address')}" for i, (name, _, _) in enumerate(VALUES)
    ]
    connection.run(f"CREATE TABLE {KEYSPACE}.t (id int PRIMARY KEY, {', '.join(named)})")
    names = ", ".join(f"c{i:02}" for i in range(len(VALUES)))
    literals = ", ".join(literal for _, literal, _ in VALUES)
    connection.run(f"INSERT INTO {KEYSPACE}.t (id, {names}) VALUES (1, {literals})")


def bind_the_same(connection: Connection) -> None:
    """Insert the same values under the id 2, bound by triocql."""
    names = [f"c{i:02}" for i in range(len(VALUES))]
    markers = ", ".join("?" * (len(names) + 1))
    statement = connection.prepare(f"INSERT INTO {KEYSPACE}.t (id, {', '.join(names)}) VALUES ({markers})")
    values = Registry().binder(statement.bind_columns).bind([2, *(value for _, _, value in VALUES)])
    connection.ask(
        Opcode.EXECUTE, execute(V4, statement.id, None, QueryParameters(Consistency.ONE, values=values))
    )


def rows_of(body: bytes) -> bytes:
    """Return the bytes of the rows in a RESULT, without the metadata."""
    header = decode_message(Opcode.RESULT, body, 0, V4)
    assert isinstance(header, RowsHeader)
    return body[header.rows_offset :]


def main() -> None:
    """Capture, and compare."""
    names = ", ".join(f"c{i:02}" for i in range(len(VALUES)))
    with CassandraCluster() as cluster:
        connection = Connection(cluster.nodes[0].address)
        create(connection)
        bind_the_same(connection)
        literal = connection.run(f"SELECT {names} FROM {KEYSPACE}.t WHERE id = 1")
        bound = connection.run(f"SELECT {names} FROM {KEYSPACE}.t WHERE id = 2")
    if rows_of(literal) != rows_of(bound):
        raise SystemExit("the node has other bytes for what triocql bound than for its own literals")
    CAPTURED.parent.mkdir(exist_ok=True)
    CAPTURED.write_bytes(literal)
    print(f"{CAPTURED}: {len(literal)} bytes; the bound row has the same")


if __name__ == "__main__":
    main()
