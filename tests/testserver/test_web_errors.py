"""The web services of ``examples/`` answer 503 to what will pass, with a time to come back if that does no harm."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from json import dumps
from pathlib import Path
from typing import Any

import pytest
import trio
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer as AiohttpServer
from django.test import Client as DjangoClient
from django.urls import clear_url_caches
from fastapi.testclient import TestClient
from litestar.testing import TestClient as LitestarClient

from triocql.testing.server import CqlServer, ErrorCode, Message, error

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOOK = {"isbn": "1", "title": "Kassandra", "pages": 160}

Ask = Callable[..., Any]


@pytest.fixture(params=["fastapi", "flask", "quart", "starlette", "litestar", "aiohttp", "django"])
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


def _ask_litestar(service: Any) -> Iterator[Ask]:
    with LitestarClient(service.app, raise_server_exceptions=False) as client:
        yield lambda method, path, **body: _seen(client.request(method, path, **body))


def _ask_aiohttp(service: Any) -> Iterator[Ask]:
    """A test client of aiohttp lives in its loop: one for each request."""

    async def ask(method: str, path: str, **body: Any) -> Any:
        async with AiohttpClient(AiohttpServer(service.main())) as client:
            answer = await client.request(method, path, **body)
            return answer.status, answer.headers, await answer.text()

    yield lambda method, path, **body: asyncio.run(ask(method, path, **body))


def _ask_django(service: Any) -> Iterator[Ask]:
    clear_url_caches()  # of another import of the service
    client = DjangoClient(raise_request_exception=False)

    def ask(method: str, path: str, json: Any) -> Any:
        answer = client.generic(method, path, dumps(json), content_type="application/json")
        return answer.status_code, answer.headers, answer.content.decode()

    yield ask
    service.the_session.close()


ASKING = {
    "fastapi": _ask_fastapi,
    "starlette": _ask_fastapi,
    "flask": _ask_flask,
    "quart": _ask_quart,
    "litestar": _ask_litestar,
    "aiohttp": _ask_aiohttp,
    "django": _ask_django,
}
WHOLE = ["fastapi", "flask", "quart"]
"""The services that can change and delete books, too, and say what may have happened."""


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
@pytest.mark.parametrize("executed", [False, True])
def test_what_will_pass(ask: Ask, cql_server: CqlServer, executed: bool) -> None:
    """For each framework: when to come back is told only if nothing can have been carried out."""
    refuse(cql_server, error(ErrorCode.WRITE_TIMEOUT if executed else ErrorCode.IS_BOOTSTRAPPING, "not yet"))
    status, headers, _ = ask("POST", "/books", json=BOOK)
    assert status == 503
    assert headers.get("Retry-After") == (None if executed else "1")


@SERVER
@pytest.mark.parametrize("ask", WHOLE, indirect=True)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/books", BOOK), ("PUT", "/books/1", BOOK), ("DELETE", "/books/1", None)],
)
@pytest.mark.parametrize("executed", [False, True])
def test_what_will_pass_by_each_method(
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
