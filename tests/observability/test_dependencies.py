"""A session in what FastAPI runs around a handler: dependencies that hold a stream, and background tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import triocql
from triocql.observability.otel import Tracing
from triocql.testing.server import CqlServer

SCHEMA = "CREATE KEYSPACE library; CREATE TABLE library.books (isbn text PRIMARY KEY, title text, pages int)"
SELECT = "SELECT isbn, title, pages FROM library.books"
LATER = "INSERT INTO library.books (isbn) VALUES ('later')"
BOOKS = 500


async def the_books(request: Request) -> AsyncIterator[Any]:
    """Hold a stream for as long as FastAPI holds a dependency."""
    async with request.state.session.stream(SELECT, page_size=50) as books:
        yield books


Books = Annotated[Any, Depends(the_books)]


def service(contact_point: str, tracker: Tracing) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with triocql.connect(contact_point, tracker=tracker) as session:
            yield {"session": session}

    app = FastAPI(lifespan=lifespan)

    @app.get("/some")
    async def some(request: Request, books: Books, tasks: BackgroundTasks) -> int:
        tasks.add_task(request.state.session.execute, LATER)
        return len([await anext(books) for _ in range(60)])

    @app.get("/all")
    async def everything(request: Request, books: Books, tasks: BackgroundTasks) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for book in books:
                yield f"{book.isbn}\n"

        tasks.add_task(request.state.session.execute, LATER)
        return StreamingResponse(lines(), background=tasks)

    @app.get("/stats")
    async def stats(request: Request) -> tuple[int, ...]:
        return tuple(request.state.session.stats())

    return app


@pytest.fixture
def server() -> Iterator[CqlServer]:
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        books = server.serve_table("library.books", ([f"{n:05}", "title", n] for n in range(BOOKS)))
        server.when(SELECT).then(books.step)
        yield server


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_streams_of_dependencies_and_calls_of_background_tasks_leave_nothing(
    backend: Literal["asyncio", "trio"], server: CqlServer
) -> None:
    """Read to their end or left in the middle; the tasks are traced, and come when the answer has gone."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = service(server.contact_points[0], Tracing(provider, root_spans=True))
    with TestClient(app, backend=backend) as client:
        for _ in range(3):
            assert client.get("/some").json() == 60
            assert len(client.get("/all").text.split()) == BOOKS
        assert client.get("/stats").json()[1:] == [0, 0, 0]
    assert sum(entry.request.text == LATER for entry in server.log) == 6
    assert [span.name for span in exporter.get_finished_spans()].count("INSERT library.books") == 6
    provider.shutdown()
