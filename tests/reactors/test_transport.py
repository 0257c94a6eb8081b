"""A connection under way: chunks, ticks, back-pressure, half-close, reset, closing, and links with bugs."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import pytest

from triocql.abc import Transport
from triocql.reactors import asynciotransport, threadtransport, triotransport

from .conftest import Run
from .peers import Peer, RecordingLink, ticks

MEGABYTE = 1 << 20


def test_any_chunking_of_reads(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        data = bytes(range(256)) * 4 * 2048
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect()
            for size in (1, 1, 2, 7, 100, 5000, 100_000, len(data)):
                before = len(link.received)
                await peer.send(sock, data[:size])
                await link.until_received(before + size)
                assert link.received[before:] == data[:size]
            assert max(link.chunks) <= 128 * 1024

    run(scenario)


def test_one_send_a_tick(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect()
            for _ in range(100):
                link.send(b"x" * 10)
            assert link.pulls == []
            assert await peer.read(sock, 1000) == b"x" * 1000
            assert link.pulls == [1000]

    run(scenario)


def test_wake_without_data(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            transport.wake()
            await link.until(lambda: "pulled" in link.events)
            link.send(b"ok")
            assert await peer.read(sock, 2) == b"ok"

    run(scenario)


def test_back_pressure_of_the_peer(run: Run[None]) -> None:
    """A peer that does not read: the link keeps its data, and is pulled again as soon as there is room."""

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect()
            link.send(b"a" * 16 * MEGABYTE)
            await link.until(lambda: len(link.pulls) == 1)
            for _ in range(50):
                link.send(b"b" * 100)
                await reactor.sleep(0)
            assert link.pulls == [16 * MEGABYTE]
            data = await peer.read(sock, 16 * MEGABYTE + 5000)
            assert data.endswith(b"a" + b"b" * 5000)
            assert link.pulls == [16 * MEGABYTE, 5000]

    run(scenario)


def test_back_pressure_on_the_peer(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            await peer.send(sock, b"x")
            await link.until_received(1)
            transport.pause_reading()
            transport.pause_reading()
            sock.setblocking(False)
            sent = 0
            try:
                while True:
                    sent += sock.send(bytes(MEGABYTE))
                    await reactor.sleep(0)
            except BlockingIOError:
                pass
            assert link.received == b"x"
            transport.resume_reading()
            transport.resume_reading()
            await link.until_received(sent + 1)

    run(scenario)


def test_paused_at_once(run: Run[None]) -> None:
    class Shy(RecordingLink):
        def connection_made(self, transport: Transport) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect(Shy(reactor))
            await peer.send(sock, b"greeting")
            for _ in range(10):
                await reactor.sleep(0)
            assert link.received == b""
            transport.resume_reading()
            await link.until_received(8)

    run(scenario)


def test_half_close(run: Run[None]) -> None:
    """The peer sends nothing more: told once, and everything else goes on."""

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            await peer.send(sock, b"last")
            sock.shutdown(1)
            await link.until(lambda: "eof" in link.events)
            assert link.received == b"last"
            transport.pause_reading()
            transport.resume_reading()
            link.send(b"still here")
            assert await peer.read(sock, 10) == b"still here"
            assert link.losses == []
            transport.close()
            assert await link.until_lost() is None
            assert link.events.count("eof") == 1

    run(scenario)


def test_reset(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            peer.reset(sock)
            assert isinstance(await link.until_lost(), ConnectionResetError)
            use_after_the_end(transport)
            await reactor.sleep(0)
            assert len(link.losses) == 1

    run(scenario)


def test_reset_while_sending(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect()
            link.send(bytes(16 * MEGABYTE))
            await peer.read(sock, MEGABYTE)
            peer.reset(sock)
            assert isinstance(await link.until_lost(), OSError)

    run(scenario)


def use_after_the_end(transport: Any) -> None:
    for method in ("wake", "pause_reading", "resume_reading", "close", "abort"):
        getattr(transport, method)()


def test_close_while_writing(run: Run[None]) -> None:
    """What was handed over before `close`, and what the link adds until then, arrives whole."""

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            link.send(b"a" * 16 * MEGABYTE)
            await link.until(lambda: len(link.pulls) == 1)
            link.send(b"b" * 1000)
            transport.close()
            transport.close()
            assert link.losses == []
            data = await peer.read(sock, 17 * MEGABYTE)
            assert data == b"a" * 16 * MEGABYTE + b"b" * 1000
            assert await link.until_lost() is None
            use_after_the_end(transport)
            await reactor.sleep(0)
            assert len(link.losses) == 1

    run(scenario)


def test_close_is_bounded(run: Run[None], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (asynciotransport, threadtransport, triotransport):
        monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.05)

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, _ = await peer.connect()
            link.send(bytes(16 * MEGABYTE))
            await link.until(lambda: bool(link.pulls))
            before = reactor.now()
            transport.close()
            assert await link.until_lost() is None
            assert reactor.now() - before > 0.049

    run(scenario)


def test_nothing_is_received_after_close(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            link.send(bytes(16 * MEGABYTE))
            await link.until(lambda: bool(link.pulls))
            transport.close()
            await peer.send(sock, b"too late")
            with contextlib.suppress(ConnectionResetError):
                await peer.read(sock, 17 * MEGABYTE)
            await link.until_lost()
            assert link.received == b""

    run(scenario)


def test_abort(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            link.send(b"never sent")
            transport.abort()
            assert link.losses == []
            assert await link.until_lost() is None
            assert await peer.read(sock, 1) == b""
            use_after_the_end(transport)
            await reactor.sleep(0)
            assert len(link.losses) == 1

    run(scenario)


def test_abort_while_closing(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, _ = await peer.connect()
            link.send(bytes(16 * MEGABYTE))
            await link.until(lambda: bool(link.pulls))
            transport.close()
            transport.abort()
            assert await link.until_lost() is None

    run(scenario)


def test_abort_while_paused(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            transport.pause_reading()
            await peer.send(sock, b"unread")
            await reactor.sleep(0)
            transport.abort()
            assert await link.until_lost() is None

    run(scenario)


def test_close_within_data_received(run: Run[None]) -> None:
    """No method of a transport calls the link back at once."""

    class Closer(RecordingLink):
        def data_received(self, data: bytes | memoryview) -> None:
            super().data_received(data)
            self.send(b"bye")
            before = list(self.events)
            assert self.transport is not None
            self.transport.close()
            self.transport.close()
            assert self.events == before

    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect(Closer(reactor))
            await peer.send(sock, b"x")
            assert await peer.read(sock, 4) == b"bye"
            assert await link.until_lost() is None

    run(scenario)


class Buggy(RecordingLink):
    """Fails in one of its methods."""

    def __init__(self, reactor: Any, method: str) -> None:
        super().__init__(reactor)
        setattr(self, method, functools.partial(self._fail, getattr(self, method)))

    def _fail(self, method: Any, *args: Any) -> None:
        method(*args)
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    "method", ["connection_made", "data_to_send", "data_received", "eof_received", "connection_lost"]
)
def test_a_link_with_a_bug(run: Run[None], method: str) -> None:
    """The connection is given up, `on_bug` is told, the loop goes on."""

    async def scenario(reactor: Any) -> None:
        bugs: list[Exception] = []
        reactor.on_bug = bugs.append
        with Peer(reactor) as peer:
            good, _, good_sock = await peer.connect()
            link, transport, sock = await peer.connect(Buggy(reactor, method))
            if method == "data_to_send":
                transport.wake()
            elif method == "data_received":
                await peer.send(sock, b"x")
            elif method == "eof_received":
                sock.shutdown(1)
            elif method == "connection_lost":
                transport.abort()
            error = await link.until_lost()
            await reactor.sleep(0)
            assert [type(bug) for bug in bugs] == [ZeroDivisionError]
            assert error is (None if method == "connection_lost" else bugs[0])
            good.send(b"fine")
            assert await peer.read(good_sock, 4) == b"fine"

    run(scenario)


def test_bugs_are_logged_if_nobody_listens(run_any: Run[None], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(reactor: Any) -> None:
        async def buggy() -> None:
            raise ZeroDivisionError("a bug")

        reactor.spawn(buggy)
        await ticks(reactor)

    run_any(scenario)
    assert [record.message for record in caplog.records] == ["a background task failed"]


class Counter(RecordingLink):
    """Keeps the size alone of what it gets."""

    size = 0

    def data_received(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        self._note("data")


def test_a_peer_that_never_stops_is_fair_to_others(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link = Counter(reactor)
            _, transport, sock = await peer.connect(link)
            ticks = 0

            async def others() -> None:
                nonlocal ticks
                while not link.losses:
                    ticks += 1
                    await reactor.sleep(0)

            reactor.spawn(others)
            await peer.send(sock, bytes(64 * MEGABYTE))
            await link.until(lambda: link.size == 64 * MEGABYTE)
            assert ticks > 10
            transport.abort()
            await link.until_lost()

    run(scenario)
