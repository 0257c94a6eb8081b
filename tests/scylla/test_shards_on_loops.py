"""Shards on real sockets, on each reactor: connections to each, and requests where they should be; with TLS, too."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anyio
import pytest
import trustme

import triocql
import triocql.sync
from tests.scylla.shards import SCHEMA, SELECT
from triocql.testing.server import CqlServer, Opcode, Scylla

SHARDS = 3
KEYS = range(200)
Loop = Literal["trio", "asyncio", "thread"]
LOOPS: tuple[Loop, ...] = ("trio", "asyncio", "thread")


@contextmanager
def serving(**options: Any) -> Iterator[CqlServer]:
    """Serve two nodes with shards."""
    with CqlServer(2, num_tokens=8, unprimed="echo", schema=SCHEMA, **options) as server:
        yield server
        assert server.log.malformed == []


def read(loop: Loop, server: CqlServer, **options: Any) -> None:
    """Open a session on a loop, wait until all its connections are there, and read users."""
    options = {"reconnection_jitter": 0.0, **options}

    async def neutral() -> None:
        async with triocql.connect(server.contact_points, **options) as session:
            with anyio.fail_after(60):
                while session.stats().connections < 2 * SHARDS:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            for key in KEYS:
                await session.execute(SELECT, [key])

    if loop != "thread":
        anyio.run(neutral, backend=loop)
        return
    with triocql.sync.connect(server.contact_points, **options) as session:
        end = time.monotonic() + 20
        while session.stats().connections < 2 * SHARDS:
            assert time.monotonic() < end
            time.sleep(0.01)
        for key in KEYS:
            session.execute(SELECT, [key])


def check(server: CqlServer) -> None:
    """Check that what was read came to the right node and shard."""
    executed = [
        entry
        for entry in server.log.everything
        if entry.text == SELECT and entry.request.opcode == Opcode.EXECUTE
    ]
    assert len(executed) == len(KEYS)
    assert all(entry.on_target for entry in executed)


@pytest.mark.parametrize("loop", LOOPS)
def test_each_shard_has_a_connection_and_its_requests(loop: Loop) -> None:
    """On a machine whose ports others use, too."""
    with serving(scylla=Scylla(shards=SHARDS)) as server:
        read(loop, server)
        check(server)
        for node in server.nodes:
            pinned = [each for each in node.accepted if each.shard_aware]
            assert len(pinned) == SHARDS - 1
            assert all(each.peer_port % SHARDS == each.shard for each in pinned)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", ["refuse", "tls"])
def test_a_shard_aware_port_that_does_not_serve(loop: Loop, way: Literal["refuse", "tls"]) -> None:
    with serving(scylla=Scylla(shards=SHARDS, shard_port=way)) as server:
        read(loop, server)
        check(server)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS of servers, and that of clients."""
    authority = trustme.CA()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "127.0.0.2").configure_cert(serving)
    authority.configure_trust(trusting)
    return serving, trusting


@pytest.mark.parametrize("loop", LOOPS)
def test_with_tls_its_own_port_is_dialled(
    loop: Loop, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """The other one speaks no TLS."""
    with serving(ssl_context=contexts[0], scylla=Scylla(shards=SHARDS)) as server:
        read(loop, server, ssl_context=contexts[1])
        check(server)
        for node in server.nodes:
            ports = {each.port for each in node.accepted}
            assert ports == {node.address.port, node.shard_aware_tls_port}


@pytest.mark.parametrize("loop", LOOPS)
def test_with_tls_and_without_such_a_port_the_usual_one_is_dialled(
    loop: Loop, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    scylla = Scylla(shards=SHARDS, supported={"SCYLLA_SHARD_AWARE_PORT_SSL": None})
    with serving(ssl_context=contexts[0], scylla=scylla) as server:
        read(loop, server, ssl_context=contexts[1])
        check(server)
        for node in server.nodes:
            assert {each.port for each in node.accepted} == {node.address.port}
