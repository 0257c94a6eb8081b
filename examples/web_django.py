"""Django in one file: views that block, with a session in each process, whoever forks when.

Start it with ``CASSANDRA=127.19.1.1 gunicorn --chdir examples --preload --workers 4 web_django:app``. In a project,
`the_session` goes into a module of yours, and the middleware into the settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS library WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS library.books (isbn text PRIMARY KEY, title text, pages int)",
    "USE library",
)
INSERT = "INSERT INTO books (isbn, title, pages) VALUES (:isbn, :title, :pages) IF NOT EXISTS"
SELECT = "SELECT isbn, title, pages FROM books WHERE isbn = ?"
READY_FROM = 0.5  # the share of the books that the service has to be of use for
REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")  # the methods that may be sent twice, as HTTP has it


def connect() -> triocql.sync.Session:
    session = triocql.sync.connect(os.environ.get("CASSANDRA", "127.0.0.1"))
    for statement in SCHEMA:
        session.execute(statement)
    return session


the_session = triocql.sync.per_process(connect)


def books(request: HttpRequest) -> HttpResponse:
    book = json.loads(request.body)
    applied = the_session().execute(INSERT, book).applied
    return JsonResponse(
        book if applied else {"detail": "there is such a book"}, status=201 if applied else 409
    )


def book(request: HttpRequest, isbn: str) -> HttpResponse:
    found = the_session().execute(SELECT, [isbn], row_type=dict).one()
    return JsonResponse(found or {"detail": f"there is no book {isbn}"}, status=200 if found else 404)


def live(request: HttpRequest) -> HttpResponse:
    """Tell that the process works, and which one it is."""
    return JsonResponse({"process": os.getpid()})


def ready(request: HttpRequest) -> HttpResponse:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = the_session().health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    answer: dict[str, Any] = {"process": os.getpid(), "can_serve": share, **health.summary()}
    return JsonResponse(answer, status=200 if share >= READY_FROM else 503)


class Unavailable:
    """A middleware: answers 503 where it makes sense to come back later, and says when if that can do no harm."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

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
app = get_wsgi_application()
