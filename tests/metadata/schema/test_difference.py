"""The difference of two schemas: a server that takes its steps has the other one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.metadata.schema.golden import load
from tests.metadata.schema.model import Server
from tests.metadata.schema.schemas import NAME, changes, schemas
from tests.metadata.schema.test_rows import built, column, shop
from triocql.codecs.values import FrozenMap
from triocql.errors import UsageError
from triocql.metadata.building import finish
from triocql.metadata.replication import ReplicationFactor, SimpleStrategy
from triocql.metadata.schema import Keyspace, Risk, build_keyspaces, difference

if TYPE_CHECKING:
    from collections.abc import Callable


@settings(deadline=None)
@given(schemas())
def test_equal_schemas_differ_in_nothing(schema: dict[str, Keyspace]) -> None:
    assert difference(schema, dict(schema)) == ()


@settings(deadline=None)
@given(changes())
def test_a_server_that_takes_the_steps_has_the_other_schema(
    schemas: tuple[dict[str, Keyspace], dict[str, Keyspace]],
) -> None:
    old, new = schemas
    server = Server.of(old.get(NAME))
    for step in difference(old, new):
        server.execute(step.cql)
    assert server.state == Server.of(new.get(NAME)).state


@settings(deadline=None)
@given(changes())
def test_no_data_is_lost_in_silence(schemas: tuple[dict[str, Keyspace], dict[str, Keyspace]]) -> None:
    for step in difference(*schemas):
        if (
            step.kind == "table"
            and step.cql.startswith(("DROP TABLE", "ALTER TABLE"))
            and " DROP " in step.cql
        ):
            assert (step.risk is Risk.LOSES_DATA) is not step.cql.endswith("DROP MASKED;")


def steps(change: Callable[[Keyspace], Keyspace]) -> list[tuple[str, Risk, str]]:
    """Return the steps from the shop to a changed one."""
    old = built(shop())
    return [(step.cql, step.risk, step.reason) for step in difference({"shop": old}, {"shop": change(old)})]


def test_what_no_alter_can_do_is_made_anew_and_says_so() -> None:
    rows = shop()
    rows["system_schema.columns"].append(column("plain", "v", "regular", -1, "int"))
    old = built(rows)
    rows["system_schema.columns"][-1] = column("plain", "v", "regular", -1, "text")
    found = difference({"shop": old}, {"shop": built(rows)})
    assert [(step.cql.partition("\n")[0], step.risk) for step in found] == [
        ("DROP TABLE shop.plain;", Risk.LOSES_DATA),
        ("CREATE TABLE shop.plain (", Risk.SAFE),
    ]
    assert found[0].reason == "cannot be altered: recreate, as the column v is text instead of int"


def test_replication_moves_data() -> None:
    def twice(keyspace: Keyspace) -> Keyspace:
        options = {"class": "SimpleStrategy", "replication_factor": "2"}
        return replace(
            keyspace,
            replication=SimpleStrategy(ReplicationFactor(2)),
            replication_options=FrozenMap(options),
        )

    assert steps(twice) == [
        (
            "ALTER KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '2'};",
            Risk.REWRITES,
            "replicas move: repair afterwards",
        )
    ]


def test_a_keyspace_that_was_not_loaded_has_no_difference() -> None:
    old = built(shop())
    with pytest.raises(UsageError, match="not loaded"):
        difference({"shop": old}, {"shop": Keyspace("shop", old.replication)})
    unknown = {"shop": Keyspace("shop", old.replication)}
    with pytest.raises(UsageError, match="not loaded"):
        difference(unknown, dict(unknown))


def test_identities_and_what_was_dropped_are_no_difference() -> None:
    rows = shop()
    rows["system_schema.dropped_columns"] = []
    rows["system_schema.tables"][0]["id"] = None
    assert difference({"shop": built(shop())}, {"shop": built(rows)}) == ()


def test_the_keyspaces_of_the_server_are_left_out() -> None:
    local = Keyspace("system", SimpleStrategy(ReplicationFactor(1)), is_loaded=True)
    traces = replace(local, name="system_traces", replication_options=FrozenMap({"class": "SimpleStrategy"}))
    moved = replace(traces, replication_options=FrozenMap({"class": "NetworkTopologyStrategy", "a": "1"}))
    assert difference({"system": local, "system_traces": traces}, {}) == ()
    (step,) = difference({"system_traces": traces}, {"system_traces": moved})
    assert step.cql == (
        "ALTER KEYSPACE system_traces WITH replication = {'class': 'NetworkTopologyStrategy', 'a': '1'};"
    )


@pytest.mark.parametrize("series", ["4.0", "4.1", "5.0"])
def test_from_nothing_the_steps_are_what_a_real_node_described(series: str) -> None:
    """In another order: what depends on something comes after it, whatever the names."""
    for golden in load(series):
        schema = finish(build_keyspaces(golden.rows, {}))
        steps = difference({}, {golden.keyspace: schema[golden.keyspace]})
        assert sorted(step.cql for step in steps) == sorted(each.cql for each in golden.described)
        kinds = [step.kind for step in steps]
        order = ["keyspace", "type", "function", "aggregate", "table", "index", "materialized_view"]
        assert kinds == sorted(kinds, key=order.index)


@pytest.mark.parametrize("series", ["4.0", "4.1"])
def test_what_only_another_version_has_is_no_difference(series: str) -> None:
    """The same statements make tables of more options on a newer server, in their defaults."""
    for golden in load(series):
        schema = finish(build_keyspaces(golden.rows, {}))[golden.keyspace]
        newer = replace(
            schema,
            tables=FrozenMap(
                {
                    name: replace(table, options=FrozenMap({**table.options, "allow_auto_snapshot": None}))
                    for name, table in schema.tables.items()
                }
            ),
        )
        assert difference({"shop": schema}, {"shop": newer}) == ()
