"""A test server and a session with it, on virtual time or on real sockets; what each call ends with is kept."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, NamedTuple

import anyio
import pytest
import trio
import uvloop

import triocql
from tests.files import open_files
from triocql import Error, Session
from triocql.abc import Reactor
from triocql.engine.connections.connection import Connection
from triocql.engine.executing import Execution
from triocql.metadata.node import NodeState
from triocql.reactors.threadloop import ThreadLoop
from triocql.reactors.threadreactor import ThreadReactor
from triocql.session.connecting import Connecting
from triocql.statements.prepared import PreparedStatement
from triocql.testing.server import CqlServer
from triocql.testing.server.connection import ServerConnection
from triocql.testing.simulated import SimulatedReactor

SCHEMA = """
CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE ks.t (k int PRIMARY KEY, v text)
"""
SELECT = "SELECT k FROM ks.t WHERE k = ?"
INSERT = "INSERT INTO ks.t (k) VALUES (?)"
PATIENCE = 60.0
"""Seconds after which something on a real socket that does not happen fails the test."""

LOOPS = ["simulated", "trio", "asyncio", "thread"]
EVERYWHERE = pytest.mark.parametrize("loop", LOOPS)
ON_EVERY_LOOP = pytest.mark.parametrize("loop", ["simulated", "trio", "asyncio", "uvloop", "thread"])
ON_SOCKETS = pytest.mark.parametrize("loop", ["trio", "asyncio", "thread"])
VERSIONS = pytest.mark.parametrize("version", [4, 5])


class Call:
    """One request and all that its caller is told: a sink."""

    def __init__(self, scene: Scene, token: int, *, reads: bool, idempotent: bool, timeout: float) -> None:
        self.token = token
        self.reads = reads
        self.idempotent = idempotent
        self.began = scene.now()
        self.deadline = self.began + timeout
        self.ended = inf
        self.outcomes: list[Any] = []
        self.abandoned = False
        self.execution: Execution | None = None
        self.scene = scene
        self._waiter = scene.session._context.reactor.waiter(lambda: None)

    def resolve(self, response: Any) -> None:
        """Take the response."""
        self._end(response)

    def reject(self, error: BaseException) -> None:
        """Take the error."""
        self._end(error)

    def _end(self, outcome: Any) -> None:
        self.outcomes.append(outcome)
        self.ended = self.scene.now()
        self._waiter.resolve(None)

    def abandon(self) -> None:
        """Do what the cancellation of the caller does."""
        assert self.execution is not None
        self.abandoned = True
        self.execution.abandon()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return bool(self.outcomes)

    @property
    def took(self) -> float:
        """Seconds from the call to its end."""
        return self.ended - self.began

    @property
    def error(self) -> Any:
        """The error that it ended with."""
        (outcome,) = self.outcomes
        assert isinstance(outcome, Error), outcome
        return outcome

    @property
    def value(self) -> Any:
        """The token that came back."""
        (response,) = self.outcomes
        if isinstance(response, Exception):
            raise response
        ((value,),) = response.page.rows(tuple)
        return value

    @property
    def succeeded(self) -> bool:
        """Whether it ended with an answer."""
        (outcome,) = self.outcomes
        return not isinstance(outcome, Exception)

    async def wait(self) -> Call:
        """Wait for its end."""
        if not self.done:
            await self._waiter.wait()
        return self


class Scene:
    """What a row gets. Nothing of it is the row's to close."""

    def __init__(
        self, server: CqlServer, options: dict[str, Any], make_reactor: Callable[[], Reactor | str]
    ) -> None:
        self.server = server
        self.calls: list[Call] = []
        self.session: Session
        self.select: PreparedStatement
        self.insert: PreparedStatement
        self.virtual = isinstance(make_reactor(), SimulatedReactor)
        self._options = options
        self._make_reactor = make_reactor

    def connecting(self, **options: Any) -> Connecting:
        """Return what `triocql.connect` does for the nodes, with the row's options and these."""
        # Unless a row says otherwise.
        in_advance = {"prepare_on_all_hosts": False, "reprepare_on_up": False, "schema": False}
        options = {
            "connections_local": 1,
            "reconnection_jitter": 0.0,
            **in_advance,
            **self._options,
            **options,
        }
        reactor: Any = self._make_reactor()
        return triocql.connect(self.server.contact_points, reactor=reactor, **options)

    async def prepare(self, session: Session) -> None:
        """Take the session, once all its connections are there."""
        self.session = session
        await self.whole()
        self.select = await session.prepare(SELECT)
        self.insert = await session.prepare(INSERT)

    async def whole(self) -> None:
        """Wait until no connection is missing, but to nodes that are left alone."""
        pools = self.session._context.executor.router.pools
        await self.until(
            lambda: not any(pool.missing and pool.node.state is not NodeState.FORCED_DOWN for pool in pools)
        )

    def now(self) -> float:
        """Return the time in seconds, virtual or not."""
        return self.server.host.now()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        reactor = self._make_reactor()
        assert isinstance(reactor, SimulatedReactor)
        await reactor.sleep(seconds)

    @property
    def clients(self) -> int:
        """How many connections there are on the simulated network."""
        reactor = self._make_reactor()
        assert isinstance(reactor, SimulatedReactor)
        return len(reactor.network.clients)

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something is so, for so many seconds at most if they are real."""
        end = self.now() + (200.0 if self.virtual else seconds)
        while not condition():
            assert self.now() < end, self.session.stats()
            await self.session._context.reactor.sleep(0.001)

    def read(self, token: int, timeout: float = 10.0, *, idempotent: bool = True) -> Call:
        """Start a SELECT, whose answer has to hold `token`."""
        return self._start(token, self.select, True, timeout, idempotent)

    def write(self, token: int, timeout: float = 10.0, *, idempotent: bool = False) -> Call:
        """Start an INSERT of `token`."""
        return self._start(token, self.insert, False, timeout, idempotent)

    def _start(
        self, token: int, statement: PreparedStatement, reads: bool, timeout: float, idempotent: bool
    ) -> Call:
        call = Call(self, token, reads=reads, idempotent=idempotent, timeout=timeout)
        self.calls.append(call)
        options = self.session._context.call_options({"timeout": timeout, "idempotent": idempotent})
        call.execution = self.session._context.executor.start(call, statement, [token], options)
        return call

    async def received(self, count: int = 1) -> None:
        """Wait until the nodes have got so many requests since the log was cleared."""
        await self.until(lambda: len(self.server.log) >= count)

    async def failed(self, call: Call, kind: type[Any]) -> Any:
        """Wait for the end of a call and return its error, which has to be of this kind."""
        await call.wait()
        assert isinstance(call.error, kind), repr(call.error)
        return call.error

    @property
    def connections(self) -> list[Connection]:
        """The session's connections."""
        return self.session._context.executor.router.connections()

    @property
    def links(self) -> list[ServerConnection]:
        """The server's ends of the connections for requests: all but that of the control connection."""
        return [link for link in self.server.connections if not link.events]

    def only(self) -> Connection:
        """Return the session's connection, if it is the only one."""
        (connection,) = self.connections
        return connection


