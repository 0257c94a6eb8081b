"""Declaring a schema, and what it tells of a query's bind markers and rows."""

from __future__ import annotations

import pytest

from tests.testserver.world import SCHEMA
from triocql.testing.server import Change, ErrorCode, Schema, SchemaError
from triocql.testing.server.statements import (
    Undescribed,
    infer_parameters,
    infer_result,
    key_indexes,
    markers,
    statement_id,
)
from triocql.testing.server.types import ListType, parse_type


@pytest.fixture
def schema() -> Schema:
    made = Schema()
    made.execute(SCHEMA)
    return made


def test_declaring(schema: Schema) -> None:
    shop = schema.keyspaces["shop"]
    assert shop.replication == {
        "class": "org.apache.cassandra.locator.SimpleStrategy",
        "replication_factor": "1",
    }
    assert shop.durable_writes
    orders = shop.tables["orders"]
    assert (orders.partition_key, orders.clustering) == (["user", "day"], ["number"])
    assert (orders.static, orders.descending) == ({"total"}, {"number"})
    assert shop.tables["users"].columns["home"] == "frozen<address>"
    assert shop.types == {"address": {"street": "text", "No": "int"}}


def test_changing(schema: Schema) -> None:
    before = schema.version
    changes = schema.execute(
        'CREATE TABLE "Things" ("Id" uuid PRIMARY KEY); ALTER TABLE "Things" ADD (a int, b map<int,text>); '
        "ALTER TABLE \"Things\" DROP a; ALTER TABLE users WITH comment = 'x'; DROP TYPE IF EXISTS nothing; "
        "DROP TABLE orders; CREATE KEYSPACE k WITH durable_writes = false; DROP KEYSPACE k",
        "shop",
    )
    assert changes == [
        Change("CREATED", "TABLE", "shop", "Things"),
        Change("UPDATED", "TABLE", "shop", "Things"),
        Change("UPDATED", "TABLE", "shop", "Things"),
        Change("UPDATED", "TABLE", "shop", "users"),
        Change("DROPPED", "TABLE", "shop", "orders"),
        Change("CREATED", "KEYSPACE", "k"),
        Change("DROPPED", "KEYSPACE", "k"),
    ]
    assert schema.keyspaces["shop"].tables["Things"].columns == {"Id": "uuid", "b": "map<int, text>"}
    assert schema.version != before


def test_a_type_that_changes_takes_along_the_tables_that_have_it(schema: Schema) -> None:
    changes = schema.execute("ALTER TYPE shop.address ADD zip frozen<list<int>>")
    assert changes == [
        Change("UPDATED", "TABLE", "shop", "users"),
        Change("UPDATED", "TYPE", "shop", "address"),
    ]
    schema.execute('ALTER TYPE address RENAME street TO road AND "No" TO number', "shop")
    assert schema.keyspaces["shop"].types["address"] == {
        "road": "text",
        "number": "int",
        "zip": "frozen<list<int>>",
    }


def test_a_view_follows_its_table(schema: Schema) -> None:
    view = (
        "CREATE MATERIALIZED VIEW shop.by_name AS SELECT * FROM shop.users WHERE name IS NOT NULL AND id IS NOT NULL "
        "PRIMARY KEY ((name), id) WITH CLUSTERING ORDER BY (id DESC) AND comment = 'a; b'"
    )
    assert schema.execute(view) == [Change("CREATED", "TABLE", "shop", "by_name")]
    made = schema.keyspaces["shop"].views["by_name"]
    assert (made.where, made.all_columns) == ("name IS NOT NULL AND id IS NOT NULL", True)
    assert (made.table.partition_key, made.table.clustering, made.table.descending) == (
        ["name"],
        ["id"],
        {"id"},
    )
    assert made.table.options == {"comment": "a; b"}
    assert schema.execute("ALTER TABLE shop.users ADD age int") == [
        Change("UPDATED", "TABLE", "shop", "by_name"),
        Change("UPDATED", "TABLE", "shop", "users"),
    ]
    assert made.table.columns["age"] == "int"
    with pytest.raises(SchemaError, match="views still depend"):
        schema.execute("DROP TABLE shop.users")
    assert schema.execute("DROP MATERIALIZED VIEW shop.by_name") == [
        Change("DROPPED", "TABLE", "shop", "by_name")
    ]


def test_indexes(schema: Schema) -> None:
    schema.execute(
        "CREATE INDEX ON users (name); CREATE CUSTOM INDEX sai ON users (values(tags)) USING 'sai'", "shop"
    )
    indexes = schema.keyspaces["shop"].tables["users"].indexes
    assert {name: index.options for name, index in indexes.items()} == {
        "users_name_idx": {"target": "name"},
        "sai": {"class_name": "StorageAttachedIndex", "target": "values(tags)"},
    }
    assert schema.execute("DROP INDEX shop.sai") == [Change("UPDATED", "TABLE", "shop", "users")]
    assert list(indexes) == ["users_name_idx"]


def test_functions_and_aggregates(schema: Schema) -> None:
    made = schema.execute(
        "CREATE OR REPLACE FUNCTION shop.plus (a int, b int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java "
        "AS $$ return a + b; $$; CREATE AGGREGATE shop.total (int) SFUNC plus STYPE int INITCOND 0"
    )
    assert made == [
        Change("CREATED", "FUNCTION", "shop", "plus", ("int", "int")),
        Change("CREATED", "AGGREGATE", "shop", "total", ("int",)),
    ]
    shop = schema.keyspaces["shop"]
    assert shop.functions["plus", ("int", "int")].body == " return a + b; "
    assert shop.aggregates["total", ("int",)].initial == "0"
    assert schema.execute("DROP AGGREGATE shop.total; DROP FUNCTION shop.plus (int, int)")[1] == Change(
        "DROPPED", "FUNCTION", "shop", "plus", ("int", "int")
    )


