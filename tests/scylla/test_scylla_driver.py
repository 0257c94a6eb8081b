"""A driver of ScyllaDB that shares nothing with us takes the test server's Scylla mode for what it says it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triocql.testing.server import CqlServer, Scylla, rows

ROOT = Path(__file__).parents[2]
INSTALLED = Path(sys.prefix) / "scylla-driver"
SELECT = "SELECT name FROM shop.users WHERE id = ?"
TABLE = "CREATE TABLE shop.users (id int PRIMARY KEY, name text)"
RF2 = "replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}"
RING = f"CREATE KEYSPACE shop WITH {RF2}; {TABLE}"
TABLETS = f"CREATE KEYSPACE shop WITH {RF2} AND tablets = {{'initial': 16}}; {TABLE}"
KEYS, ROUNDS = 200, 3


class Peer:
    """The driver in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def expect(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == line

    def read(self) -> None:
        """Have all keys read once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.expect(str(KEYS))


@contextmanager
def reading(server: CqlServer) -> Iterator[Peer]:
    if not INSTALLED.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("scylla-driver is missing: make test installs it")
        pytest.skip("scylla-driver is missing: `make test` installs it")
    server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.scylla.peer", str(server.port), SELECT, str(KEYS), str(ROUNDS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(INSTALLED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            peer = Peer(process)
            peer.expect("connected")
            yield peer
        finally:
            process.kill()


def share_on_target(server: CqlServer) -> float:
    """Return which share of the requests came to a replica and its shard."""
    found = [entry.on_target for entry in server.log]
    assert None not in found
    return found.count(True) / len(found)


def wait_for_links(server: CqlServer) -> None:
    """Wait until there is a connection to each shard."""
    deadline = time.monotonic() + 30
    while not all(server.call(lambda: [node.on_shard(shard) for node in server.nodes for shard in range(4)])):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("schema", [RING, TABLETS], ids=["ring", "tablets"])
def test_scylla_driver_reads_at_the_right_shards(schema: str) -> None:
    with CqlServer(3, schema=schema, scylla=Scylla(shards=4)) as server, reading(server) as peer:
        wait_for_links(server)
        peer.read()  # which tells it of tablets
        told = sum(entry.hint is not None for entry in server.log)
        assert bool(told) is (schema is TABLETS)
        server.log.clear()
        peer.read()
        assert share_on_target(server) >= 0.99
        used = Counter((entry.node, entry.shard) for entry in server.log)
        assert {node for node, _ in used} == {0, 1, 2}
        assert {shard for _, shard in used} == {0, 1, 2, 3}
        assert not server.log.malformed


def test_scylla_driver_chooses_shards_by_its_port() -> None:
    with CqlServer(scylla=Scylla(shards=4), schema=RING) as server, reading(server):
        wait_for_links(server)
        (node,) = server.nodes
        by_port = [each for each in node.accepted if each.shard_aware]
        assert {each.port for each in by_port} == {node.shard_aware_port}
        assert all(each.shard == each.peer_port % 4 for each in by_port)
        assert len(by_port) >= 3


def test_scylla_driver_follows_tablets_that_have_moved() -> None:
    with CqlServer(3, schema=TABLETS, scylla=Scylla(shards=4)) as server, reading(server) as peer:
        wait_for_links(server)
        peer.read()
        tablets = server.tablets("shop.users")
        for tablet in tablets.all:
            tablets.move(tablet.last, [((node + 1) % 3, (shard + 1) % 4) for node, shard in tablet.replicas])
        tablets.hints = 0
        peer.read()
        assert 0 < tablets.hints <= 2 * len(tablets.all)
        server.log.clear()
        peer.read()
        assert share_on_target(server) >= 0.99
        assert all("TABLETS_ROUTING_V1" in entry.extensions for entry in server.log)
