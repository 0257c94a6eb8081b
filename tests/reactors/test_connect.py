"""Opening connections: families, names, refusals, black holes, cancellation, local ports."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from triocql.abc import Address, LocalPortUnavailable
from triocql.reactors import dial

from .conftest import Run
from .peers import Peer, RecordingLink, black_hole, free_port_of_all_hosts


async def echo_once(peer: Peer, address: Address | None = None) -> None:
    """Connect to the peer, send there and back, close."""
    link = RecordingLink(peer.reactor)
    transport = await peer.reactor.connect(address or peer.address, link, timeout=60)
    assert link.events == ["made"]
    sock = await peer.accept()
    link.send(b"ping")
    assert await peer.read(sock, 4) == b"ping"
    await peer.send(sock, b"pong")
    assert await link.until_received(4) == b"pong"
    transport.close()
    assert await link.until_lost() is None
    assert await peer.read(sock, 1) == b""


def test_ipv4(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            await echo_once(peer)

    run(scenario)


def test_ipv6(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor, socket.AF_INET6) as peer:
            await echo_once(peer)

    run(scenario)


def test_unix_socket(run: Run[None], tmp_path: Path) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor, socket.AF_UNIX, tmp_path / "cql.sock") as peer:
            await echo_once(peer)

    run(scenario)


def test_unix_socket_that_is_not_there(run: Run[None], tmp_path: Path) -> None:
    async def scenario(reactor: Any) -> None:
        with pytest.raises(FileNotFoundError):
            await reactor.connect(Address(str(tmp_path / "none"), 0), RecordingLink(reactor), timeout=60)

    run(scenario)


def test_tcp_options(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        seen: list[tuple[int, int]] = []
        with Peer(reactor) as peer, pytest.MonkeyPatch.context() as patch:
            original = dial._refuse_self_connection

            def spy(sock: socket.socket, address: Address) -> None:
                nodelay = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                seen.append((nodelay, sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
                original(sock, address)

            patch.setattr(dial, "_refuse_self_connection", spy)
            await echo_once(peer)
        assert seen == [(1, 1)]

    run(scenario)


class _Options:
    """Reads options of the sockets that are dialled."""

    def __init__(self, *names: tuple[int, int]) -> None:
        self.seen: list[list[int]] = []
        self._names = names
        self._original = dial._refuse_self_connection

    def __call__(self, sock: socket.socket, address: Address) -> None:
        self.seen.append([sock.getsockopt(*name) for name in self._names])
        self._original(sock, address)


def test_socket_options_go_before_those_of_every_connection(run: Run[None]) -> None:
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, (0).to_bytes(4, sys.byteorder)),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768),
    ]

    async def scenario(reactor: Any) -> None:
        spy = _Options(*((level, name) for level, name, _ in options))
        with Peer(reactor) as peer, pytest.MonkeyPatch.context() as patch:
            patch.setattr(dial, "_refuse_self_connection", spy)
            link = RecordingLink(reactor)
            transport = await reactor.connect(peer.address, link, timeout=60, socket_options=options)
            transport.abort()
            await link.until_lost()
        ((nodelay, keepalive, receive),) = spy.seen
        assert (nodelay, keepalive) == (0, 0)
        assert receive in (32_768, 65_536)  # Linux doubles it

    run(scenario)


def test_a_socket_option_that_is_refused_is_named(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            options = [(socket.SOL_SOCKET, 30_000, 1)]
            with pytest.raises(OSError, match=r"the socket option \(\d+, 30000, 1\) was refused"):
                await reactor.connect(
                    peer.address, RecordingLink(reactor), timeout=60, socket_options=options
                )

    run(scenario)


@contextlib.contextmanager
def resolving_to(*hosts: str) -> Iterator[list[int]]:
    """Have every name stand for these hosts; yields the flags of the look-ups that were made."""
    flags_seen: list[int] = []

    def getaddrinfo(host: str, port: int, *, type: int, flags: int) -> list[Any]:  # noqa: A002
        flags_seen.append(flags)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, type, 6, "", (host, port)) for host in hosts
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield flags_seen


def test_name_with_several_addresses(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer, resolving_to("127.0.0.3", "127.0.0.2", "127.0.0.1") as flags:
            await echo_once(peer, Address("db.example", peer.address.port))
            assert flags == [socket.AI_NUMERICHOST, 0]

    run(scenario)


def test_families_take_turns(run_any: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with resolving_to("::1", "::2", "10.0.0.1", "10.0.0.2", "10.0.0.3"):
            targets = await dial.look_up(reactor, Address("db.example", 1))
            hosts = [target.sockaddr[0] for target in targets]
            assert hosts == ["::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"]

    run_any(scenario)


def test_refused(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            address = peer.address
        link = RecordingLink(reactor)
        with pytest.raises(ConnectionRefusedError) as caught:
            await reactor.connect(address, link, timeout=60)
        assert caught.value.errno == errno.ECONNREFUSED
        assert caught.value.__notes__ == [f"while connecting to {address}"]
        assert link.events == []

    run(scenario)


def test_all_addresses_refuse(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            port = peer.address.port
        with resolving_to("127.0.0.3", "127.0.0.2"), pytest.raises(ConnectionRefusedError) as caught:
            await reactor.connect(Address("db.example", port), RecordingLink(reactor), timeout=60)
        notes = "\n".join(caught.value.__notes__)
        assert f"127.0.0.2:{port}" in notes
        assert f"127.0.0.3:{port}" in notes

    run(scenario)


def test_unknown_name(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        def unknown(host: str, port: int, **options: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", unknown)
            with pytest.raises(socket.gaierror, match="Name or service not known"):
                await reactor.connect(Address("db.example", 1), RecordingLink(reactor), timeout=60)
        with pytest.raises(OSError, match="is not a valid host name"):
            await reactor.connect(Address("x" * 70 + ".example", 1), RecordingLink(reactor), timeout=60)

    run(scenario)


def test_black_hole(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with black_hole() as address:
            link = RecordingLink(reactor)
            before = reactor.now()
            with pytest.raises(TimeoutError, match=rf"no connection to {address} within 0.1 s"):
                await reactor.connect(address, link, timeout=0.1)
            assert reactor.now() - before > 0.099
            assert link.events == []

    run(scenario)


def test_next_address_while_one_hangs(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with contextlib.ExitStack() as stack:
            port = free_port_of_all_hosts()
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
            stack.enter_context(black_hole("127.0.0.2", port))
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(dial, "ATTEMPT_DELAY", 0.01)
            stack.enter_context(resolving_to("127.0.0.2", "127.0.0.1"))
            link = RecordingLink(reactor)
            await reactor.connect(Address("db.example", port), link, timeout=60)
            assert link.events == ["made"]

    run(scenario)


def test_where_a_name_led_to_is_tried_first_the_next_time(run: Run[None]) -> None:
    """If it is still among what the name stands for."""

    async def scenario(reactor: Any) -> None:
        with contextlib.ExitStack() as stack:
            port = free_port_of_all_hosts()
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
            stack.enter_context(socket.create_server(("127.0.0.3", port)))
            stack.enter_context(black_hole("127.0.0.2", port))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            tried: list[str] = []
            original = dial._Race._attempt

            async def attempt(race: Any, target: dial.Target) -> None:
                tried.append(target.sockaddr[0])
                await original(race, target)

            patch.setattr(dial._Race, "_attempt", attempt)
            patch.setattr(dial, "ATTEMPT_DELAY", 0.01)
            address = Address("db.example", port)
            with resolving_to("127.0.0.2", "127.0.0.1"):
                await reactor.connect(address, RecordingLink(reactor), timeout=60)
                assert tried == ["127.0.0.2", "127.0.0.1"]
                tried.clear()
                patch.setattr(dial, "ATTEMPT_DELAY", 60.0)  # however long it takes, no other one is tried
                await reactor.connect(address, RecordingLink(reactor), timeout=60)
                assert tried == ["127.0.0.1"]
            tried.clear()
            with resolving_to("127.0.0.3"):
                await reactor.connect(address, RecordingLink(reactor), timeout=60)
                assert tried == ["127.0.0.3"]

    run(scenario)


def test_any_address_of_a_name_is_tried_first_where_it_is_to_be_at_random(run: Run[None]) -> None:
    """Each time anew, wherever it led to before; the others are tried after it."""

    async def scenario(reactor: Any) -> None:
        with contextlib.ExitStack() as stack:
            port = free_port_of_all_hosts()
            hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
            listening = [stack.enter_context(socket.create_server((host, port))) for host in hosts]
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(dial, "random", random.Random(5))
            stack.enter_context(resolving_to(*hosts))
            address = Address("db.example", port)
            reached = []
            for _ in range(30):
                transport = await reactor.connect(address, RecordingLink(reactor), timeout=60, at_random=True)
                reached.append(reactor.reached[address].sockaddr[0])
                transport.abort()
            assert {*reached} == {*hosts}
            assert len([host for host, after in pairwise(reached) if host != after]) > 10
            for each in listening[1:]:
                each.close()
            for _ in range(5):
                await reactor.connect(address, RecordingLink(reactor), timeout=60, at_random=True)

    run(scenario)


def test_cancelled(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with black_hole() as address:
            link = RecordingLink(reactor)
            with anyio.move_on_after(0.05) as scope:
                await reactor.connect(address, link, timeout=60)
            assert scope.cancelled_caught
            assert link.events == []

    run_hosted(scenario)


def test_cancelled_while_resolving(run_hosted: Run[None]) -> None:
    """The thread is left behind; nobody waits for it."""

    async def scenario(reactor: Any) -> None:
        entered, release, left = threading.Event(), threading.Event(), threading.Event()

        def slow(address: Address, flags: int) -> list[dial.Target]:
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            entered.set()
            release.wait(10)
            left.set()
            return []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dial, "_getaddrinfo", slow)
            with anyio.CancelScope() as scope:

                async def cancel() -> None:
                    await reactor.run_blocking(entered.wait, 10)
                    scope.cancel()

                reactor.spawn(cancel)
                await reactor.connect(Address("db.example", 1), RecordingLink(reactor), timeout=60)
        assert scope.cancelled_caught
        release.set()
        await reactor.run_blocking(left.wait, 10)

    run_hosted(scenario)


def test_s35_a_look_up_that_takes_long_ends_at_the_timeout(run: Run[None]) -> None:
    """The thread is left behind; nobody waits for it."""

    async def scenario(reactor: Any) -> None:
        release, left = threading.Event(), threading.Event()

        def slow(address: Address, flags: int) -> list[dial.Target]:
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            release.wait(30)
            left.set()
            return []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dial, "_getaddrinfo", slow)
            with pytest.raises(TimeoutError, match=r"no connection to db\.example:1 within 0\.05 s"):
                await reactor.connect(Address("db.example", 1), RecordingLink(reactor), timeout=0.05)
        assert not left.is_set()
        release.set()
        await reactor.run_blocking(left.wait, 10)

    run(scenario)


def test_cancelled_in_every_tick(run: Run[None]) -> None:
    """Cancel after 0, 1, 2, ... ticks of the loop: never anything left open, never a link that was told."""

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            for ticks in range(30):
                link = RecordingLink(reactor)
                made: list[Any] = []

                async def connecting(link: RecordingLink = link, made: list[Any] = made) -> None:
                    made.append(await reactor.connect(peer.address, link, timeout=60))

                cancel = reactor.spawn(connecting)
                for _ in range(ticks):
                    await reactor.sleep(0)
                cancel()
                for _ in range(5):
                    await reactor.sleep(0)
                assert link.events == (["made"] if made else [])
                if made:
                    made[0].abort()
                    await link.until_lost()

    run(scenario)


def test_local_port(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        port = free_port_of_all_hosts()
        with Peer(reactor) as peer:
            link = RecordingLink(reactor)
            transport = await reactor.connect(peer.address, link, timeout=60, local_port=port)
            sock = await peer.accept()
            assert sock.getpeername()[1] == port
            with pytest.raises(
                LocalPortUnavailable, match=f"the local port {port} cannot be used: (Address|Cannot assign)"
            ) as caught:
                await reactor.connect(peer.address, RecordingLink(reactor), timeout=60, local_port=port)
            assert caught.value.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
            transport.abort()
            await link.until_lost()

    run(scenario)


def test_a_local_port_that_another_socket_has(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer, socket.socket() as other:
            other.bind(("", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(LocalPortUnavailable) as caught:
                await reactor.connect(peer.address, RecordingLink(reactor), timeout=60, local_port=port)
            assert caught.value.errno == errno.EADDRINUSE

    run(scenario)


def test_a_local_port_that_is_not_allowed(run: Run[None], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(sock: socket.socket, port: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    async def scenario(reactor: Any) -> None:
        monkeypatch.setattr(dial, "_bind", refuse)
        with Peer(reactor) as peer, pytest.raises(LocalPortUnavailable, match="70 cannot be used: Perm"):
            await reactor.connect(peer.address, RecordingLink(reactor), timeout=60, local_port=70)

    run(scenario)


def test_a_refusal_is_nothing_of_the_local_port(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        address, port = Address("127.0.0.1", free_port_of_all_hosts()), free_port_of_all_hosts()
        with pytest.raises(ConnectionRefusedError) as caught:
            await reactor.connect(address, RecordingLink(reactor), timeout=60, local_port=port)
        assert not isinstance(caught.value, LocalPortUnavailable)

    run(scenario)


def test_connection_to_itself_is_refused(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        port = free_port_of_all_hosts()
        with pytest.raises(ConnectionRefusedError):
            await reactor.connect(
                Address("127.0.0.1", port), RecordingLink(reactor), timeout=60, local_port=port
            )

    run(scenario)


def test_not_running(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        other = type(reactor)()
        with pytest.raises(RuntimeError, match="the reactor is not running"):
            await other.connect(Address("127.0.0.1", 1), RecordingLink(reactor), timeout=1)
        async with other:
            pass
        with pytest.raises(RuntimeError, match="the reactor is not running"):
            other.spawn(asyncio.sleep, 0)
        with pytest.raises(RuntimeError, match="entered once"):
            await other.__aenter__()

    run(scenario)
