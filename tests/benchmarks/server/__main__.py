"""The server's process: `python -m tests.benchmarks.server NODES` prints its port, and ends when stdin closes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
from typing import TYPE_CHECKING

from tests.benchmarks import compiled
from tests.benchmarks.server.answers import Answers
from tests.benchmarks.server.places import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.server import wire
else:
    wire = compiled.load("server/wire")

PIECE = 256 * 1024
TRIES = 20
REPLICATION = {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "1"}
"""Each row has one replica, so that a request is either sent to it or not."""
MODES = (
    (4, False),
    (4, True),
    (5, False),
)  # version, and whether frames are compressed; v5 compresses its segments


class Client:
    """One client's socket: one `recv`, one `send` of all the answers. Nothing is read while answers wait."""

    def __init__(
        self, sock: socket.socket, connection: wire.Connection, selector: selectors.BaseSelector
    ) -> None:
        self._sock = sock
        self._connection = connection
        self._selector = selector
        self._unsent = memoryview(b"")
        selector.register(sock, selectors.EVENT_READ, self.ready)

    def ready(self, piece: memoryview) -> None:
        """Go on reading, or sending; close on the client's end or on its mistake."""
        try:
            if self._unsent:
                self._send(self._unsent)
            elif n := self._sock.recv_into(piece):
                self._send(memoryview(self._connection.receive(piece[:n])))
            else:
                self._close()
        except BlockingIOError:
            pass
        except ConnectionError:
            self._close()
        except ValueError as error:
            print(f"closing a connection: {error}", file=sys.stderr, flush=True)
            self._close()

    def _send(self, data: memoryview) -> None:
        waiting = bool(self._unsent)
        self._unsent = data[self._sock.send(data) if data else 0 :]
        if bool(self._unsent) != waiting:
            events = selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ
            self._selector.modify(self._sock, events, self.ready)

    def _close(self) -> None:
        self._selector.unregister(self._sock)
        self._sock.close()


def serve(listeners: Sequence[socket.socket], port: int) -> None:
    """Serve the clients of all nodes until stdin closes: the owner's end, however it comes, is the server's end."""
    selector = selectors.DefaultSelector()
    for index, listener in enumerate(listeners):
        _take_clients(listener, Place(index, len(listeners), port), selector)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    piece = memoryview(bytearray(PIECE))
    while True:
        for key, _events in selector.select():
            if key.data is None:
                return
            key.data(piece)


def _take_clients(listener: socket.socket, place: Place, selector: selectors.BaseSelector) -> None:
    """Have one node take the clients that come."""
    books = {mode: wire.Book(*mode) for mode in MODES}
    books[5, True] = books[5, False]
    answers = Answers((books[mode] for mode in MODES), place.tables(REPLICATION))

    def accept(_: memoryview) -> None:
        sock, _address = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Client(sock, wire.Connection(answers, books), selector)

    selector.register(listener, selectors.EVENT_READ, accept)


def listen(nodes: int) -> list[socket.socket]:
    """Listen on one port of as many addresses, from 127.0.0.1 on. Raises OSError if none is free on all of them."""
    for tries_left in reversed(range(TRIES)):
        with contextlib.ExitStack() as stack:
            port, listeners = 0, []
            try:
                for index in range(nodes):
                    where = Place(index, nodes, port).host, port
                    listener = stack.enter_context(socket.create_server(where, backlog=128))
                    port = listener.getsockname()[1]
                    listeners.append(listener)
            except OSError:
                if not tries_left:
                    raise
            else:
                stack.pop_all()
                return listeners
    raise AssertionError("the last try returns or raises")


def main() -> None:
    listeners = listen(int(sys.argv[1]))
    port = listeners[0].getsockname()[1]
    print(port, flush=True)
    serve(listeners, port)


if __name__ == "__main__":
    main()
