"""A service on Litestar: one session for as long as it runs, one handler of errors, and what probes ask for.

Start it with ``CASSANDRA=127.19.1.1 uvicorn --app-dir examples web_litestar:app``, or hypercorn on asyncio or Trio.
"""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Body, FromPath
from litestar.response import Stream

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
async def lifespan(app: Litestar) -> AsyncGenerator[None, None]:
    """Hold one session for as long as the service runs: all requests share it."""
    async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        app.state.session = session
        yield


@post("/books")
async def create(data: Annotated[dict[str, Any], Body()], state: State) -> Response[dict[str, Any]]:
    applied = (await state.session.execute(INSERT, data)).applied
    return Response(
        data if applied else {"detail": "there is such a book"}, status_code=201 if applied else 409
    )


@get("/books/{isbn:str}")
async def read(isbn: FromPath[str], state: State) -> Response[dict[str, Any]]:
    found = (await state.session.execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict)).one()
    return Response(found or {"detail": f"there is no book {isbn}"}, status_code=200 if found else 404)


@get("/books", media_type="application/x-ndjson")
async def export(state: State) -> Stream:
    """Send all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""

    async def lines() -> AsyncIterator[str]:
        async with state.session.stream(SELECT, page_size=100, row_type=dict) as books:
            async for book in books:
                yield json.dumps(book) + "\n"

    return Stream(lines(), media_type="application/x-ndjson")


@get("/health/live")
async def live(state: State) -> dict[str, int]:
    """Tell that the process works, and what it has under way."""
    under_way: dict[str, int] = state.session.stats()._asdict()
    return under_way


@get("/health/ready")
async def ready(state: State) -> Response[dict[str, Any]]:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = state.session.health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return Response({"can_serve": share, **health.summary()}, status_code=200 if share >= READY_FROM else 503)


def failed(request: Request[Any, Any, Any], error: triocql.Error) -> Response[dict[str, str]]:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    if not error.is_transient:
        raise error
    harmless = not error.maybe_executed or request.method in REPEATABLE
    headers = {"Retry-After": "1"} if harmless else {}
    return Response({"detail": str(error)}, status_code=503, headers=headers)


app = Litestar(
    [create, read, export, live, ready], lifespan=[lifespan], exception_handlers={triocql.Error: failed}
)
