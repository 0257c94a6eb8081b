"""Drivers that share nothing with us take it for a CQL server."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from importlib.util import find_spec
from typing import Any

import pytest

from tests.testserver.world import INSERT, SCHEMA
from triocql.testing.server import CqlServer, ErrorCode, Opcode, error, rows, void

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports every event loop that is installed, whatever that warns of
    from cassandra import ConsistencyLevel, InvalidRequest, Unavailable
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import Cluster
    from cassandra.query import BatchStatement

SELECT = "SELECT name, home, tags FROM shop.users WHERE id = ?"
COLUMNS = {"name": "text", "home": "frozen<shop.address>", "tags": "set<text>"}
ANN = ["Ann", {"street": "High", "No": 7}, ["a", "b"]]


def prime(server: CqlServer) -> None:
    server.when(SELECT).then(rows(COLUMNS, [ANN]))
    server.when(INSERT).then(void())
    server.when("SELECT n FROM numbers").then(rows({"n": "int"}, [[n] for n in range(25)]))
    server.when("SELECT 1").then(error(ErrorCode.UNAVAILABLE, required=2, alive=1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_cassandra_driver(version: int, compression: Any) -> None:
    logging.getLogger("cassandra").setLevel(logging.ERROR)
    with CqlServer(3, schema=SCHEMA, users={"ann": "secret"}) as server:
        prime(server)
        cluster = Cluster(
            ["127.0.0.1"],
            port=server.port,
            protocol_version=version,
            compression=compression,
            auth_provider=PlainTextAuthProvider("ann", "secret"),
        )
        try:
            use_cassandra_driver(cluster, server)
        finally:
            cluster.shutdown()


def use_cassandra_driver(cluster: Any, server: CqlServer) -> None:
    session = cluster.connect("shop")
    hosts = {str(host.host_id) for host in cluster.metadata.all_hosts()}
    assert hosts == {str(node.host_id) for node in server.nodes}
    statement = session.prepare(SELECT)
    assert statement.routing_key_indexes == [0]
    row = session.execute(statement, [7]).one()
    assert (row.name, row.home.street, row.home.No, sorted(row.tags)) == ("Ann", "High", 7, ["a", "b"])
    session.default_fetch_size = 10
    assert [row.n for row in session.execute("SELECT n FROM numbers")] == list(range(25))
    batch = BatchStatement(consistency_level=ConsistencyLevel.ONE)
    batch.add(session.prepare(INSERT), (1, "x"))
    session.execute(batch)
    with pytest.raises(Unavailable):
        session.execute("SELECT 1")
    with pytest.raises(InvalidRequest, match="nothing is primed"):
        session.execute("SELECT 2")
    session.execute("CREATE TABLE shop.more (id int PRIMARY KEY, names frozen<map<text, int>>)")
    tables = cluster.metadata.keyspaces["shop"].tables
    assert list(tables["more"].columns) == ["id", "names"]
    assert tables["orders"].primary_key[-1].name == "number"
    server.log.assert_executed(SELECT, times=1, values=[7])
    server.log.assert_executed(INSERT, times=1, values=[1, "x"])


@pytest.mark.skipif(find_spec("acsylla") is None, reason="acsylla is not installed")
def test_acsylla() -> None:
    """In a process of its own, as it leaves sockets open."""
    with CqlServer(2, schema=SCHEMA) as server:
        prime(server)
        subprocess.run(
            [sys.executable, "-c", ACSYLLA, str(server.port), SELECT, INSERT], check=True, timeout=60
        )
        server.log.assert_executed(SELECT, times=1, values=[7])
        server.log.assert_executed(INSERT, times=1, values=[8, "Bob"])
        assert server.log.requests(Opcode.REGISTER)


ACSYLLA = """
import asyncio, sys, acsylla

port, select, insert = sys.argv[1:]

async def main():
    cluster = acsylla.create_cluster(["127.0.0.1"], port=int(port), protocol_version=4)
    session = await cluster.create_session(keyspace="shop")
    statement = (await session.create_prepared(select)).bind()
    statement.bind(0, 7)
    row = (await session.execute(statement)).first()
    assert row.as_dict() == {"name": "Ann", "home": {"street": "High", "No": 7}, "tags": {"a", "b"}}
    statement = (await session.create_prepared(insert)).bind()
    statement.bind_list([8, "Bob"])
    await session.execute(statement)
    await session.close()

asyncio.run(main())
"""
