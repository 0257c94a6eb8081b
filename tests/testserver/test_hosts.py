"""The server over real sockets: in the loop of the test, in a thread, under a virtual clock."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
import trustme
import uvloop

import triocql
from tests.files import open_files
from tests.testserver.world import INSERT, SCHEMA, SELECT
from triocql import errors
from triocql.abc import Address
from triocql.session.session import Session
from triocql.testing.server import (
    CqlServer,
    ErrorCode,
    Gate,
    delay,
    error,
    hosts,
    no_response,
    reset,
    rows,
    trickle,
    void,
)
from triocql.testing.simulated import SimulatedReactor

Main = Callable[[], Awaitable[Any]]


def on_trio(main: Main) -> Any:
    return trio.run(main)


def on_asyncio(main: Main) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(main())  # type: ignore[arg-type]


def on_uvloop(main: Main) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())  # type: ignore[arg-type]


RUNNERS = {"trio": on_trio, "asyncio": on_asyncio, "uvloop": on_uvloop}


def files_left_open() -> int:
    gc.collect()
    return open_files()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Have each loop make what it makes once a process, before open files are counted."""
    for runner in RUNNERS.values():
        runner(_nothing)


async def _nothing() -> None: ...


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Callable[[Main], Any]:
    """Run `await main()` in a real loop; what it leaves open fails the test."""
    runner = RUNNERS[request.param]

    def checked(main: Main) -> Any:
        before = files_left_open()
        result = runner(main)
        assert files_left_open() == before
        return result

    return checked


def prime(server: CqlServer) -> None:
    server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
    server.when(INSERT).then(void())


async def use(session: Session) -> None:
    assert (await session.execute(SELECT, [7])).scalar() == "Ann"
    await session.execute(INSERT, [8, "Bob"])


def test_in_the_loop(run: Callable[[Main], Any]) -> None:
    async def main() -> None:
        async with CqlServer(2, schema=SCHEMA) as server:
            prime(server)
            async with triocql.connect(server.contact_points, compression="lz4") as session:
                await use(session)
        server.log.assert_executed(INSERT, times=1, values=[8, "Bob"])

    run(main)


def test_one_after_the_other(run: Callable[[Main], Any]) -> None:
    server = CqlServer(2, schema=SCHEMA)
    prime(server)

    async def main() -> None:
        for _ in range(2):
            async with server, triocql.connect(server.contact_points) as session:
                await use(session)

    run(main)
    with server:
        RUNNERS["trio"](lambda: use_once(server))
    server.log.assert_executed(SELECT, times=3)


async def use_once(server: CqlServer) -> None:
    async with triocql.connect(server.contact_points) as session:
        await use(session)


def test_resets_and_refusals(run: Callable[[Main], Any]) -> None:
    async def main() -> None:
        async with CqlServer(schema=SCHEMA) as server:
            prime(server)
            async with triocql.connect(server.contact_points) as session:
                await use(session)
                server.when(INSERT, times=1).then(reset())
                with pytest.raises(errors.ConnectionLost) as caught:
                    await session.execute(INSERT, [9, "Eve"])
                assert isinstance(caught.value.__cause__, ConnectionResetError)
                server.nodes[0].stop()
                with pytest.raises(errors.RequestError):
                    await session.execute(INSERT, [10, "Eve"], timeout=1)
            server.log.assert_executed(INSERT, times=2)
            server.nodes[0].start()
            async with triocql.connect(server.contact_points) as session:
                await use(session)

    run(main)


def test_the_exception_of_the_test_comes_out_as_it_is(run: Callable[[Main], Any]) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with CqlServer() as server, triocql.connect(server.contact_points):
                raise ZeroDivisionError

    run(main)


def test_an_address_that_is_taken(run: Callable[[Main], Any]) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            with pytest.raises(OSError, match="in use"):
                async with CqlServer(port=taken.getsockname()[1]):
                    pass

    run(main)


