"""The service of web_fastapi.py for servers of processes, threads or greenlets: Flask, under gunicorn.

Start it with ``CASSANDRA=127.19.1.1 gunicorn --chdir examples --workers 4 "web_flask:create_app()"``; the same with
``--threads 8`` or ``--worker-class gevent``.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator
from typing import Any, cast

from flask import Blueprint, Flask, Response, abort, current_app, request

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

service = Blueprint("service", __name__)


def create_app() -> Flask:
    """Make the application. gunicorn does it in each worker, after the fork: each has a session of its own."""
    app = Flask(__name__)
    app.register_blueprint(service)
    app.extensions["session"] = session = triocql.sync.connect(os.environ.get("CASSANDRA", "127.0.0.1"))
    atexit.register(session.close)
    for statement in SCHEMA:
        session.execute(statement)
    return app


def the_session() -> triocql.sync.Session:
    return cast(triocql.sync.Session, current_app.extensions["session"])


@service.post("/books")
def create() -> tuple[dict[str, Any], int]:
    book = request.get_json()
    if not the_session().execute(INSERT, book).applied:
        abort(409, f"there is a book {book['isbn']} already")
    return book, 201


@service.get("/books/<isbn>")
def read(isbn: str) -> dict[str, Any]:
    book = the_session().execute(f"{SELECT} WHERE isbn = ?", [isbn], row_type=dict).one()
    if book is None:
        abort(404, f"there is no book {isbn}")
    return book


@service.put("/books/<isbn>")
def update(isbn: str) -> dict[str, Any]:
    book = {**request.get_json(), "isbn": isbn}
    if not the_session().execute(UPDATE, book).applied:
        abort(404, f"there is no book {isbn}")
    return book


@service.delete("/books/<isbn>")
def delete(isbn: str) -> tuple[str, int]:
    if not the_session().execute(DELETE, [isbn]).applied:
        abort(404, f"there is no book {isbn}")
    return "", 204


@service.get("/books")
def export() -> Response:
    """Send all books, as lines of JSON, as fast as the client takes them."""
    session = the_session()

    def lines() -> Iterator[str]:
        with session.stream(SELECT, page_size=100, row_type=dict) as books:
            for book in books:
                yield json.dumps(book) + "\n"

    return Response(lines(), mimetype="application/x-ndjson")


@service.get("/health/live")
def live() -> dict[str, int]:
    """Tell that the process works, which one it is, and what it has under way."""
    return {"process": os.getpid(), **the_session().stats()._asdict()}


@service.get("/health/ready")
def ready() -> tuple[dict[str, Any], int]:
    """Tell whether most books can be read and written, by the nodes that are connected; nothing is sent to find out."""
    health = the_session().health()
    share = health.can_serve("library", "LOCAL_QUORUM")
    return {"can_serve": share, **health.summary()}, 200 if share >= READY_FROM else 503


@service.errorhandler(errors.BindTypeError)
@service.errorhandler(errors.BindValueError)
def unfit(error: Exception) -> tuple[dict[str, str], int]:
    """Tell which value is wrong: each one is checked against its column before anything is sent."""
    return {"detail": str(error)}, 422


@service.errorhandler(triocql.Error)
def failed(error: triocql.Error) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer 503 where it makes sense to come back later, and say when only if coming back can do no harm."""
    if not error.is_transient:
        raise error
    if error.maybe_executed and request.method not in REPEATABLE:
        return {"detail": f"{error}; it may have been carried out: look before you send it again"}, 503, {}
    return {"detail": str(error)}, 503, {"Retry-After": "1"}
