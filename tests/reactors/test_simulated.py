"""The simulated reactor: its clock, its tasks, its cancellations and its network."""

from __future__ import annotations

from typing import Any

import pytest

from triocql.abc import Address
from triocql.reactors.base import nothing
from triocql.testing.simulated import Deadlock, SimCancelled, SimulatedReactor

from .peers import RecordingLink

HOST = Address("10.0.0.1", 9042)


class Echo(RecordingLink):
    """A server that sends back what it gets."""

    def data_received(self, data: bytes | memoryview) -> None:
        super().data_received(data)
        self.send(bytes(data))

    def eof_received(self) -> None:
        super().eof_received()
        assert self.transport is not None
        self.transport.close()


def test_clock_jumps_to_the_next_timer() -> None:
    reactor = SimulatedReactor()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await reactor.sleep(seconds)
        seen.append((name, reactor.now()))

    reactor.start(sleeper, "late", 60)
    reactor.start(sleeper, "soon", 1)
    reactor.run(reactor.sleep, 61)
    assert seen == [("soon", 1), ("late", 60)]
    assert reactor.now() == 61


def test_advance_and_settle() -> None:
    reactor = SimulatedReactor()
    seen: list[float] = []
    for when in (1.0, 2.0, 3.0):
        reactor.call_at(when, lambda: seen.append(reactor.now()))
    reactor.settle()
    assert seen == []
    reactor.advance(2.5)
    assert seen == [1, 2]
    assert reactor.now() == 2.5


def test_deadlock_names_the_tasks() -> None:
    reactor = SimulatedReactor()

    async def stuck() -> None:
        await reactor.waiter(nothing).wait()

    with pytest.raises(Deadlock, match=r"stuck waits at .*in StepWaiter.wait"):
        reactor.run(stuck)


def test_endless_program_is_a_deadlock() -> None:
    reactor = SimulatedReactor()

    async def forever() -> None:
        while True:
            await reactor.sleep(1)

    with pytest.raises(Deadlock, match="has not ended by 100 s"):
        reactor.run(forever, limit=100)


def order_of_ten(seed: int) -> list[int]:
    reactor = SimulatedReactor(seed)
    order: list[int] = []

    async def worker(number: int) -> None:
        await reactor.sleep(0)
        order.append(number)

    for number in range(10):
        reactor.start(worker, number)
    reactor.settle()
    return order


def test_seed_decides_the_order() -> None:
    assert order_of_ten(1) == order_of_ten(1)
    assert sorted(order_of_ten(1)) == list(range(10))
    assert len({tuple(order_of_ten(seed)) for seed in range(5)}) > 1


def three_checkpoints(reactor: SimulatedReactor, log: list[Any]) -> Any:
    async def task() -> str:
        for number in range(3):
            log.append(number)
            await reactor.sleep(1)
        return "end"

    return task


def test_checkpoints_are_counted() -> None:
    reactor = SimulatedReactor()
    task = reactor.start(three_checkpoints(reactor, []))
    reactor.advance(10)
    assert task.done
    assert task.result() == "end"
    assert task.checkpoints == 3


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_cancel_at_a_checkpoint(number: int, level: bool) -> None:
    reactor = SimulatedReactor(level=level)
    log: list[Any] = []
    task = reactor.start(three_checkpoints(reactor, log), cancel_at_checkpoint=number)
    reactor.advance(10)
    assert task.cancelled
    assert log == list(range(number + 1))
    with pytest.raises(SimCancelled):
        task.result()


@pytest.mark.parametrize(("level", "reached"), [(False, True), (True, False)])
def test_edge_and_level(level: bool, reached: bool) -> None:
    reactor = SimulatedReactor(level=level)
    log: list[str] = []

    async def cleans_up() -> None:
        try:
            await reactor.sleep(1)
        finally:
            await reactor.sleep(1)
            log.append("cleaned up")

    task = reactor.start(cleans_up)
    reactor.settle()
    task.cancel()
    reactor.advance(5)
    assert task.cancelled
    assert bool(log) is reached


def test_cancelled_after_the_waiter_was_resolved() -> None:
    reactor = SimulatedReactor()
    calls: list[str] = []
    waiter = reactor.waiter(lambda: calls.append("cancelled"))
    task = reactor.start(waiter.wait)
    reactor.settle()
    waiter.resolve(1)
    task.cancel()
    reactor.settle()
    assert task.cancelled
    assert calls == ["cancelled"]


