"""The server's process: `python -m tests.benchmarks.server` prints its port, and ends when stdin closes."""

from __future__ import annotations

import selectors
import socket
import sys
from typing import TYPE_CHECKING

from tests.benchmarks import compiled
from tests.benchmarks.server.answers import Answers

if TYPE_CHECKING:
    from tests.benchmarks.server import wire
else:
    wire = compiled.load("server/wire")

PIECE = 256 * 1024
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


def serve(listener: socket.socket) -> None:
    """Serve clients until stdin closes: the owner's end, however it comes, is the server's end."""
    books = {mode: wire.Book(*mode) for mode in MODES}
    books[5, True] = books[5, False]
    answers = Answers(books[mode] for mode in MODES)
    selector = selectors.DefaultSelector()
    piece = memoryview(bytearray(PIECE))

    def accept(_: memoryview) -> None:
        sock, _address = listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Client(sock, wire.Connection(answers, books), selector)

    selector.register(listener, selectors.EVENT_READ, accept)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    while True:
        for key, _events in selector.select():
            if key.data is None:
                return
            key.data(piece)


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        serve(listener)


if __name__ == "__main__":
    main()
