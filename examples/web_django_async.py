"""Django with views that do not block: one session in the loop of the server, for as long as it runs.

Start it with ``CASSANDRA=127.19.1.1 uvicorn --app-dir examples web_django_async:app``; each worker has its own session.
In a project, `Connected` goes around the application in ``asgi.py``, and the middleware into the settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.urls import path

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


class Connected:
    """An ASGI application around Django's, which knows of no server's start and end: it connects between them."""

    session: triocql.Session

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        await receive()  # the server starts
        try:
            async with triocql.connect(os.environ.get("CASSANDRA", "127.0.0.1")) as self.session:
                for statement in SCHEMA:
                    await self.session.execute(statement)
                await send({"type": "lifespan.startup.complete"})
                await receive()  # the server ends
        except triocql.Error as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})


async def books(request: HttpRequest) -> HttpResponseBase:
    if request.method == "GET":
        return StreamingHttpResponse(export(), content_type="application/x-ndjson")
    book = json.loads(request.body)
    applied = (await app.session.execute(INSERT, book)).applied
    return JsonResponse(
        book if applied else {"detail": "there is such a book"}, status=201 if applied else 409
    )


async def export() -> AsyncIterator[str]:
    """Give all books, as lines of JSON, as fast as the client takes them; a client that leaves ends the reading."""
    async with app.session.stream(SELECT, page_size=100, row_type=dict) as found:
        async for book in found:
            yield json.dumps(book) + "\n"


async def book(request: HttpRequest, isbn: str) -> HttpResponse:
    found = (await app.session.execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict)).one()
    return JsonResponse(found or {"detail": f"there is no book {isbn}"}, status=200 if found else 404)


async def live(request: HttpRequest) -> HttpResponse:
    """Tell that the process works, and what it has under way."""
    return JsonResponse(app.session.stats()._asdict())


async def ready(request: HttpRequest) -> HttpResponse:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = app.session.health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    answer: dict[str, Any] = {"can_serve": share, **health.summary()}
    return JsonResponse(answer, status=200 if share >= READY_FROM else 503)


class Unavailable:
    """A middleware: answers 503 where it makes sense to come back later, and says when if that can do no harm."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        return await self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, triocql.Error) or not error.is_transient:
            return None
        harmless = not error.maybe_executed or request.method in REPEATABLE
        return JsonResponse(
            {"detail": str(error)}, status=503, headers={"Retry-After": "1"} if harmless else None
        )


urlpatterns = [
    path("books", books),
    path("books/<str:isbn>", book),
    path("health/live", live),
    path("health/ready", ready),
]

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[f"{__name__}.Unavailable"],
        SECRET_KEY=os.environ.get("SECRET_KEY", "for trying it out"),
    )
app = Connected(get_asgi_application())
