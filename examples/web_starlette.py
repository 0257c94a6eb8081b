"""A service on Starlette alone: one session for as long as it runs, a streaming export, one handler of errors, probes.

Start it with ``CASSANDRA=127.19.1.1 uvicorn --app-dir examples web_starlette:app``, or hypercorn on asyncio or Trio.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

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


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    """Hold one session for as long as the service runs: all requests share it."""
    async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        yield {"session": session}


async def create(request: Request) -> JSONResponse:
    book = await request.json()
    applied = (await request.state.session.execute(INSERT, book)).applied
    return JSONResponse(book if applied else {"detail": "there is such a book"}, 201 if applied else 409)


async def read(request: Request) -> JSONResponse:
    isbn = request.path_params["isbn"]
    result = await request.state.session.execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict)
    found = result.one()
    return JSONResponse(found or {"detail": f"there is no book {isbn}"}, 200 if found else 404)


async def export(request: Request) -> StreamingResponse:
    """Send all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""

    async def lines() -> AsyncIterator[str]:
        async with request.state.session.stream(SELECT, page_size=100, row_type=dict) as books:
            async for book in books:
                yield json.dumps(book) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def live(request: Request) -> JSONResponse:
    """Tell that the process works, and what it has under way."""
    return JSONResponse(request.state.session.stats()._asdict())


async def ready(request: Request) -> JSONResponse:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = request.state.session.health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return JSONResponse({"can_serve": share, **health.summary()}, 200 if share >= READY_FROM else 503)


async def failed(request: Request, error: Exception) -> JSONResponse:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    if not isinstance(error, triocql.Error) or not error.is_transient:
        raise error
    harmless = not error.maybe_executed or request.method in REPEATABLE
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"} if harmless else None)


app = Starlette(
    routes=[
        Route("/books", create, methods=["POST"]),
        Route("/books", export),
        Route("/books/{isbn}", read),
        Route("/health/live", live),
        Route("/health/ready", ready),
    ],
    exception_handlers={triocql.Error: failed},
    lifespan=lifespan,
)
