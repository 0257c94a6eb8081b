"""Scylla's schema. There was no Scylla to ask: rows and CQL are made by hand, of the columns that its source has."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.metadata.schema.test_rows import Row, column
from triocql.metadata.building import finish
from triocql.metadata.schema import Fault, build_keyspaces

OF = {"keyspace_name": "shop"}


def stored(options: dict[str, str]) -> bytes:
    """Return a map of texts as Scylla's source writes it into an extension."""
    texts = (each.encode() for item in options.items() for each in item)
    return len(options).to_bytes(4, "little") + b"".join(
        len(each).to_bytes(4, "little") + each for each in texts
    )


def made_by_hand() -> dict[str, list[Row]]:
    """The rows of a keyspace on tablets, with a table that has what only Scylla has."""
    return {
        "system_schema.keyspaces": [
            {
                **OF,
                "replication": {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3"},
                "durable_writes": True,
                "replication_v2": None,
            }
        ],
        "system_schema.scylla_keyspaces": [
            {**OF, "storage_type": None, "storage_options": None, "initial_tablets": 8, "consistency": None}
        ],
        "system_schema.tables": [
            {
                **OF,
                "table_name": "events",
                "id": UUID(int=1),
                "flags": {"compound"},
                "bloom_filter_fp_chance": 0.01,
                "caching": {"keys": "ALL", "rows_per_partition": "ALL"},
                "comment": "",
                "compaction": {"class": "IncrementalCompactionStrategy"},
                "compression": {"sstable_compression": "org.apache.cassandra.io.compress.LZ4Compressor"},
                "crc_check_chance": 1.0,
                "dclocal_read_repair_chance": 0.0,
                "default_time_to_live": 0,
                "extensions": {
                    "tombstone_gc": stored({"mode": "repair", "propagation_delay_in_seconds": "3600"}),
                    "paxos_grace_seconds": (864_000).to_bytes(4, "little"),
                    "per_partition_rate_limit": b"\x00\x01",
                    "scylla_encryption_options": b"\x02",
                },
                "gc_grace_seconds": 864_000,
                "max_index_interval": 2048,
                "memtable_flush_period_in_ms": 0,
                "min_index_interval": 128,
                "read_repair_chance": 0.0,
                "speculative_retry": "99.0PERCENTILE",
            }
        ],
        "system_schema.scylla_tables": [
            {
                **OF,
                "table_name": "events",
                "version": UUID(int=2),
                "cdc": {"enabled": "true", "preimage": "false"},
                "partitioner": None,
                "in_memory": None,
                "committed_by_group0": True,
                "tablets": {"min_tablet_count": "16"},
            }
        ],
        "system_schema.columns": [column("events", "id", "partition_key", 0)],
        "system_schema.dropped_columns": [],
        "system_schema.indexes": [],
        "system_schema.triggers": [],
        "system_schema.views": [],
        "system_schema.view_virtual_columns": [],
        "system_schema.computed_columns": [
            {**OF, "table_name": "events", "column_name": "idx_token", "computation": b"{}"}
        ],
        "system_schema.types": [],
        "system_schema.functions": [],
        "system_schema.aggregates": [
            {
                **OF,
                "aggregate_name": "total",
                "argument_types": ["int"],
                "state_func": "plus",
                "state_type": "int",
                "final_func": None,
                "initcond": "0",
                "return_type": "int",
            }
        ],
        "system_schema.scylla_aggregates": [
            {
                **OF,
                "aggregate_name": "total",
                "argument_types": ["int"],
                "reduce_func": "merge",
                "state_type": "int",
            }
        ],
    }


MADE_BY_HAND = """\
CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': '3'}  AND durable_writes = true \
AND tablets = {'enabled': true, 'initial': 8};

CREATE AGGREGATE shop.total(int)
    SFUNC plus
    STYPE int
    REDUCEFUNC merge
    INITCOND 0;

CREATE TABLE shop.events (
    id int PRIMARY KEY
) WITH bloom_filter_fp_chance = 0.01
    AND caching = {'keys': 'ALL', 'rows_per_partition': 'ALL'}
    AND cdc = {'enabled': 'true', 'preimage': 'false'}
    AND comment = ''
    AND compaction = {'class': 'IncrementalCompactionStrategy'}
    AND compression = {'sstable_compression': 'org.apache.cassandra.io.compress.LZ4Compressor'}
    AND crc_check_chance = 1.0
    AND default_time_to_live = 0
    AND extensions = {'per_partition_rate_limit': 0x0001, 'scylla_encryption_options': 0x02}
    AND gc_grace_seconds = 864000
    AND max_index_interval = 2048
    AND memtable_flush_period_in_ms = 0
    AND min_index_interval = 128
    AND speculative_retry = '99.0PERCENTILE'
    AND paxos_grace_seconds = 864000
    AND tablets = {'min_tablet_count': '16'}
    AND tombstone_gc = {'mode': 'repair', 'propagation_delay_in_seconds': '3600'};"""


def test_what_only_scylla_has_is_read_and_written_as_made_by_hand() -> None:
    faults: list[Fault] = []
    keyspace = finish(build_keyspaces(made_by_hand(), {}, faults))["shop"]
    assert not faults
    assert keyspace.as_cql() == MADE_BY_HAND


def test_nothing_that_only_scylla_tells_is_lost() -> None:
    keyspace = finish(build_keyspaces(made_by_hand(), {}))["shop"]
    events = keyspace.tables["events"]
    assert events.options["version"] == UUID(int=2)
    assert events.extra["computed_columns"] == ({"column_name": "idx_token", "computation": b"{}"},)
    assert keyspace.options["initial_tablets"] == 8
    assert keyspace.aggregates["total(int)"].reduce_function == "merge"


def test_columns_that_nobody_knows_yet_are_options() -> None:
    rows = made_by_hand()
    rows["system_schema.tables"][0] |= {"new_option": {"a": "1"}, "newer_option": None}
    table = finish(build_keyspaces(rows, {}))["shop"].tables["events"]
    assert table.as_cql().endswith(
        "    AND new_option = {'a': '1'}\n    AND paxos_grace_seconds = 864000\n"
        "    AND tablets = {'min_tablet_count': '16'}\n"
        "    AND tombstone_gc = {'mode': 'repair', 'propagation_delay_in_seconds': '3600'};"
    )
    assert table.options["newer_option"] is None


def test_extensions_are_options_as_made_by_hand() -> None:
    rows = made_by_hand()
    rows["system_schema.tables"][0]["extensions"] = {
        "tombstone_gc": stored({"mode": "timeout"}),
        "scylla_tags": stored({"system:synchronous_view_updates": "true"}),
    }
    table = finish(build_keyspaces(rows, {}))["shop"].tables["events"]
    assert table.options["tombstone_gc"] == {"mode": "timeout"}
    assert table.options["synchronous_updates"] is True
    assert "extensions" not in table.as_cql()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\xff\xff\xff\xff",
        stored({"a": "b"})[:-1],
        stored({"a": "b"}) + b"\x00",
        stored({"a": ""})[:4],
    ],
)
@pytest.mark.parametrize("name", ["tombstone_gc", "scylla_tags", "cdc", "paxos_grace_seconds"])
def test_extensions_that_cannot_be_read_stay_bytes(name: str, raw: bytes) -> None:
    if name == "paxos_grace_seconds" and len(raw) == 4:
        raw += b"\x00"
    rows = made_by_hand()
    rows["system_schema.tables"][0]["extensions"] = {name: raw}
    table = finish(build_keyspaces(rows, {}))["shop"].tables["events"]
    assert table.options["extensions"] == {name: raw}
    assert f"    AND extensions = {{'{name}': 0x{raw.hex()}}}\n" in table.as_cql()


def test_extensions_of_cassandra_stay_bytes() -> None:
    rows = made_by_hand()
    del rows["system_schema.scylla_tables"]
    raw = stored({"mode": "timeout"})
    rows["system_schema.tables"][0]["extensions"] = {"tombstone_gc": raw}
    table = finish(build_keyspaces(rows, {}))["shop"].tables["events"]
    assert table.options["extensions"] == {"tombstone_gc": raw}
