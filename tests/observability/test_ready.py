"""The probes of the services in ``examples/``, with nodes that are stopped and come back."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest
from django.test import Client as DjangoClient
from django.urls import clear_url_caches
from fastapi.testclient import TestClient
from litestar.testing import TestClient as LitestarClient

from tests.cassandra.services import serve
from triocql.testing.server import CqlServer, rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 60.0
GUNICORN = ("--preload", "--bind", "127.0.0.1:0")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def fastapi() -> Iterator[Callable[[str], Any]]:
    with TestClient(example("web_fastapi").app) as client:
        yield client.get


@contextmanager
def flask() -> Iterator[Callable[[str], Any]]:
    app = example("web_flask").create_app()
    try:
        yield app.test_client().get
    finally:
        app.extensions["session"].close()


@contextmanager
def litestar() -> Iterator[Callable[[str], Any]]:
    with LitestarClient(example("web_litestar").app) as client:
        yield client.get


@contextmanager
def starlette() -> Iterator[Callable[[str], Any]]:
    with TestClient(example("web_starlette").app) as client:
        yield client.get


@contextmanager
def quart() -> Iterator[Callable[[str], Any]]:
    with TestClient(example("web_quart").app, backend="trio") as client:
        yield client.get


def served(name: str) -> Callable[[], AbstractContextManager[Callable[[str], Any]]]:
    """Return what runs a service under a real server."""

    @contextmanager
    def run() -> Iterator[Callable[[str], Any]]:
        with (
            TemporaryDirectory() as folder,
            serve(name, os.environ["CASSANDRA"], Path(folder)) as service,
        ):
            yield service.client.get

    return run


@contextmanager
def django() -> Iterator[Callable[[str], Any]]:
    module = example("web_django")
    clear_url_caches()  # of another import of the service
    try:
        yield DjangoClient().get
    finally:
        module.the_session.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    "service",
    [
        fastapi,
        starlette,
        flask,
        quart,
        litestar,
        django,
        pytest.param(served("django-async"), id="django_async"),
        pytest.param(served("aiohttp"), id="aiohttp"),
    ],
)
def test_a_service_is_ready_while_enough_nodes_are_there(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CqlServer(3, unprimed="echo") as server:
        monkeypatch.setenv("CASSANDRA", server.contact_points[0])
        with service() as get:
            assert get("/health/ready").status_code == get("/health/live").status_code == 200
            for node in server.nodes:
                node.stop()
            until(lambda: get("/health/ready").status_code == 503)
            assert get("/health/live").status_code == 200
            for node in server.nodes:
                node.start()
            until(lambda: get("/health/ready").status_code == 200)


@pytest.mark.parametrize("service", [fastapi, starlette, flask, quart, litestar, django])
def test_a_service_whose_node_stands_still_says_so_in_time_and_goes_on_when_it_is_back(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CqlServer(unprimed="echo") as server:
        a_book(server)
        monkeypatch.setenv("CASSANDRA", f"cql://{server.contact_points[0]}/?timeout=1.5")
        with service() as get:
            until(lambda: get("/books/1").status_code == 200)
            server.nodes[0].pause()
            began = time.monotonic()
            answer = get("/books/1")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert time.monotonic() - began < PATIENCE / 2
            server.nodes[0].resume()
            until(lambda: get("/books/1").status_code == 200)


def a_book(server: CqlServer) -> None:
    """Have the services find a book."""
    columns = {"isbn": "text", "title": "text", "pages": "int"}
    query = "SELECT isbn, title, pages FROM books WHERE isbn = ?"
    server.when(query, parameters={"isbn": "text"}).then(rows(columns, [["1", "Kassandra", 160]]))


@contextmanager
def preloaded(server: CqlServer, workers: int) -> Iterator[tuple[str, int]]:
    """Run Django's service under gunicorn, which loads it before it forks; give its URL, and the parent's process."""
    arguments = [*GUNICORN, "--workers", str(workers), "web_django:app"]
    with subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--chdir", str(EXAMPLES), *arguments],
        env={**os.environ, "CASSANDRA": server.contact_points[0], "PYTHONPATH": str(EXAMPLES.parent)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            line = next(each for each in process.stderr if "Listening at" in each)
            url = re.search(r"http://[\d.:]+", line)
            assert url is not None
            yield url[0], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
    assert process.returncode == 0


def processes(url: str, count: int) -> set[int]:
    """Ask until so many processes have answered."""
    seen: set[int] = set()

    def asked() -> bool:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=PATIENCE) as answer:
            seen.add(json.loads(answer.read())["process"])
        return len(seen) == count

    until(asked)
    return seen


def test_each_worker_of_a_server_that_loads_before_it_forks_has_its_own_session() -> None:
    with CqlServer(unprimed="echo") as server, preloaded(server, 2) as (url, parent):
        assert parent not in processes(url, 2)


@pytest.mark.long
def test_workers_that_were_forked_need_no_more_memory_after_ten_thousand_requests() -> None:
    def kilobytes(process: int) -> int:
        status = Path(f"/proc/{process}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])

    def ask(_: int) -> None:
        with urllib.request.urlopen(f"{url}/books/1", timeout=PATIENCE) as answer:
            assert json.loads(answer.read())["title"] == "Kassandra"

    with CqlServer(unprimed="echo") as server:
        a_book(server)
        with preloaded(server, 4) as (url, _), ThreadPoolExecutor(8) as clients:
            workers = processes(url, 4)
            list(clients.map(ask, range(2_000)))
            before = {process: kilobytes(process) for process in workers}
            list(clients.map(ask, range(10_000)))
            grown = [kilobytes(process) - before[process] for process in workers]
    assert max(grown) < 2_000, grown
