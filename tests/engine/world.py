"""Nodes on the simulated network, a session with them, and what has to hold of its stream ids at any time."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import triocql
from tests.engine.peer import Node
from triocql.abc import Address, Link
from triocql.cluster.control import Control
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.pool import Pool
from triocql.protocol.tls import TlsLink
from triocql.session.connecting import Connecting
from triocql.session.session import Session
from triocql.testing.simulated import SimTask, SimulatedReactor

T = TypeVar("T")

# Nodes are asked what a test has them asked, and nothing beside that.
_NOTHING_IN_ADVANCE = {"prepare_on_all_hosts": False, "reprepare_on_up": False, "schema": False}

INSERT = "INSERT INTO t (k) VALUES (?)"
SELECT = "SELECT v FROM t WHERE k = ?"


class World:
    """`count` scripted nodes and the options of the sessions with them: one connection a node unless said otherwise."""

    def __init__(
        self, *versions: int, count: int = 1, seed: int = 0, level: bool = False, **options: Any
    ) -> None:
        self.reactor = SimulatedReactor(seed, level=level)
        self.nodes = [Node(*versions) for _ in range(count)]
        first = ipaddress.ip_address("10.0.0.1")
        self.addresses = [Address(str(first + number), 9042) for number in range(count)]
        self.listeners = [
            self.reactor.listen(address, node.accept)
            for address, node in zip(self.addresses, self.nodes, strict=True)
        ]
        everybody = list(zip(self.nodes, self.addresses, strict=True))
        for node in self.nodes:
            node.peers = [each for each in everybody if each[0] is not node]
        self.options = {"connections_local": 1, "reconnection_jitter": 0.0, **_NOTHING_IN_ADVANCE, **options}

    @property
    def node(self) -> Node:
        """The first node."""
        return self.nodes[0]

    def connect(self) -> Connecting:
        """Return what `triocql.connect` does for these nodes."""
        return triocql.connect(self.addresses, reactor=self.reactor, **self.options)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session with all connections made. After the block its stream ids have to be in order, and after its
        end nothing may be left open."""
        session = self.call(self._open)
        yield session
        self.settle()
        check(session)
        self.call(session.aclose)
        self.assert_closed()

    def call(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **keywords: Any) -> T:
        """Run `await fn(...)` to its end and return its result."""
        return self.reactor.run(lambda: fn(*args, **keywords))

    def start(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, **keywords: Any) -> SimTask[T]:
        """Run `await fn(...)` in a task of its own, as far as it goes without waiting for time or a node."""
        task = self.reactor.start(lambda: fn(*args, **keywords))
        self.settle()
        return task

    def settle(self) -> None:
        """Run all that can run now."""
        self.reactor.settle()

    async def _open(self) -> Session:
        session = await self.connect().__aenter__()
        while any(pool.missing for pool in pools(session) if not self._is_away(pool)):
            await self.reactor.sleep(0.001)
        return session

    def assert_closed(self) -> None:
        """No task and no connection may be left."""
        self.reactor.settle()
        assert self.reactor.tasks == set()
        assert self.reactor.network.clients == set()
        for node in self.nodes:
            assert all(link.lost for link in (*node.links, *node.listeners))

    @property
    def clients(self) -> list[Any]:
        """The connections of pools, as the network has them."""
        return [each for each in self.reactor.network.clients if not is_control(each.link)]

    def accepted(self, index: int = 0) -> list[Any]:
        """Return a node's ends of the connections of pools, in order."""
        return [each for each in self.listeners[index].accepted if not is_control(each.peer.link)]

    def _is_away(self, pool: Pool) -> bool:
        listener = self.listeners[self.addresses.index(pool.node.address)]
        return listener.refuse or listener.black_hole


def is_control(link: Link) -> bool:
    """Tell whether a link is that of a control connection."""
    inner = link._inner if isinstance(link, TlsLink) else link
    return isinstance(inner, Connection) and isinstance(inner._owner, Control)


def pools(session: Session) -> list[Pool]:
    """Return the session's pools."""
    return list(session._context.executor.router.pools)


def only(session: Session) -> Connection:
    """Return the session's connection, if it is the only one."""
    (connection,) = session._context.executor.router.connections()
    return connection


def check(session: Session) -> None:
    """Check that no stream id is lost, none is in two places, that bytes are counted of nothing but what waits, and the
    load of nodes as it is."""
    router = session._context.executor.router
    for parking in (router.queue, router.waiting, router.delays):
        assert parking.size == sum(len(request.body) for request in parking.requests())
    for pool in pools(session):
        assert pool.target.load == sum(
            len(connection.in_flight) + len(connection.orphans) for connection in pool.connections
        )
    for connection in router.connections():
        check_ids(connection, session._context.cluster.options.connection.max_in_flight)


def check_ids(connection: Connection, size: int) -> None:
    """Check that each of `size` ids is free, in flight or an orphan's, and that requests know where they are."""
    if connection.state is State.CLOSED:
        assert not connection.in_flight
        return
    assert connection.free or not (connection.streams.used or connection.streams.spare)
    ids = [*free_ids(connection), *connection.in_flight, *connection.orphans]
    assert sorted(ids) == list(range(size))
    for stream, request in connection.in_flight.items():
        assert request.stream == stream
        assert request.holder is connection.streams


def free_ids(connection: Connection) -> list[int]:
    """Return the ids that can be taken, now or later."""
    return [*connection.free, *connection.streams.used, *connection.streams.spare]
