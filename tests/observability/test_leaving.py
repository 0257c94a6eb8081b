"""Clients that leave in the middle of a stream, under every server: nothing is left of what was read for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cassandra.services import OTHERS, SERVERS, eventually, serve
from triocql.testing.server import CqlServer, ServedTable

BOOKS, PAGE = 2000, 100
TITLE = 40 * "A title that fills a page. "
SCHEMA = "CREATE KEYSPACE library; CREATE TABLE library.books (isbn text PRIMARY KEY, title text, pages int)"

OFTEN, SOME = 200, 20
SHORT = ["fastapi", "fastapi-hypercorn", "fastapi-hypercorn-trio", "aiohttp"]
NOTICED = [name for name in SERVERS | OTHERS if not name.startswith("flask")]
"""WSGI does not tell of clients that leave."""

OF_ASYNCIO = "socket.send() raised exception."
"""What asyncio logs where a server goes on writing until it has noticed; some frameworks put something before it."""


class Library(NamedTuple):
    """A node whose books are more than connections hold."""

    server: CqlServer
    books: ServedTable


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    with CqlServer(schema=SCHEMA) as server:
        books = server.serve_table("library.books", ([f"{n:010}", TITLE, n] for n in range(BOOKS)))
        server.when("SELECT isbn, title, pages FROM books").then(books.step)
        yield Library(server, books)


def at_rest(stats: dict[str, int]) -> bool:
    """Whether a service has both of its connections to the node, the second of which comes later, and nothing to do."""
    return (stats["connections"], stats["in_flight"], stats["queued"], stats["orphans"]) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        *((name, SOME) for name in SHORT),
        *(pytest.param(name, OFTEN, marks=pytest.mark.long) for name in NOTICED),
    ],
)
def test_nothing_is_left_of_a_stream_whose_client_has_left(
    name: str, times: int, library: Library, tmp_path: Path
) -> None:
    """Neither requests, nor connections, nor lines in the log of the service; and its answers come as before."""
    contact_point = f"cql://{library.server.contact_points[0]}/?heartbeat_interval=3600"
    log = tmp_path / f"{name}.log"
    with serve(name, contact_point, tmp_path) as service:
        eventually(lambda: at_rest(service.stats()))
        idle = service.stats()
        logged = log.read_text()
        before = library.books.pages
        for _ in range(times):
            with service.export():
                pass
        eventually(lambda: service.stats() == idle)
        assert library.books.pages - before < times * BOOKS / PAGE / 2, "what nobody reads is not fetched"
        with service.client.stream("GET", "/books") as answer:
            assert sum(1 for _ in answer.iter_lines()) == BOOKS
        eventually(lambda: service.stats() == idle)
        added = log.read_text().removeprefix(logged).splitlines()
        assert [line for line in added if not line.endswith(OF_ASYNCIO)] == []