def test_resolved_after_it_was_cancelled() -> None:
    reactor = SimulatedReactor()
    calls: list[str] = []
    waiter = reactor.waiter(lambda: calls.append("cancelled"))
    task = reactor.start(waiter.wait)
    reactor.settle()
    task.cancel()
    waiter.resolve(1)
    waiter.reject(ValueError())
    reactor.settle()
    assert task.cancelled
    assert calls == ["cancelled"]


@pytest.mark.parametrize("seed", range(5))
def test_echo(seed: int) -> None:
    reactor = SimulatedReactor(seed)
    reactor.listen(HOST, lambda: Echo(reactor)).latency = 0.001
    data = bytes(range(256)) * 40

    async def main() -> list[int]:
        async with reactor:
            link = RecordingLink(reactor)
            transport = await reactor.connect(HOST, link, timeout=5)
            link.send(data)
            assert await link.until_received(len(data)) == data
            transport.close()
            assert await link.until_lost() is None
            assert link.events[0] == "made"
            assert link.events[-1] == "lost"
            return link.chunks

    assert len(reactor.run(main)) >= 1
    assert reactor.now() == pytest.approx(0.002)


def test_pieces_vary_with_the_seed() -> None:
    def chunks(seed: int) -> tuple[int, ...]:
        reactor = SimulatedReactor(seed)
        reactor.listen(HOST, lambda: Echo(reactor))

        async def main() -> tuple[int, ...]:
            link = RecordingLink(reactor)
            await reactor.connect(HOST, link, timeout=5)
            link.send(bytes(1000))
            await link.until_received(1000)
            return tuple(link.chunks)

        return reactor.run(main)

    assert chunks(3) == chunks(3)
    assert len({chunks(seed) for seed in range(10)}) > 3


def connect_once(reactor: SimulatedReactor, address: Address = HOST, timeout: float = 5) -> RecordingLink:
    async def main() -> RecordingLink:
        link = RecordingLink(reactor)
        await reactor.connect(address, link, timeout=timeout)
        return link

    return reactor.run(main)


def test_refused() -> None:
    reactor = SimulatedReactor()
    with pytest.raises(ConnectionRefusedError):
        connect_once(reactor)
    reactor.listen(HOST, lambda: Echo(reactor)).refuse = True
    with pytest.raises(ConnectionRefusedError):
        connect_once(reactor)


def test_black_hole() -> None:
    reactor = SimulatedReactor()
    reactor.listen(HOST, lambda: Echo(reactor)).black_hole = True
    with pytest.raises(TimeoutError, match=r"no connection to 10\.0\.0\.1:9042 within 5 s"):
        connect_once(reactor)
    assert reactor.now() == 5


def test_delay_of_the_connection() -> None:
    reactor = SimulatedReactor()
    reactor.listen(HOST, lambda: Echo(reactor)).delay = 2
    connect_once(reactor)
    assert reactor.now() == 2
    with pytest.raises(TimeoutError):
        connect_once(reactor, timeout=1)


def test_name_with_several_addresses() -> None:
    reactor = SimulatedReactor()
    reactor.network.names["db"] = ["10.0.0.3", "10.0.0.2", "10.0.0.1"]
    reactor.listen(Address("10.0.0.2", 9042), lambda: Echo(reactor)).black_hole = True
    listener = reactor.listen(HOST, lambda: Echo(reactor))
    connect_once(reactor, Address("db", 9042))
    assert len(listener.accepted) == 1


def test_reset() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: Echo(reactor))
    link = connect_once(reactor)
    listener.accepted[0].reset()
    reactor.settle()
    assert isinstance(link.losses[0], ConnectionResetError)
    assert len(link.losses) == 1


def test_black_hole_of_a_connection() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: Echo(reactor))
    link = connect_once(reactor)
    listener.accepted[0].black_hole()
    link.send(b"x")
    reactor.advance(100)
    assert link.received == b""
    assert link.losses == []


def test_half_close() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: RecordingLink(reactor))
    link = connect_once(reactor)
    server = listener.accepted[0].link
    listener.accepted[0].send_eof()
    reactor.settle()
    assert link.events[-1] == "eof"
    link.send(b"still")
    reactor.settle()
    assert isinstance(server, RecordingLink)
    assert server.received == b"still"


def test_back_pressure_both_ways() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: RecordingLink(reactor))
    link = connect_once(reactor)
    server = listener.accepted[0]
    server.pause_reading()
    for _ in range(20):
        link.send(bytes(100_000))
        reactor.settle()
    assert sum(link.pulls) < 500_000
    server.resume_reading()
    reactor.settle()
    assert isinstance(server.link, RecordingLink)
    assert len(server.link.received) == 2_000_000


