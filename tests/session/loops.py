"""A session with a scripted node on every loop: simulated, Trio, asyncio, and AnyIO on both; and cancellation there."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from math import inf
from types import CodeType
from typing import Any, TypeVar

import anyio
import anyio.abc
import outcome
import trio
import uvloop

import triocql
from tests.engine.peer import Node, PeerLink
from tests.engine.world import World
from tests.files import open_files
from triocql.abc import Address
from triocql.protocol.constants import Opcode
from triocql.session.connecting import Connecting
from triocql.testing.simulated import SimCancelled

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a test that hangs fails."""


class Stepped:
    """An awaitable that counts how often a coroutine is suspended, and calls `cancel` when it is for the `at`-th time.

    Attributes:
        count: how often it was suspended.
        lines: the lines that it was suspended in.
        leaving: whether it was `cancel`led while it left a reactor: that ends whatever is said meanwhile.
        outlasting: the same, while it waited for what has to end first (`Reactor.outlast`).
        came: which suspension the cancellation ended, None if it ended none.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: float = inf) -> None:
        self.count = 0
        self.lines: set[tuple[CodeType, int]] = set()
        self.leaving = self.outlasting = False
        self.came: int | None = None
        self.cancel: Callable[[], object] = lambda: None
        self._coroutine = coroutine
        self._at = at

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            self._note()
            value, error = None, None
            try:
                value = yield trap
            except BaseException as thrown:
                error = thrown
            # Before, it is a deadline of Trio's own that has passed.
            if self.came is None and self.count > self._at and _is_cancelled(value, error):
                self.came = self.count - 1

    def _note(self) -> None:
        inner: Any = self._coroutine
        names = []
        while inner is not None:
            if type(inner).__name__ == "coroutine_wrapper":
                (inner,) = gc.get_referents(inner)
            frame = getattr(inner, "cr_frame", None)
            if frame is not None:
                self.lines.add((frame.f_code, frame.f_lineno))
                names.append(frame.f_code.co_qualname)
            inner = getattr(inner, "cr_await", None)
        if self.count == self._at:
            self.leaving = any(name.endswith("Reactor.__aexit__") for name in names)
            self.outlasting = any(name.endswith(".outlast") for name in names)
            self.cancel()
        self.count += 1


def _is_cancelled(value: object, error: BaseException | None) -> bool:
    """Tell whether a suspension is ended by a cancellation; Trio sends it as an outcome."""
    if isinstance(value, outcome.Error):
        error = value.error
    return isinstance(error, (trio.Cancelled, asyncio.CancelledError, SimCancelled))


class Stage:
    """What a scenario gets: the node, sessions with it, and the loop's way to cancel.

    Attributes:
        late: after how many more suspensions a cancellation comes at the latest.
        too_late: how many of the last suspensions a coroutine may end after, although it was cancelled there.
    """

    late = 0
    too_late = 0

    def __init__(self, node: Node, address: Address) -> None:
        self.node = node
        self.address = address

    def connect(self, **options: Any) -> Connecting:
        """Return what `triocql.connect` does for the node."""
        return triocql.connect(self.address, **{"connections_local": 1, **options})

    async def cancelling(self, stepped: Stepped) -> bool:
        """Run `stepped`, with its `cancel` the loop's; return whether it ended by that."""
        raise NotImplementedError

    async def cancelling_at(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Stepped:
        """Cancel a coroutine at its `number`-th suspension, if it has so many: it has to end by that, and there."""
        stepped = Stepped(coroutine, number)
        caught = await self.cancelling(stepped)
        if stepped.came is not None:
            assert number <= stepped.came <= number + self.late
            assert caught or stepped.leaving
        else:
            assert stepped.count <= number + self.too_late or stepped.leaving or stepped.outlasting
        return stepped

    def tasks(self) -> int:
        """Return how many tasks there are in the loop."""
        return len(anyio.get_running_tasks())

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await anyio.sleep(seconds)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        for _ in range(int(PATIENCE / 0.001)):
            if condition():
                return
            await self.sleep(0.001)
        raise AssertionError(self.tasks())


class SimulatedStage(Stage):
    """On virtual time."""

    def __init__(self, world: World) -> None:
        Stage.__init__(self, world.node, world.addresses[0])
        self.world = world

    def connect(self, **options: Any) -> Connecting:
        return Stage.connect(self, reactor=self.world.reactor, **options)

    async def cancelling(self, stepped: Stepped) -> bool:
        async def run() -> None:
            await stepped

        task = self.world.reactor.start(run)
        stepped.cancel = task.cancel
        await task.wait()
        if not task.cancelled:
            task.result()
        return task.cancelled

    def tasks(self) -> int:
        return len(self.world.reactor.tasks)

    async def sleep(self, seconds: float) -> None:
        await self.world.reactor.sleep(seconds)


class TrioStage(Stage):
    """By a cancel scope. A checkpoint that need not wait is suspended twice: shielded, and to be cancelled."""

    late = 1

    async def cancelling(self, stepped: Stepped) -> bool:
        with trio.CancelScope() as scope:
            stepped.cancel = scope.cancel
            await stepped
        return scope.cancelled_caught


class AsyncioStage(Stage):
    """By `Task.cancel`."""

    async def cancelling(self, stepped: Stepped) -> bool:
        async def run() -> None:
            await stepped

        task = asyncio.create_task(run())
        stepped.cancel = task.cancel
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        return task.cancelled()


class AnyioStage(Stage):
    """By a cancel scope of AnyIO."""

    late = 1

    async def cancelling(self, stepped: Stepped) -> bool:
        with anyio.CancelScope() as scope:
            stepped.cancel = scope.cancel
            await stepped
        return scope.cancelled_caught


class AnyioOnAsyncioStage(AnyioStage):
    """Where AnyIO does not cancel who is about to be resumed."""

    too_late = 2


# --- The node on a real socket -----------------------------------------------------------------------------------


class _Transport:
    """The node's end of a connection; its reader and its writer are tasks of the test's own loop."""

    def __init__(self, link: PeerLink, stream: anyio.abc.SocketStream) -> None:
        self._link = link
        self._stream = stream
        self._event = anyio.Event()
        self._closing = False

    async def run(self) -> None:
        try:
            async with self._stream, anyio.create_task_group() as group:
                self._link.connection_made(self)
                group.start_soon(self._write, group.cancel_scope)
                await self._read()
                group.cancel_scope.cancel()
        finally:
            self._link.connection_lost(None)

    async def _read(self) -> None:
        try:
            while True:
                self._link.data_received(await self._stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._link.eof_received()

    async def _write(self, scope: anyio.CancelScope) -> None:
        while not self._closing:
            await self._event.wait()
            self._event = anyio.Event()
            data = self._link.data_to_send()
            if data:
                try:
                    await self._stream.send(data)
                except anyio.BrokenResourceError:
                    return
        scope.cancel()

    def wake(self) -> None:
        self._event.set()

    def close(self) -> None:
        self._closing = True
        self._event.set()

    abort = close

    def pause_reading(self) -> None:
        raise NotImplementedError

    resume_reading = pause_reading


@asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Address]:
    """Serve a node on a port of this machine."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def handle(stream: anyio.abc.SocketStream) -> None:
        await _Transport(node.accept(), stream).run()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield Address("127.0.0.1", listener.extra(anyio.abc.SocketAttribute.local_port))
        await _until(lambda: all(link.lost for link in (*node.links, *node.listeners)))
        group.cancel_scope.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no loop
            await anyio.sleep(0.001)


# --- The loops ---------------------------------------------------------------------------------------------------

Scenario = Callable[[Any], Awaitable[T]]


async def _served(kind: type[Stage], scenario: Scenario[T], node: Node) -> T:
    with anyio.fail_after(PATIENCE):
        async with serving(node) as address:
            return await scenario(kind(node, address))


def _simulated(*, level: bool) -> Callable[[Scenario[T], Node], T]:
    def run(scenario: Scenario[T], node: Node) -> T:
        world = World(level=level)
        world.nodes[0] = node
        world.listeners[0].factory = node.accept

        async def main() -> T:
            return await scenario(SimulatedStage(world))

        result = world.reactor.run(main)
        world.assert_closed()
        return result

    return run


def _on_trio(scenario: Scenario[T], node: Node) -> T:
    return trio.run(_served, TrioStage, scenario, node)


def _on_asyncio(scenario: Scenario[T], node: Node) -> T:
    return asyncio.run(_served(AsyncioStage, scenario, node))


def _on_uvloop(scenario: Scenario[T], node: Node) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_served(AsyncioStage, scenario, node))


def _on_anyio(backend: str, kind: type[Stage]) -> Callable[[Scenario[T], Node], T]:
    def run(scenario: Scenario[T], node: Node) -> T:
        return anyio.run(_served, kind, scenario, node, backend=backend)

    return run


LOOPS: dict[str, Callable[[Scenario[Any], Node], Any]] = {
    "simulated": _simulated(level=False),
    "simulated, level": _simulated(level=True),
    "trio": _on_trio,
    "asyncio": _on_asyncio,
    "anyio on trio": _on_anyio("trio", AnyioStage),
    "anyio on asyncio": _on_anyio("asyncio", AnyioOnAsyncioStage),
}

RUNNERS = {**LOOPS, "uvloop": _on_uvloop}
"""With uvloop, for what goes differently there."""


@functools.cache
def _warm_uvloop() -> None:
    """Have uvloop open what it opens once a process, before open files are counted."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


def run_on(loop: str, scenario: Scenario[T], node: Node | None = None) -> T:
    """Run `await scenario(stage)` on a loop; nothing may be left open."""
    if loop == "uvloop":
        _warm_uvloop()
    files = open_files()
    result: T = RUNNERS[loop](scenario, Node() if node is None else node)
    gc.collect()
    assert open_files() <= files
    return result


async def settled(session: triocql.Session, seconds: float = PATIENCE) -> None:
    """Wait until nothing is under way in a session."""
    reactor = session._context.reactor
    end = reactor.now() + seconds
    while session.stats()[1:] != (0, 0, 0):
        assert reactor.now() < end, session.stats()
        await reactor.sleep(0.001)


def check_executed_once(node: Node) -> None:
    """Check that the node was asked once at most to execute each write since the last check; none is idempotent."""
    writes = Counter(
        (asked.text, *asked.values, *asked.entries)
        for asked in node.asked
        if asked.opcode != Opcode.PREPARE and not asked.text.startswith(("SELECT", "USE "))
    )
    assert max(writes.values(), default=0) <= 1, writes
    node.asked.clear()
