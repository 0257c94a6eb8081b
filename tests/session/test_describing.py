"""`describe` of both sessions, against a scripted server: what it asks, how often, and what it makes of the answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

import triocql
from triocql import Session
from triocql.errors import InvalidQuery, OptionError, UnfitAnswer, UsageError
from triocql.metadata.description import Described
from triocql.testing.server import CqlServer, ErrorCode, Message, error, rows

pytestmark = pytest.mark.anyio

COLUMNS = {"keyspace_name": "text", "type": "text", "name": "text", "create_statement": "text"}
TABLE = ["shop", "table", '"order"', "CREATE TABLE shop.order (a int);"]
EVERYTHING = "DESCRIBE SCHEMA"
CHANGED = error(
    ErrorCode.INVALID,
    "The schema has changed since the previous page of the DESCRIBE statement result. Please retry",
)


def asked(server: CqlServer, statement: str) -> int:
    """Return how often it was asked, whatever it answered."""
    return sum(request.text == statement for request in server.log.everything)


@pytest.fixture
async def server() -> AsyncIterator[CqlServer]:
    async with CqlServer() as server:
        yield server


@pytest.fixture
async def session(server: CqlServer) -> AsyncIterator[Session]:
    async with triocql.connect(server.contact_points) as session:
        yield session


@pytest.mark.parametrize(
    ("name", "internals", "statement"),
    [
        (None, False, EVERYTHING),
        (None, True, "DESCRIBE SCHEMA WITH INTERNALS"),
        ("shop", False, 'DESCRIBE KEYSPACE "shop"'),
        ("Shop", True, 'DESCRIBE KEYSPACE "Shop" WITH INTERNALS'),
        ("shop.order", False, 'DESCRIBE "shop"."order"'),
    ],
)
async def test_what_the_server_is_asked(
    server: CqlServer, session: Session, name: str | None, internals: bool, statement: str
) -> None:
    server.when(statement).then(rows(COLUMNS, [TABLE]))
    description = await session.describe(name, internals=internals)
    assert description.objects == (Described(*TABLE),)
    assert description.statements == ("CREATE TABLE shop.order (a int)",)
    assert str(description) == TABLE[3]
    server.log.assert_executed(statement, times=1)


async def test_a_schema_without_objects(server: CqlServer, session: Session) -> None:
    server.when(EVERYTHING).then(rows(COLUMNS, []))
    description = await session.describe()
    assert (str(description), description.statements) == ("", ())


async def test_a_schema_that_changes_meanwhile_is_asked_for_once_more(
    server: CqlServer, session: Session
) -> None:
    server.when(EVERYTHING).then(rows(COLUMNS, [TABLE]))
    server.when(EVERYTHING, nth=1).then(CHANGED)
    assert len((await session.describe()).objects) == 1
    assert asked(server, EVERYTHING) == 2


async def test_one_that_goes_on_changing_is_an_error(server: CqlServer, session: Session) -> None:
    server.when(EVERYTHING).then(CHANGED)
    with pytest.raises(InvalidQuery, match="has changed"):
        await session.describe()
    assert asked(server, EVERYTHING) == 2


async def test_what_is_not_there_is_asked_for_once(server: CqlServer, session: Session) -> None:
    statement = 'DESCRIBE KEYSPACE "shop"'
    server.when(statement).then(error(ErrorCode.INVALID, "'shop' not found in keyspaces"))
    with pytest.raises(InvalidQuery, match="not found"):
        await session.describe("shop")
    assert asked(server, statement) == 1


@pytest.mark.parametrize("name", ["", ".", "shop.", ".order", '"Shop"', 'shop."Order"', 7])
async def test_names_that_are_none(session: Session, name: str) -> None:
    with pytest.raises(UsageError, match=r"describe\(\) takes"):
        await session.describe(name)


async def test_a_timeout_that_is_none(session: Session) -> None:
    with pytest.raises(OptionError, match="timeout"):
        await session.describe(timeout=0)


@pytest.mark.parametrize(
    "answer", [rows({"name": "text"}, [["x"]]), rows(COLUMNS, [["shop", "table", None, "x"]])]
)
async def test_an_answer_that_is_no_description(server: CqlServer, session: Session, answer: Message) -> None:
    server.when(EVERYTHING).then(answer)
    with pytest.raises(UnfitAnswer, match="no description"):
        await session.describe()


SCHEMA = """
CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE shop.order (a int PRIMARY KEY, b text);
CREATE TABLE shop.other (a int PRIMARY KEY);
CREATE INDEX by_b ON shop.order (b);
"""
PARTS = {
    None: [("keyspace", "shop"), ("table", '"order"'), ("index", "by_b"), ("table", "other")],
    "shop": [("keyspace", "shop"), ("table", '"order"'), ("index", "by_b"), ("table", "other")],
    "shop.order": [("table", '"order"'), ("index", "by_b")],
    "shop.by_b": [("index", "by_b")],
    "shop.other": [("table", "other")],
}


@pytest.mark.parametrize("known", [True, False])
async def test_a_server_of_before_describe(known: bool) -> None:
    """What it would say is put together, whether the session has read the schema before or not."""
    async with CqlServer(schema=SCHEMA) as server:
        server.when(re.compile("DESCRIBE")).then(
            error(ErrorCode.SYNTAX_ERROR, "no viable alternative at DESCRIBE")
        )
        async with triocql.connect(server.contact_points, schema=known) as session:
            for name, objects in PARTS.items():
                description = await session.describe(name)
                assert [(each.kind, each.name) for each in description.objects] == objects
            assert description.statements[0].startswith("CREATE TABLE shop.other (")
            for name in ("nix", "shop.nix"):
                with pytest.raises(UsageError, match="there is no"):
                    await session.describe(name)


def test_a_session_that_blocks() -> None:
    with CqlServer() as server, triocql.sync.connect(server.contact_points) as session:
        server.when('DESCRIBE "shop"."order" WITH INTERNALS').then(rows(COLUMNS, [TABLE]))
        assert str(session.describe("shop.order", internals=True)) == TABLE[3]
