"""A scripted node on a real socket, served by a thread of its own."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import triocql
from tests.engine.peer import Asked, Node
from triocql.protocol.constants import Opcode
from triocql.reactors.threadloop import ThreadLoop
from triocql.reactors.threadreactor import ThreadReactor
from triocql.reactors.threadtransport import ThreadTransport

if TYPE_CHECKING:
    from triocql.sync import Session

INSERT = "INSERT INTO t (k) VALUES (?)"
SELECT = "SELECT v FROM t WHERE k = ?"


class Served:
    """A node and where it listens. `EXECUTE`s, and other requests of users, can be held."""

    def __init__(self, *versions: int) -> None:
        self.node = Node(*versions)
        self.loop = ThreadLoop()
        self.most = 0
        self._reactor = ThreadReactor()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Served:
        self.loop.start()
        self.loop.run(self._serve)
        return self

    def __exit__(self, *exc: object) -> None:
        self.loop.run(self._end)
        self.loop.stop()
        self.loop.join()

    def connect(self, **options: Any) -> Session:
        """Connect to the node."""
        return triocql.sync.connect(port=self.port, **{"connections_local": 1, **options})

    def hold(self) -> None:
        """Hold what is executed from now on."""
        self.node.script = self._hold

    def until_held(self, count: int) -> None:
        """Wait until `count` requests are held."""
        self.loop.run(self.until, lambda: len(self.node.held) >= count)

    def release(self, count: int | None = None) -> None:
        """Answer the first of the requests that are held, or all."""
        self.loop.run(self._release, count)

    def answer_all(self) -> None:
        """Answer what is held, and hold nothing more."""
        self.node.script = None
        self.release()

    async def _serve(self) -> None:
        await self._reactor.__aenter__()
        self._listener.setblocking(False)
        self.loop.watch(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        ThreadTransport(self._reactor, self.loop, sock, self.node.accept()).start()

    async def _end(self) -> None:
        self.loop.watch(self._listener, 0, self._accept)
        self._listener.close()
        await self._reactor.__aexit__(None, None, None)

    def _hold(self, asked: Asked) -> bool:
        if asked.opcode not in (Opcode.EXECUTE, Opcode.BATCH) and not asked.text.startswith("SELECT"):
            return False
        if asked.opcode == Opcode.PREPARE:
            return False
        asked.hold()
        self.most = max(self.most, len(self.node.held))
        return True

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition`; in the node's loop."""
        while not condition():
            await self._reactor.sleep(0.001)

    async def _release(self, count: int | None) -> None:
        held = self.node.held
        for _ in range(len(held) if count is None else count):
            held.pop(0).respond()


@contextlib.contextmanager
def session(**options: Any) -> Iterator[tuple[Served, Session]]:
    """A node with a session."""
    with Served() as served, served.connect(**options) as made:
        yield served, made
