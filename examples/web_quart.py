"""The service of web_fastapi.py on Trio: Quart-Trio, under Hypercorn.

Start it with ``CASSANDRA=127.19.1.1 hypercorn --worker-class trio examples/web_quart.py:app``.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from quart import Response, abort, request
from quart_trio import QuartTrio

import triocql
from triocql import errors

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS library WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS library.books (isbn text PRIMARY KEY, title text, pages int)",
    "USE library",
)
INSERT = "INSERT INTO books (isbn, title, pages) VALUES (:isbn, :title, :pages) IF NOT EXISTS"
SELECT = "SELECT isbn, title, pages FROM books"
UPDATE = "UPDATE books SET title = :title, pages = :pages WHERE isbn = :isbn IF EXISTS"
DELETE = "DELETE FROM books WHERE isbn = ? IF EXISTS"
READY_FROM = 0.5  # the share of the books that the service has to be of use for
REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")  # the methods that may be sent twice, as HTTP has it

app = QuartTrio(__name__)
session: triocql.Session


@app.while_serving
async def lifespan() -> AsyncGenerator[None, None]:
    """Hold one session for as long as the service runs: all requests share it."""
    global session
    async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        yield


@app.post("/books")
async def create() -> tuple[dict[str, Any], int]:
    book = await request.get_json()
    if not (await session.execute(INSERT, book)).applied:
        abort(409, f"there is a book {book['isbn']} already")
    return book, 201


@app.get("/books/<isbn>")
async def read(isbn: str) -> dict[str, Any]:
    book = (await session.execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict)).one()
    if book is None:
        abort(404, f"there is no book {isbn}")
    return book


@app.put("/books/<isbn>")
async def update(isbn: str) -> dict[str, Any]:
    book = {**await request.get_json(), "isbn": isbn}
    if not (await session.execute(UPDATE, book)).applied:
        abort(404, f"there is no book {isbn}")
    return book


@app.delete("/books/<isbn>")
async def delete(isbn: str) -> tuple[str, int]:
    if not (await session.execute(DELETE, [isbn])).applied:
        abort(404, f"there is no book {isbn}")
    return "", 204


@app.get("/books")
async def export() -> Response:
    """Send all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""

    async def lines() -> AsyncIterator[str]:
        async with session.stream(SELECT, page_size=100, row_type=dict) as books:
            async for book in books:
                yield json.dumps(book) + "\n"

    response = Response(lines(), mimetype="application/x-ndjson")
    response.timeout = None  # an export takes as long as its client
    return response


@app.get("/health/live")
async def live() -> dict[str, int]:
    """Tell that the process works, and what it has under way."""
    return session.stats()._asdict()


@app.get("/health/ready")
async def ready() -> tuple[dict[str, Any], int]:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = session.health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return {"can_serve": share, **health.summary()}, 200 if share >= READY_FROM else 503


@app.errorhandler(errors.BindTypeError)
@app.errorhandler(errors.BindValueError)
async def unfit(error: Exception) -> tuple[dict[str, str], int]:
    """Tell which value is wrong: each one is checked against its column before anything is sent."""
    return {"detail": str(error)}, 422


@app.errorhandler(triocql.Error)
async def failed(error: triocql.Error) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    if not error.is_transient:
        raise error
    if error.maybe_executed and request.method not in REPEATABLE:
        return {"detail": f"{error}; it may have been carried out: look before you send it again"}, 503, {}
    return {"detail": str(error)}, 503, {"Retry-After": "1"}
