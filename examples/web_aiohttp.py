"""A service on aiohttp: one session for as long as it runs, a streaming export, one handler of errors, and probes.

Start it with ``CASSANDRA=127.19.1.1 gunicorn --chdir examples --worker-class aiohttp.GunicornWebWorker
"web_aiohttp:main()"``; or in ``examples`` with ``python -m aiohttp.web web_aiohttp:main``.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS library WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS library.books (isbn text PRIMARY KEY, title text, pages int)",
    "USE library",
)
INSERT = "INSERT INTO books (isbn, title, pages) VALUES (:isbn, :title, :pages) IF NOT EXISTS"
SELECT = "SELECT isbn, title, pages FROM books"
READY_FROM = 0.5  # the share of the books that the service has to be of use for
REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")  # the methods that may be sent twice, as HTTP has it
SESSION = web.AppKey("session", triocql.Session)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Hold one session for as long as the service runs: all requests share it."""
    async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        app[SESSION] = session
        yield


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    try:
        return await handler(request)
    except triocql.Error as error:
        if not error.is_transient:
            raise
        harmless = not error.maybe_executed or request.method in REPEATABLE
        headers = {"Retry-After": "1"} if harmless else {}
        return web.json_response({"detail": str(error)}, status=503, headers=headers)


async def create(request: web.Request) -> web.Response:
    book: dict[str, Any] = await request.json()
    if not (await request.app[SESSION].execute(INSERT, book)).applied:
        return web.json_response({"detail": f"there is a book {book['isbn']} already"}, status=409)
    return web.json_response(book, status=201)


async def read(request: web.Request) -> web.Response:
    isbn = request.match_info["isbn"]
    result = await request.app[SESSION].execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict)
    found = result.one()
    return web.json_response(found or {"detail": f"there is no book {isbn}"}, status=200 if found else 404)


async def export(request: web.Request) -> web.StreamResponse:
    """Send all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    with suppress(ConnectionResetError):  # to write to a client that has left raises
        async with request.app[SESSION].stream(SELECT, page_size=100, row_type=dict) as books:
            async for book in books:
                await response.write(json.dumps(book).encode() + b"\n")
    return response


async def live(request: web.Request) -> web.Response:
    """Tell that the process works, and what it has under way."""
    return web.json_response(request.app[SESSION].stats()._asdict())


async def ready(request: web.Request) -> web.Response:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = request.app[SESSION].health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return web.json_response(
        {"can_serve": share, **health.summary()}, status=200 if share >= READY_FROM else 503
    )


def main(arguments: object = None) -> web.Application:
    """Make the application, for ``python -m aiohttp.web`` and for servers."""
    app = web.Application(middlewares=[errors])
    app.cleanup_ctx.append(connected)
    app.add_routes(
        [
            web.post("/books", create),
            web.get("/books", export),
            web.get("/books/{isbn}", read),
            web.get("/health/live", live),
            web.get("/health/ready", ready),
        ]
    )
    return app
