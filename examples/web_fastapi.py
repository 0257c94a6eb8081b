"""A service on FastAPI: create, read, update, delete, a streaming export, and what a health check asks for.

Start it with ``CASSANDRA=127.19.1.1 uvicorn --app-dir examples web_fastapi:app``; try it at ``/docs``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

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


class Details(BaseModel):
    """What may change of a book."""

    title: str
    pages: int


class Book(Details):
    """A book, as clients and Cassandra have it: rows are read as this class."""

    isbn: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Hold one session for as long as the service runs: all requests share it."""
    async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        yield {"session": session}


def the_session(request: Request) -> triocql.Session:
    return cast(triocql.Session, request.state.session)


app = FastAPI(lifespan=lifespan)
Session = Annotated[triocql.Session, Depends(the_session)]


@app.post("/books", status_code=201)
async def create(book: Book, session: Session) -> Book:
    if not (await session.execute(INSERT, book.model_dump())).applied:
        raise HTTPException(409, f"there is a book {book.isbn} already")
    return book


@app.get("/books/{isbn}")
async def read(isbn: str, session: Session) -> Book:
    book = (await session.execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=Book)).one()
    if book is None:
        raise HTTPException(404, f"there is no book {isbn}")
    return book


@app.put("/books/{isbn}")
async def update(isbn: str, details: Details, session: Session) -> Book:
    book = Book(isbn=isbn, **details.model_dump())
    if not (await session.execute(UPDATE, book.model_dump())).applied:
        raise HTTPException(404, f"there is no book {isbn}")
    return book


@app.delete("/books/{isbn}", status_code=204)
async def delete(isbn: str, session: Session) -> None:
    if not (await session.execute(DELETE, [isbn])).applied:
        raise HTTPException(404, f"there is no book {isbn}")


@app.get("/books")
async def export(session: Session) -> StreamingResponse:
    """Send all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""

    async def lines() -> AsyncIterator[str]:
        async with session.stream(SELECT, page_size=100, row_type=Book) as books:
            async for book in books:
                yield book.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@app.get("/health/live")
async def live(session: Session) -> dict[str, int]:
    """Tell that the process works, and what it has under way."""
    return session.stats()._asdict()


@app.get("/health/ready")
async def ready(session: Session) -> JSONResponse:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = session.health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return JSONResponse({"can_serve": share, **health.summary()}, 200 if share >= READY_FROM else 503)


@app.exception_handler(errors.BindTypeError)
@app.exception_handler(errors.BindValueError)
async def unfit(request: Request, error: Exception) -> JSONResponse:
    """Tell which value is wrong: a class like `Book` does not know all that a column takes, such as an int's range."""
    return JSONResponse({"detail": str(error)}, 422)


@app.exception_handler(triocql.Error)
async def failed(request: Request, error: triocql.Error) -> JSONResponse:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    if not error.is_transient:
        raise error
    if error.maybe_executed and request.method not in REPEATABLE:
        return JSONResponse(
            {"detail": f"{error}; it may have been carried out: look before you send it again"}, 503
        )
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})
