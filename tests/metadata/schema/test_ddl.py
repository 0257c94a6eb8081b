"""The words of CQL as Cassandra writes them: what Java does was told by a Cassandra 5.0.6, or by a JDK."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.metadata.schema.test_rows import ID, built, column, shop
from triocql.codecs.temporal import Timestamp
from triocql.errors import UsageError
from triocql.metadata.building import finish
from triocql.metadata.schema import Keyspace, build_keyspaces, ddl, describe, ordering
from triocql.protocol.types import quote_name


@pytest.mark.parametrize(
    ("number", "java"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.01, "0.01"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (1e-05, "1.0E-5"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-1.5e300, "-1.5E300"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_numbers(number: float, java: str) -> None:
    assert ddl.number(number) == java


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a", "a"), ("a1_", "a1_"), ("_a", '"_a"'), ("A", '"A"'), ("ä", '"ä"'), ('a"b', '"a""b"'), ("", '""')],
)
def test_names(name: str, quoted: str) -> None:
    assert ddl.name(name) == quoted
    assert quote_name(name) == quoted


def test_what_cassandra_quotes_is_quoted_for_users_too() -> None:
    assert ddl.name("token") == '"token"'
    assert all(quote_name(word) != word for word in ("token", "default", "materialized"))
    assert ddl.name("default") == "default"


@pytest.mark.parametrize(
    ("cql_type", "text", "cql"),
    [
        ("text", "it's", "'it''s'"),
        ("int", "-1", "-1"),
        ("blob", "00ff", "0x00ff"),
        ("date", "2026-01-01", "'2026-01-01'"),
        ("uuid", str(ID), str(ID)),
        ("text", None, "null"),
        ("'org.apache.cassandra.db.marshal.LexicalUUIDType'", str(ID), f"0x{ID.hex}"),
        ("'evil.LexicalUUIDType'", "0) ; DROP", "'0) ; DROP'"),
        ("'org.apache.cassandra.db.marshal.CompositeType(a,b)'", "1:it's:!", "'1:it''s:!'"),
    ],
)
def test_arguments_of_masks(cql_type: str, text: str | None, cql: str) -> None:
    assert ddl.argument(cql_type, text) == cql


def test_hashes() -> None:
    assert ordering.text_hash("hello") == 99_162_322
    assert ordering.bytes_hash("\x01\x02\x03") == 32_737


def test_types_are_in_the_order_of_their_dependencies_and_signed_bytes() -> None:
    types = {"b": ["ä"], "a": [], "ä": ["z"], "z": []}
    assert ordering.by_dependency(types) == ["z", "ä", "a", "b"]


def test_columns_whose_names_are_not_ascii_come_first_and_collections_last() -> None:
    rows = shop()
    rows["system_schema.columns"] += [
        column("plain", name, "regular", -1, cql_type)
        for name, cql_type in (("b", "int"), ("ä", "int"), ("aä", "int"), ("a", "list<int>"), ("A", "int"))
    ]
    assert list(built(rows).tables["plain"].columns) == ["id", "ä", "A", "aä", "b", "a"]


def test_virtual_tables_have_the_identity_of_cassandra() -> None:
    of = {"keyspace_name": "system_views"}
    rows = {
        "system_virtual_schema.keyspaces": [of],
        "system_virtual_schema.tables": [{**of, "table_name": "batch_metrics", "comment": ""}],
        "system_virtual_schema.columns": [{**column("batch_metrics", "name", "partition_key", 0), **of}],
    }
    table = finish(build_keyspaces(rows, {}))["system_views"].tables["batch_metrics"]
    assert table.id == UUID("310632c8-5cca-37bd-bf9f-9b73c4ffc4cb")
    assert table.as_cql().startswith("/*\nWarning: Table system_views.batch_metrics is a virtual table")


def test_columns_dropped_at_the_end_of_time() -> None:
    rows = shop()
    rows["system_schema.dropped_columns"][0]["dropped_time"] = Timestamp((2**63 - 1) // 1000)
    assert "DROP old USING TIMESTAMP 9223372036854775807;" in built(rows).tables["events"].as_cql(
        internals=True
    )


def test_what_was_not_loaded_is_not_described_as_empty() -> None:
    loaded = built(shop())
    with pytest.raises(UsageError, match="'shop' were not loaded"):
        Keyspace("shop", loaded.replication).as_cql()
    with pytest.raises(UsageError):
        describe([loaded, Keyspace("other", loaded.replication)])