Row = Callable[[Scene], Awaitable[None]]


class Play(NamedTuple):
    """What is run: something before the session is opened, the row, and what is checked after it."""

    server: CqlServer
    options: dict[str, Any]
    before: Row | None
    row: Row
    check: Row

    async def run(self, make_reactor: Callable[[], Reactor | str]) -> None:
        """Run it."""
        scene = Scene(self.server, self.options, make_reactor)
        if self.before is not None:
            await self.before(scene)
        async with scene.connecting() as session:
            await scene.prepare(session)
            self.server.log.clear()
            await self.row(scene)
            await self.check(scene)


async def _run_in_loop(play: Play) -> None:
    async with play.server as server:
        tasks = len(anyio.get_running_tasks())
        await play.run(lambda: "auto")
        with anyio.fail_after(PATIENCE):
            while server.connections or len(anyio.get_running_tasks()) > tasks:  # noqa: ASYNC110
                await anyio.sleep(0.001)  # the server's side learns of it some turns later


def _simulated(play: Play) -> None:
    reactor = SimulatedReactor()
    play.server.run_on(reactor)
    reactor.run(lambda: play.run(lambda: reactor))
    reactor.settle()
    assert reactor.tasks == set()
    assert reactor.network.clients == set()


def _on_thread(play: Play) -> None:
    threads = set(threading.enumerate())
    loop = ThreadLoop()
    with play.server:
        loop.start()
        try:
            loop.run(play.run, ThreadReactor)
        finally:
            loop.stop()
            loop.join()
    assert set(threading.enumerate()) <= threads


_LOOPS: dict[str, Callable[[Play], None]] = {
    "trio": lambda play: trio.run(_run_in_loop, play),
    "asyncio": lambda play: asyncio.run(_run_in_loop(play)),
    "uvloop": lambda play: uvloop.run(_run_in_loop(play)),
    "thread": _on_thread,
}


def run_on(loop: str, play: Play) -> None:
    """Run a row; nothing of it may be left open."""
    if loop == "simulated":
        _simulated(play)
        return
    if loop == "uvloop":
        uvloop.new_event_loop().close()  # libuv opens something once a process, and never closes it
    before = open_files()
    waits = ("timeout", "connect_timeout", "heartbeat_timeout", "frame_timeout")
    patience = dict.fromkeys(waits, PATIENCE)  # the machine may have other work
    options = {"reconnection_base": 0.05, **patience, **play.options}
    _LOOPS[loop](play._replace(options=options))
    gc.collect()
    assert open_files() <= before
