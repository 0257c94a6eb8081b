"""The schema out of rows: what they make, and that those which cannot be used lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.metadata.building import finish
from triocql.metadata.schema import (
    Keyspace,
    View,
    VirtualTable,
    build_keyspaces,
    rebuild_keyspace,
    rebuild_table,
)
from triocql.protocol.types import CustomType, ListType, NativeType

if TYPE_CHECKING:
    from triocql.metadata.schema import Fault

Row = dict[str, Any]
ID = UUID(int=1)


def column(
    table: str, name: str, kind: str, position: int, cql_type: str = "int", order: str = "none"
) -> Row:
    return {
        "keyspace_name": "shop",
        "table_name": table,
        "column_name": name,
        "column_name_bytes": name.encode(),
        "kind": kind,
        "position": position,
        "type": cql_type,
        "clustering_order": order,
    }


def table(name: str) -> Row:
    return {
        "keyspace_name": "shop",
        "table_name": name,
        "id": ID,
        "flags": {"compound"},
        "comment": "",
        "memtable": None,
    }


def shop() -> dict[str, list[Row]]:
    """The rows of a keyspace with something of every kind."""
    of = {"keyspace_name": "shop"}
    return {
        "system_schema.keyspaces": [
            {
                **of,
                "replication": {"class": "SimpleStrategy", "replication_factor": "1"},
                "durable_writes": True,
            }
        ],
        "system_schema.types": [
            {**of, "type_name": "person", "field_names": ["home"], "field_types": ["frozen<address>"]},
            {**of, "type_name": "address", "field_names": ["street", "zip"], "field_types": ["text", "int"]},
        ],
        "system_schema.tables": [table("events"), table("plain")],
        "system_schema.columns": [
            column("events", "tags", "regular", -1, "set<text>"),
            column("events", "who", "regular", -1, "frozen<person>"),
            column("events", "at", "clustering", 0, "timestamp", "desc"),
            column("events", "id", "partition_key", 0, "uuid"),
            column("events", "day", "partition_key", 1),
            column("events", "note", "static", -1, "text"),
            column("plain", "id", "partition_key", 0),
            column("by_day", "day", "partition_key", 0),
            column("by_day", "id", "clustering", 0, "uuid", "asc"),
        ],
        "system_schema.column_masks": [
            {
                **of,
                "table_name": "events",
                "column_name": "note",
                "function_keyspace": "system",
                "function_name": "mask_inner",
                "function_argument_types": ["int", "int"],
                "function_argument_values": ["1", ""],
                "function_argument_nulls": [False, True],
            }
        ],
        "system_schema.dropped_columns": [
            {
                **of,
                "table_name": "events",
                "column_name": "old",
                "dropped_time": datetime(2026, 1, 1, tzinfo=UTC),
                "kind": "regular",
                "type": "list<int>",
            }
        ],
        "system_schema.indexes": [
            {
                **of,
                "table_name": "events",
                "index_name": "i",
                "kind": "COMPOSITES",
                "options": {"target": "tags"},
            }
        ],
        "system_schema.triggers": [
            {**of, "table_name": "events", "trigger_name": "t", "options": {"class": "org.Trigger"}}
        ],
        "system_schema.views": [
            {
                **of,
                "view_name": "by_day",
                "base_table_name": "events",
                "base_table_id": ID,
                "where_clause": "day IS NOT NULL",
                "include_all_columns": False,
                "id": ID,
                "comment": "",
            }
        ],
        "system_schema.functions": [
            {
                **of,
                "function_name": "add",
                "argument_names": ["a", "b"],
                "argument_types": ["int", "int"],
                "body": "return a + b;",
                "language": "java",
                "return_type": "int",
                "called_on_null_input": False,
            }
        ],
        "system_schema.aggregates": [
            {
                **of,
                "aggregate_name": "total",
                "argument_types": ["int"],
                "state_func": "add",
                "state_type": "int",
                "final_func": None,
                "initcond": "0",
                "return_type": "int",
            }
        ],
    }


def built(rows: dict[str, list[Row]], earlier: dict[str, Keyspace] | None = None) -> Keyspace:
    return finish(build_keyspaces(rows, earlier or {}))["shop"]


def test_everything_of_a_keyspace() -> None:
    faults: list[Fault] = []
    keyspace = finish(build_keyspaces(shop(), {}, faults))["shop"]
    assert not faults
    assert keyspace.is_loaded
    events = keyspace.tables["events"]
    assert list(keyspace.tables) == ["events", "plain"]
    assert list(events.columns) == ["id", "day", "at", "note", "who", "tags"]
    assert events.partition_key.names == ("id", "day")
    assert events.clustering_key.names == ("at",)
    assert events.primary_key.restrictions == "id = ? AND day = ? AND at = ?"
    assert events.columns["at"].descending
    assert events.columns["note"].is_static
    assert events.columns["who"].type == keyspace.types["person"].type
    assert keyspace.types["person"].fields["home"] == keyspace.types["address"].type
    mask = events.columns["note"].mask
    assert mask is not None
    assert [(each.cql_type, each.value) for each in mask.arguments] == [("int", "1"), ("int", None)]
    assert events.dropped_columns["old"].type == ListType(NativeType("int"))
    assert events.dropped_columns["old"].dropped_time == 1_767_225_600_000_000
    assert events.indexes["i"].target == "tags"
    assert events.triggers["t"].class_name == "org.Trigger"
    assert events.options == {"comment": "", "memtable": None}
    assert keyspace.views["by_day"].base_table == "events"
    assert keyspace.functions["add(int, int)"].body == "return a + b;"
    assert keyspace.aggregates["total(int)"].initial_condition == "0"
    assert hash(keyspace) == hash(built(shop()))


def test_what_has_not_changed_is_the_same_object() -> None:
    first = built(shop())
    assert built(shop(), {"shop": first}) is first
    rows = shop()
    rows["system_schema.tables"][1]["comment"] = "new"
    second = built(rows, {"shop": first})
    assert second.tables["plain"] != first.tables["plain"]
    assert second.tables["events"] is first.tables["events"]
    assert second.views is first.views


def test_half_of_an_object_leaves_the_earlier_one() -> None:
    earlier = built(shop())
    halves = (
        ("system_schema.columns", lambda row: row["table_name"] == "plain"),
        ("system_schema.columns", lambda row: row["column_name"] == "day" and row["table_name"] == "events"),
        ("system_schema.tables", lambda row: row["table_name"] == "events"),
        ("system_schema.views", lambda row: True),
        ("system_schema.types", lambda row: row["type_name"] == "address"),
    )
    for name, is_missing in halves:
        rows = shop()
        rows[name] = [row for row in rows[name] if not is_missing(row)]
        faults: list[Fault] = []
        assert finish(build_keyspaces(rows, {"shop": earlier}, faults))["shop"] is earlier
        assert [fault.is_kept for fault in faults] == [True]


def test_a_type_alone_changes_the_tables_that_have_it() -> None:
    earlier = built(shop())
    types = shop()["system_schema.types"]
    types[1] = {**types[1], "field_names": ["street", "zip", "city"], "field_types": ["text", "int", "text"]}
    rows = {"system_schema.types": types}
    keyspace = finish(rebuild_keyspace(rows, "shop", earlier))
    assert keyspace is not None
    assert list(keyspace.types["address"].fields) == ["street", "zip", "city"]
    assert keyspace.tables["events"].columns["who"].type == keyspace.types["person"].type
    assert keyspace.tables["plain"] is earlier.tables["plain"]


def test_one_table_comes_changes_and_goes() -> None:
    earlier = built(shop())
    rows = {
        "system_schema.tables": [table("new")],
        "system_schema.columns": [column("new", "id", "partition_key", 0, "frozen<person>")],
    }
    added = rebuild_table(rows, "new", earlier)
    assert list(added.tables) == ["events", "new", "plain"]
    assert added.tables["new"].columns["id"].type == earlier.types["person"].type
    assert rebuild_table(rows, "new", added) is added
    assert rebuild_table({}, "new", added) == earlier
    assert rebuild_table({"system_schema.columns": rows["system_schema.columns"]}, "new", added) is added
    assert "by_day" not in rebuild_table({}, "by_day", earlier).views


def test_types_that_cannot_be_read_are_kept_as_their_text() -> None:
    rows = shop()
    rows["system_schema.columns"].append(column("plain", "shape", "regular", -1, "geometry<2>"))
    faults: list[Fault] = []
    keyspace = finish(build_keyspaces(rows, {}, faults))["shop"]
    assert keyspace.tables["plain"].columns["shape"].type == CustomType("geometry<2>")
    assert len(faults) == 1


def test_a_type_that_is_made_of_itself_is_left_out() -> None:
    rows = shop()
    rows["system_schema.types"][1]["field_types"] = ["frozen<person>", "int"]
    assert list(built(rows).types) == []


def test_types_of_billions_of_parts_are_refused() -> None:
    names = [f"t{number:03}" for number in range(100)]
    rows = shop()
    rows["system_schema.types"] = [
        {
            "keyspace_name": "shop",
            "type_name": name,
            "field_names": ["a", "b"],
            "field_types": [f"frozen<{inner}>", f"frozen<{inner}>"],
        }
        for name, inner in zip(names, ["int", *names], strict=False)
    ]
    assert 5 < len(built(rows).types) < 20


def test_masks_stay_where_columns_and_tables_went() -> None:
    rows = shop()
    mask = rows["system_schema.column_masks"][0]
    rows["system_schema.column_masks"] += [{**mask, "column_name": "gone"}, {**mask, "table_name": "gone"}]
    faults: list[Fault] = []
    assert finish(build_keyspaces(rows, {}, faults))["shop"] == built(shop())
    assert not faults


def test_virtual_keyspaces() -> None:
    of = {"keyspace_name": "system_views"}
    id_column = {**column("clients", "id", "partition_key", 0), **of}
    rows = {
        "system_virtual_schema.keyspaces": [of],
        "system_virtual_schema.tables": [{**of, "table_name": "clients", "comment": "who is connected"}],
        "system_virtual_schema.columns": [id_column],
    }
    found = finish(build_keyspaces(rows, {}))["system_views"]
    assert found.is_virtual
    assert found.is_loaded
    assert isinstance(found.tables["clients"], VirtualTable)
    assert found.tables["clients"].options == {"comment": "who is connected"}


def test_views_are_no_tables() -> None:
    keyspace = built(shop())
    assert isinstance(keyspace.views["by_day"], View)
    assert "by_day" not in keyspace.tables


def test_equal_parts_of_tables_are_one_object() -> None:
    rows = shop()
    rows["system_schema.tables"].append(table("same"))
    rows["system_schema.columns"].append(column("same", "id", "partition_key", 0))
    plain, same = (built(rows).tables[name] for name in ("plain", "same"))
    assert plain.columns == same.columns
    tables = built(rows).tables
    assert tables["plain"].columns is tables["same"].columns
    assert tables["plain"].options is tables["same"].options


def test_types_of_one_name_in_two_keyspaces_are_two() -> None:
    rows = shop()
    rows["system_schema.keyspaces"].append({**rows["system_schema.keyspaces"][0], "keyspace_name": "other"})
    row = column("t", "id", "partition_key", 0, "frozen<address>")
    for keyspace, fields in (("shop", ["street", "zip"]), ("other", ["line", "zip"])):
        of = {"keyspace_name": keyspace}
        if keyspace == "other":
            rows["system_schema.types"].append(
                {**of, "type_name": "address", "field_names": fields, "field_types": ["text", "int"]}
            )
        rows["system_schema.tables"].append({**table("t"), **of})
        rows["system_schema.columns"].append({**row, **of})
    keyspaces = finish(build_keyspaces(rows, {}))
    for each in keyspaces.values():
        assert each.tables["t"].columns["id"].type == each.types["address"].type
    assert keyspaces["shop"].tables["t"] != keyspaces["other"].tables["t"]
