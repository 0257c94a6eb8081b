"""The web services of ``examples/`` answer 503 to what will pass, with a time to come back if that does no harm."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from fastapi.testclient import TestClient

from triocql.testing.server import CqlServer, ErrorCode, Message, error

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOOK = {"isbn": "1", "title": "Kassandra", "pages": 160}

Ask = Callable[..., Any]


@pytest.fixture(params=["fastapi", "flask", "quart"])
def ask(
    request: pytest.FixtureRequest, cql_server: CqlServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ask]:
    """Sends a request to a service; gives its status, headers and body."""
    monkeypatch.setenv("CASSANDRA", cql_server.contact_points[0])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    name = f"web_{request.param}"
    service = importlib.import_module(name)
    yield from ASKING[request.param](service)
    del sys.modules[name]


def _ask_fastapi(service: Any) -> Iterator[Ask]:
    with TestClient(service.app, raise_server_exceptions=False) as client:
        yield lambda method, path, **body: _seen(client.request(method, path, **body))


def _ask_flask(service: Any) -> Iterator[Ask]:
    app = service.create_app()
    client = app.test_client()
    yield lambda method, path, **body: _seen(client.open(path, method=method, **body))
    app.extensions["session"].close()


def _ask_quart(service: Any) -> Iterator[Ask]:
    """A test client of Quart lives in its loop: one for each request."""

    async def ask(method: str, path: str, **body: Any) -> Any:
        async with service.app.test_app() as app:
            answer = await app.test_client().open(path, method=method, **body)
            return answer.status_code, answer.headers, await answer.get_data(as_text=True)

    yield lambda method, path, **body: trio.run(lambda: ask(method, path, **body))


ASKING = {"fastapi": _ask_fastapi, "flask": _ask_flask, "quart": _ask_quart}


def _seen(answer: Any) -> Any:
    text = answer.text
    return answer.status_code, answer.headers, text() if callable(text) else text


SERVER = pytest.mark.cql_server(
    schema="CREATE KEYSPACE library; CREATE TABLE library.books (isbn text PRIMARY KEY, title text, pages int)"
)


def refuse(server: CqlServer, answer: Message) -> None:
    """Answer so to whatever a service changes."""
    for text in ("INSERT INTO books", "UPDATE books", "DELETE FROM books"):
        server.when(re.compile(text)).then(answer)


@SERVER
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/books", BOOK), ("PUT", "/books/1", BOOK), ("DELETE", "/books/1", None)],
)
@pytest.mark.parametrize("executed", [False, True])
def test_what_will_pass(
    ask: Ask, cql_server: CqlServer, method: str, path: str, body: Any, executed: bool
) -> None:
    code = ErrorCode.WRITE_TIMEOUT if executed else ErrorCode.IS_BOOTSTRAPPING
    refuse(cql_server, error(code, "not yet"))
    status, headers, text = ask(method, path, json=body)
    assert status == 503
    harmful = executed and method == "POST"
    assert ("it may have been carried out" in text) is harmful
    assert headers.get("Retry-After") == (None if harmful else "1")


@SERVER
def test_what_will_not_pass(ask: Ask, cql_server: CqlServer) -> None:
    refuse(cql_server, error(ErrorCode.UNAUTHORIZED, "you may not"))
    status, headers, _ = ask("POST", "/books", json=BOOK)
    assert (status, headers.get("Retry-After")) == (500, None)