def test_close_sends_the_rest_but_not_for_ever() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: RecordingLink(reactor))
    link = connect_once(reactor)
    assert link.transport is not None
    listener.accepted[0].pause_reading()
    link.send(bytes(1_000_000))
    reactor.settle()
    link.send(b"more")
    link.transport.close()
    reactor.advance(4.9)
    assert link.losses == []
    reactor.advance(0.2)
    assert link.losses == [None]
    assert link.outgoing == b"more"


def test_leaving_ends_everything() -> None:
    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: Echo(reactor))

    async def forever() -> None:
        while True:
            await reactor.sleep(1)

    async def main() -> RecordingLink:
        async with reactor:
            reactor.spawn(forever)
            link = RecordingLink(reactor)
            await reactor.connect(HOST, link, timeout=5)
            return link

    link = reactor.run(main)
    assert link.losses == [None]
    assert reactor.tasks == set()
    reactor.settle()
    server = listener.accepted[0].link
    assert isinstance(server, RecordingLink)
    assert server.events[-3:] == ["eof", "pulled", "lost"]


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("number", range(4))
def test_leaving_while_cancelled(number: int, level: bool) -> None:
    reactor = SimulatedReactor(number, level=level)
    reactor.listen(HOST, lambda: Echo(reactor))
    links = [RecordingLink(reactor)]

    async def main() -> None:
        async with reactor:
            await reactor.connect(HOST, links[0], timeout=5)
            await reactor.sleep(1)
            raise KeyError("mine")

    task = reactor.start(main, cancel_at_checkpoint=number)
    reactor.advance(10)
    assert task.done
    assert reactor.tasks == set()
    assert reactor.network.clients == set()
    assert links[0].losses in ([], [None])


def test_one_pull_a_turn() -> None:
    reactor = SimulatedReactor()
    reactor.listen(HOST, lambda: Echo(reactor))
    link = connect_once(reactor)
    for _ in range(100):
        link.send(b"x" * 10)
    assert link.pulls == []
    reactor.settle()
    assert link.pulls == [1000]


def test_received_bytes_do_not_outlive_the_call() -> None:
    class PoolRefiller(RecordingLink):
        kept: memoryview | bytes = b""

        def data_received(self, data: bytes | memoryview) -> None:
            super().data_received(data)
            self.kept = data

    reactor = SimulatedReactor()
    listener = reactor.listen(HOST, lambda: PoolRefiller(reactor))
    connect_once(reactor).send(b"abc")
    reactor.settle()
    server = listener.accepted[0].link
    assert isinstance(server, PoolRefiller)
    assert server.received == b"abc"
    assert set(bytes(server.kept)) == {0xDD}


@pytest.mark.parametrize("method", ["data_to_send", "data_received", "eof_received", "connection_lost"])
def test_a_link_with_a_bug(method: str) -> None:
    reactor = SimulatedReactor()
    bugs: list[BaseException] = []
    reactor.on_bug = bugs.append
    listener = reactor.listen(HOST, lambda: RecordingLink(reactor))
    link = connect_once(reactor)
    original = getattr(link, method)

    def buggy(*args: Any) -> None:
        original(*args)
        raise ZeroDivisionError("a bug")

    setattr(link, method, buggy)
    server = listener.accepted[0]
    assert link.transport is not None
    if method == "data_to_send":
        link.transport.wake()
    elif method == "data_received":
        assert isinstance(server.link, RecordingLink)
        server.link.send(b"x")
    elif method == "eof_received":
        server.send_eof()
    else:
        link.transport.abort()
    reactor.settle()
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
    assert link.losses == [None if method == "connection_lost" else bugs[0]]


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("number", range(5))
def test_connect_cancelled_at_every_checkpoint(number: int, level: bool) -> None:
    reactor = SimulatedReactor(number, level=level)
    listener = reactor.listen(HOST, lambda: RecordingLink(reactor))
    listener.delay = 1
    link = RecordingLink(reactor)

    async def main() -> None:
        await reactor.connect(HOST, link, timeout=5)

    task = reactor.start(main, cancel_at_checkpoint=number)
    reactor.advance(10)
    assert task.cancelled == (number < task.checkpoints)
    assert link.events == ([] if task.cancelled else ["made"])
    assert len(listener.accepted) == (0 if task.cancelled else 1)
    assert reactor.tasks == set()