def test_a_port_that_is_taken_on_another_host(
    run: Callable[[Main], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.2", 0)) as taken:
            port = taken.getsockname()[1]
            given = iter([port, port])

            def listening_socket(address: Address) -> socket.socket:
                return really(address if address.port else Address(address.host, next(given, 0)))

            really = hosts.listening_socket
            monkeypatch.setattr(hosts, "listening_socket", listening_socket)
            async with CqlServer(2) as server, triocql.connect(server.contact_points):
                assert server.port != port

    run(main)


def test_tls(run: Callable[[Main], Any]) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main() -> None:
        async with CqlServer(schema=SCHEMA, ssl_context=server_context) as server:
            prime(server)
            async with triocql.connect(server.contact_points, ssl_context=context) as session:
                await use(session)
            with pytest.raises(errors.TlsError):
                async with triocql.connect(server.contact_points, ssl_context=ssl.create_default_context()):
                    pass
            assert len(server.log) == 2

    run(main)


def test_faults_below_tls() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main() -> None:
        async with CqlServer(schema=SCHEMA, ssl_context=server_context) as server:
            node = server.nodes[0]
            prime(server)
            node.pause()
            with pytest.raises(errors.ConnectTimeout, match="TLS"):
                async with triocql.connect(server.contact_points, ssl_context=context):
                    pass
            node.resume()
            server.when(INSERT).then(lambda request: request.connection.hang_up())
            async with triocql.connect(server.contact_points, ssl_context=context) as session:
                await session.execute(SELECT, [7])
                with pytest.raises(errors.ConnectionLost):
                    await session.execute(INSERT, [8, "Bob"])

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_virtual_clock() -> None:
    async def main() -> None:
        async with CqlServer(schema=SCHEMA) as server:
            server.when(SELECT).then(delay(3600), rows({"name": "text"}, [["Ann"]]), trickle(0.1))
            server.when(INSERT).then(no_response())
            async with triocql.connect(server.contact_points, timeout=7200.0) as session:
                began = trio.current_time()
                assert (await session.execute(SELECT, [7])).scalar() == "Ann"
                assert 3600 < trio.current_time() - began < 7200
                with trio.move_on_after(1000) as scope:
                    await session.execute(INSERT, [1, "x"])
                assert scope.cancelled_caught

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_later_answer_does_not_wait_for_the_acknowledgement_of_one_before_it() -> None:
    async def main() -> None:
        async with CqlServer(schema=SCHEMA) as server:
            server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
            server.when(INSERT).then(delay(0.001), void())
            async with triocql.connect(server.contact_points, connections_local=1) as session:
                for _ in range(20):  # the kernel acknowledges the first ones at once
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(session.execute, SELECT, [7])
                        nursery.start_soon(session.execute, INSERT, [8, "Bob"])
                assert trio.current_time() < began + 1

    clock = trio.testing.MockClock(autojump_threshold=0)
    began = clock.current_time()
    trio.run(main, clock=clock)


def test_accepted_sockets_do_not_delay(run: Callable[[Main], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[bool] = []

    async def serve(listener: Any, client: socket.socket, peer_port: int) -> None:
        accepted.append(bool(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        await really(listener, client, peer_port)

    really = hosts._SocketListener._serve
    monkeypatch.setattr(hosts._SocketListener, "_serve", serve)

    async def main() -> None:
        async with CqlServer() as server, triocql.connect(server.contact_points):
            pass

    run(main)
    assert accepted
    assert all(accepted)


@pytest.mark.parametrize("runner", RUNNERS)
def test_in_a_thread(runner: str) -> None:
    before = files_left_open()
    gate = Gate()
    with CqlServer(2, schema=SCHEMA) as server:
        prime(server)
        server.when("SELECT 1").then(gate, rows({"n": "int"}, [[1]]))

        async def main() -> None:
            async with triocql.connect(server.contact_points) as session:
                await use(session)
                server.nodes[0].forget_prepared()
                server.nodes[1].forget_prepared()
                server.nodes[1].stop()
                await use(session)
                server.when("SELECT 2").then(error(ErrorCode.INVALID, "not so"))
                with pytest.raises(errors.InvalidQuery, match="not so"):
                    await session.execute("SELECT 2")

        RUNNERS[runner](main)
        server.log.assert_executed(SELECT, times=2)
        server.nodes[1].start()
        with socket.create_connection(server.nodes[1].address) as sock:
            sock.sendall(bytes.fromhex("04 00 0001 05 00000000"))
            assert sock.recv(5) == bytes.fromhex("84 00 0001 06")
    assert files_left_open() == before


def test_simulated_and_again_after_its_end() -> None:
    for _ in range(2):
        reactor = SimulatedReactor()
        server = CqlServer(schema=SCHEMA).run_on(reactor)
        prime(server)

        async def main(server: CqlServer = server, reactor: SimulatedReactor = reactor) -> None:
            async with triocql.connect(server.contact_points, reactor=reactor) as session:
                await use(session)

        reactor.run(main)


@pytest.mark.parametrize("count", [1, 5])
def test_ipv6(count: int) -> None:
    server = CqlServer(count, host="::1", port=9042)
    assert server.contact_points[0] == "[::1]:9042"
    assert len(set(server.contact_points)) == count
