"""The web services of ``examples/`` under real servers, with real clients, on a node that is held now and then."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import triocql
from tests.cassandra.conftest import create_keyspace, patient_url
from tests.cassandra.services import SERVERS, Service, eventually, held, serve, take_what_is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.config.options import ConnectKeywords
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

NOTICE_LEAVING = ["fastapi", "quart"]
ONE_PROCESS = ["fastapi", "quart", "flask-threads", "flask-gevent"]


@pytest.fixture(scope="module")
def contact_point(guarded: CassandraCluster) -> str:
    """Where the node is; without heartbeats, so that nothing is in flight but what clients ask for.

    A service dials soon after a loss.
    """
    options: ConnectKeywords = {
        "heartbeat_interval": 3600.0,
        "reconnection_base": 0.1,
        "reconnection_maximum": 0.5,
    }
    return patient_url(f"cassandra:cassandra@{guarded.contact_points[0]}", **options)


@pytest.fixture(scope="module")
def books(contact_point: str) -> set[str]:
    """So many books that no connection holds them all; their ISBNs."""
    isbns = [f"978-{number:010}" for number in range(5000)]
    with triocql.sync.connect(contact_point) as session:
        session.execute(create_keyspace("library"))
        session.execute("CREATE TABLE library.books (isbn text PRIMARY KEY, title text, pages int)")
        insert = "INSERT INTO library.books (isbn, title, pages) VALUES (?, ?, ?)"
        session.execute_concurrent_with_args(insert, ((isbn, 100 * "A Long Title ", 1) for isbn in isbns))
    return set(isbns)


@pytest.fixture(scope="module", params=SERVERS)
def service(
    request: pytest.FixtureRequest,
    contact_point: str,
    books: set[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    with serve(request.param, contact_point, tmp_path_factory.mktemp("service")) as service:
        yield service


def only(services: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services, indirect=True, scope="module")


def test_create_read_update_delete(service: Service) -> None:
    client = service.client
    book = {"isbn": "0-941702-03-9", "title": "Kassandra", "pages": 160}
    client.delete(f"/books/{book['isbn']}")
    created = client.post("/books", json=book)
    assert (created.status_code, created.json()) == (201, book)
    assert client.post("/books", json=book).status_code == 409
    assert client.get(f"/books/{book['isbn']}").json() == book

    changed = {"title": "Cassandra", "pages": 138}
    assert client.put(f"/books/{book['isbn']}", json=changed).json() == {**book, **changed}
    assert client.get(f"/books/{book['isbn']}").json() == {**book, **changed}

    assert client.delete(f"/books/{book['isbn']}").status_code == 204
    assert client.delete(f"/books/{book['isbn']}").status_code == 404
    assert client.get(f"/books/{book['isbn']}").status_code == 404
    assert client.put(f"/books/{book['isbn']}", json=changed).status_code == 404


@pytest.mark.parametrize("pages", ["many", 2**31])
def test_values_that_do_not_fit(service: Service, pages: object) -> None:
    answer = service.client.post("/books", json={"isbn": "1", "title": "Long", "pages": pages})
    assert answer.status_code == 422
    assert "pages" in answer.text


def test_export(service: Service, books: set[str]) -> None:
    with service.client.stream("GET", "/books") as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        isbns = [json.loads(line)["isbn"] for line in answer.iter_lines()]
    assert len(isbns) == len(books)
    assert set(isbns) == books


def test_health(service: Service) -> None:
    answer = service.client.get("/health/ready")
    assert (answer.status_code, answer.json()["can_serve"]) == (200, 1.0)
    assert (answer.json()["up"], answer.json()["open"]) == (1, True)


@pytest.mark.parametrize(
    "service",
    ["fastapi", pytest.param("flask-threads", marks=pytest.mark.long)],
    indirect=True,
    scope="module",
)
def test_health_while_the_node_is_gone(service: Service, guarded: CassandraCluster) -> None:
    """The service lives, and is not ready; then it is, with the same session."""
    (node,) = guarded.nodes
    assert service.client.get("/health/ready").status_code == 200  # no sooner than it has a session
    node.kill()
    try:
        eventually(lambda: service.client.get("/health/ready").status_code == 503)
        answer = service.client.get("/health/ready").json()
        assert (answer["can_serve"], answer["connected"]) == (0.0, 0)
        assert list(answer["errors"]) == [f"{guarded.contact_points[0]}:9042"]
        assert service.stats()["connections"] == 0
    finally:
        node.start()
    eventually(lambda: service.client.get("/health/ready").status_code == 200)


@only(NOTICE_LEAVING)
def test_a_client_leaves_in_the_middle(service: Service, guarded: CassandraCluster) -> None:
    def waits_for_a_page() -> bool:
        before = service.stats()
        sent = take_what_is_there(connection)
        return before == service.stats() and before["in_flight"] == 1 and not sent

    with service.export() as connection, held(guarded.nodes[0]):
        eventually(waits_for_a_page)
        assert service.stats()["orphans"] == 0
        connection.close()
        eventually(lambda: service.stats()["orphans"] == 1)
        assert service.stats()["in_flight"] == 0
    eventually(lambda: service.stats()["orphans"] == 0)
    assert service.client.get("/books/none").status_code == 404


@only(["quart"])
def test_a_client_leaves_before_its_answer(service: Service, guarded: CassandraCluster) -> None:
    """Quart-Trio cancels handlers, too, not streaming responses alone."""
    assert service.client.get("/books/none").status_code == 404  # prepares the statement
    with held(guarded.nodes[0]):
        with socket.create_connection(service.address) as connection:
            connection.sendall(b"GET /books/none HTTP/1.1\r\nHost: books\r\n\r\n")
            eventually(lambda: service.stats()["in_flight"] == 1)
        eventually(lambda: service.stats()["orphans"] == 1)
        assert service.stats()["in_flight"] == 0
    eventually(lambda: service.stats()["orphans"] == 0)


@only(ONE_PROCESS)
def test_many_requests_in_one_process(service: Service, guarded: CassandraCluster) -> None:
    """While all of them wait for the node, the process still answers."""
    assert service.client.get("/books/none").status_code == 404  # prepares the statement
    with ThreadPoolExecutor(20) as clients:
        with held(guarded.nodes[0]):
            answers = [clients.submit(service.client.get, "/books/none") for _ in range(20)]
            eventually(lambda: service.stats()["in_flight"] == 20)
        assert [answer.result().status_code for answer in answers] == [404] * 20


@only(["flask"])
def test_each_worker_has_its_own_session(service: Service) -> None:
    """A worker is busy as long as its client does not read, so that the other one answers."""
    with service.export() as first:
        one = service.stats()
        with service.export():
            first.close()
            other = service.stats()
    assert one["process"] != other["process"]
    assert one["in_flight"] == other["in_flight"] == 0
