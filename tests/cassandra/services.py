"""Web services under real servers, each in a process of its own on a port that the system gives."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triocql.testing.cassandra import Node

ROOT = Path(__file__).parents[2]
BUFFER = 131_072
"""Bytes that each end of a connection takes: a client that does not read holds its service up soon."""

PATIENCE = 120.0
"""Seconds until a test gives up."""

SERVERS = {
    "fastapi": "uvicorn --no-access-log --fd {fd} web_fastapi:app",
    "quart": "hypercorn --worker-class trio --bind fd://{fd} web_quart:app",
    "flask": "gunicorn --workers 2 --bind fd://{fd} web_flask:create_app()",
    "flask-threads": "gunicorn --threads 32 --bind fd://{fd} web_flask:create_app()",
    "flask-gevent": "gunicorn --worker-class gevent --bind fd://{fd} web_flask:create_app()",
}
"""How the services of ``examples/`` are started, as users do, but for the socket."""

OTHERS = {
    "fastapi-hypercorn": "hypercorn --bind fd://{fd} web_fastapi:app",
    "fastapi-hypercorn-trio": "hypercorn --worker-class trio --bind fd://{fd} web_fastapi:app",
    "starlette": "uvicorn --no-access-log --fd {fd} web_starlette:app",
    "starlette-hypercorn": "hypercorn --bind fd://{fd} web_starlette:app",
    "starlette-hypercorn-trio": "hypercorn --worker-class trio --bind fd://{fd} web_starlette:app",
    "litestar": "uvicorn --no-access-log --fd {fd} web_litestar:app",
    "litestar-hypercorn": "hypercorn --bind fd://{fd} web_litestar:app",
    "litestar-hypercorn-trio": "hypercorn --worker-class trio --bind fd://{fd} web_litestar:app",
    "django-async": "uvicorn --no-access-log --fd {fd} web_django_async:app",
    "aiohttp": "gunicorn --worker-class aiohttp.GunicornWebWorker --bind fd://{fd} web_aiohttp:main()",
}
"""Those that are not tried on real nodes."""


def eventually(condition: Callable[[], bool]) -> None:
    """Ask until it is so; each question takes a round trip, or as long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"


@contextmanager
def held(node: Node) -> Iterator[None]:
    """Have a node stand still."""
    node.pause()
    try:
        yield
    finally:
        node.resume()


@dataclass
class Service:
    """A service that runs: its address, and a client of it."""

    address: tuple[str, int]
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        host, port = self.address
        self.client = httpx2.Client(base_url=f"http://{host}:{port}", timeout=PATIENCE)

    def stats(self) -> dict[str, int]:
        """Return what the service says that it has under way."""
        answer: dict[str, int] = self.client.get("/health/live").raise_for_status().json()
        return answer

    @contextmanager
    def export(self) -> Iterator[socket.socket]:
        """Ask for all books, and wait for the first ones; leaving breaks it off."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            connection.settimeout(PATIENCE)
            connection.connect(self.address)
            connection.sendall(b"GET /books HTTP/1.1\r\nHost: books\r\n\r\n")
            answer = b""
            while b"isbn" not in answer:
                received = connection.recv(1024)
                assert received, answer
                answer += received
            yield connection


def take_what_is_there(connection: socket.socket) -> int:
    """Read all that has come, without waiting for more; returns how many bytes."""
    taken = 0
    connection.setblocking(False)
    with suppress(BlockingIOError):
        while received := connection.recv(BUFFER):
            taken += len(received)
    return taken


@contextmanager
def serve(name: str, contact_point: str, folder: Path) -> Iterator[Service]:
    """Run a service of ``examples/``. It has to end well when told to, and to write no traceback.

    The socket that it listens on is there before it starts, so that clients need not wait until it does.
    """
    log = folder / f"{name}.log"
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        service = Service(listener.getsockname())
        process = _start((SERVERS | OTHERS)[name].format(fd=listener.fileno()), contact_point, listener, log)
    try:
        with service.client:
            yield service
        process.terminate()
        assert process.wait(PATIENCE) in {0, -signal.SIGTERM}, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start(command: str, contact_point: str, listener: socket.socket, log: Path) -> subprocess.Popen[Any]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT / "examples",
            env={**os.environ, "PYTHONPATH": path, "CASSANDRA": contact_point},
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