def test_keyspaces_can_be_altered(schema: Schema) -> None:
    schema.execute("ALTER KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}")
    schema.execute("ALTER KEYSPACE shop WITH durable_writes = false")
    shop = schema.keyspaces["shop"]
    assert shop.replication == {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3"}
    assert not shop.durable_writes


@pytest.mark.parametrize(
    ("text", "reason", "code"),
    [
        ("CREATE ROLE x", "does not understand", ErrorCode.INVALID),
        ("ALTER KEYSPACE shop WITH x = 1", "cannot carry out", ErrorCode.INVALID),
        ("CREATE KEYSPACE shop", "exists already", ErrorCode.ALREADY_EXISTS),
        ("CREATE TABLE users (id int PRIMARY KEY)", "No keyspace has been specified", ErrorCode.INVALID),
        ("CREATE TABLE shop.users (id int PRIMARY KEY)", "exists already", ErrorCode.ALREADY_EXISTS),
        ("CREATE TABLE none.users (id int PRIMARY KEY)", "Keyspace 'none' doesn't exist", ErrorCode.INVALID),
        ("CREATE TABLE shop.t (id int)", "No PRIMARY KEY", ErrorCode.INVALID),
        ("CREATE TABLE shop.t (id integer PRIMARY KEY)", "no type 'integer'", ErrorCode.INVALID),
        ("CREATE TABLE shop.t (id)", "is not a column and its type", ErrorCode.SYNTAX_ERROR),
        ("CREATE TABLE shop.t", "no columns in brackets", ErrorCode.SYNTAX_ERROR),
        ("ALTER TABLE shop.users DROP nothing", "Column nothing was not found", ErrorCode.INVALID),
        ("DROP TABLE shop.nothing", "doesn't exist", ErrorCode.INVALID),
    ],
)
def test_what_cannot_be_done(schema: Schema, text: str, reason: str, code: ErrorCode) -> None:
    with pytest.raises(SchemaError, match=reason) as caught:
        schema.execute(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "expected", "key"),
    [
        ("SELECT name FROM users WHERE id = ?", {"id": "int"}, [0]),
        ("SELECT name FROM shop.users WHERE id=:who", {"who": "int"}, []),
        ("SELECT name FROM users WHERE id IN ? LIMIT ?", {"in(id)": "list<int>", "[limit]": "int"}, []),
        ("SELECT * FROM orders WHERE user = ? AND day = ? AND number > ?", "user day number", [0, 1]),
        ("SELECT * FROM orders WHERE day = ? AND user = ?", "day user", [1, 0]),
        ("INSERT INTO users (name, id) VALUES (?, ?)", {"name": "text", "id": "int"}, [1]),
        ("INSERT INTO users (id, name, tags) VALUES (?, 'a, ?', ?)", {"id": "int", "tags": "set<text>"}, [0]),
        (
            "INSERT INTO users (id, name) VALUES (?, f(?)) IF NOT EXISTS USING TTL ? AND TIMESTAMP ?",
            None,
            [],
        ),
        (
            "INSERT INTO users (id) VALUES (?) USING TTL ? AND TIMESTAMP ?",
            {"id": "int", "[ttl]": "int", "[timestamp]": "bigint"},
            [0],
        ),
        (
            "UPDATE users SET tags = tags + ?, name = ? WHERE id = ?",
            {"tags": "set<text>", "name": "text", "id": "int"},
            [2],
        ),
        ("DELETE FROM users WHERE id = ?", {"id": "int"}, [0]),
    ],
)
def test_bind_markers(
    schema: Schema, text: str, expected: dict[str, str] | str | None, key: list[int]
) -> None:
    if expected is None:
        with pytest.raises(Undescribed, match="cannot tell the type of"):
            infer_parameters(text, schema, "shop", echo=False)
        return
    found = infer_parameters(text, schema, "shop", echo=False)
    if isinstance(expected, str):
        assert [column.name for column in found] == expected.split()
    else:
        assert {column.name: column.type for column in found} == {
            name: parse_type(type_) for name, type_ in expected.items()
        }
    assert all((column.keyspace, column.table) in {("shop", "users"), ("shop", "orders")} for column in found)
    assert key_indexes(found, schema) == key


def test_what_an_echo_cannot_tell_is_a_blob(schema: Schema) -> None:
    (column,) = infer_parameters("SELECT f(?)", schema, None, echo=True)
    assert (column.name, column.type) == ("p0", parse_type("blob"))


def test_rows(schema: Schema) -> None:
    columns = infer_result("SELECT name, tags FROM users WHERE id = 1", schema, "shop")
    assert columns is not None
    assert [column.name for column in columns] == ["name", "tags"]
    assert columns[1].type == ListType(0x22, parse_type("text"))
    everything = infer_result("SELECT * FROM shop.users", schema, None)
    assert everything is not None
    assert len(everything) == 4
    assert infer_result("SELECT count(*) FROM users", schema, "shop") is None
    assert infer_result("SELECT name FROM nothing", schema, "shop") is None


def test_markers_in_literals_are_none() -> None:
    assert [match[0] for match in markers("SELECT '?', 'it''s :x' WHERE a = ? AND b = :name")] == [
        "?",
        ":name",
    ]


def test_ids_of_statements() -> None:
    assert statement_id("SELECT 1", "a") == statement_id("SELECT 1", "a") != statement_id("SELECT 1", None)
