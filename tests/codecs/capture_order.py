"""Have a real Cassandra 5.0 node sort sets of every type, and keep the sets as it gives them back.

python -m tests.codecs.capture_order
"""

from __future__ import annotations

from typing import Any

from triocql.codecs.registry import Registry
from triocql.protocol.constants import V4, Consistency, Opcode
from triocql.protocol.requests import QueryParameters, execute
from triocql.testing.cassandra import CassandraCluster

from .capture import Connection, rows_of
from .server_order import CAPTURED, ELEMENTS

KEYSPACE = "captured"


def sorted_by(connection: Connection, number: int, element: str, values: list[Any]) -> bytes:
    """Return the set of these values as the node has it."""
    table = f"{KEYSPACE}.t{number}"
    connection.run(f"CREATE TABLE {table} (id int PRIMARY KEY, v frozen<set<{element}>>)")
    statement = connection.prepare(f"INSERT INTO {table} (id, v) VALUES (1, ?)")
    bound = Registry().binder(statement.bind_columns).bind([values])
    connection.ask(
        Opcode.EXECUTE, execute(V4, statement.id, None, QueryParameters(Consistency.ONE, values=bound))
    )
    return rows_of(connection.run(f"SELECT v FROM {table}"))[8:]


def main() -> None:
    """Capture."""
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    lines = []
    with CassandraCluster() as cluster:
        connection = Connection(cluster.nodes[0].address)
        connection.run(f"CREATE KEYSPACE {KEYSPACE} WITH replication = {replication}")
        connection.run(f"CREATE TYPE {KEYSPACE}.pair (a int, b text)")
        for number, (element, values) in enumerate(ELEMENTS):
            cql_type = element.replace("pair", f"{KEYSPACE}.pair")
            raw = sorted_by(connection, number, cql_type, values)
            lines.append(f"{element}\t{raw.hex()}\n")
    CAPTURED.write_text("".join(lines))
    print(f"{CAPTURED}: {len(lines)} sets")


if __name__ == "__main__":
    main()
