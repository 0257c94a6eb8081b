"""The difference of two schemas: a server that takes its steps has the other one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.metadata.schema.golden import load
from tests.metadata.schema.model import Server
from tests.metadata.schema.schemas import NAME, changes, schemas
from tests.metadata.schema.test_rows import built, column, shop, table
from triocql.codecs.values import FrozenMap
from triocql.errors import UsageError
from triocql.metadata.building import finish
from triocql.metadata.replication import ReplicationFactor, SimpleStrategy
from triocql.metadata.schema import (
    Aggregate,
    Argument,
    Function,
    Keyspace,
    Mask,
    Risk,
    build_keyspaces,
    difference,
)
from triocql.metadata.snapshot import Snapshot

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


def of_types(names: dict[str, str], *, column_type: str) -> Keyspace:
    """Return a keyspace with types of one field each, by the type of that, and a table with a column of a type."""
    rows = shop()
    rows["system_schema.types"] += [
        {"keyspace_name": "shop", "type_name": name, "field_names": ["a"], "field_types": [each]}
        for name, each in names.items()
    ]
    rows["system_schema.columns"].append(column("plain", "v", "regular", -1, column_type))
    return built(rows)


@pytest.mark.parametrize(
    "column_type", ["int", "frozen<list<int>>", 'frozen<map<int, "Int">>', "'org.x.Composite(int)'"]
)
def test_a_type_called_like_a_native_one_takes_none_of_these_along(column_type: str) -> None:
    old = of_types({"int": "int", "Int": "int"}, column_type=column_type)
    new = of_types({"int": "text", "Int": "int"}, column_type=column_type)
    found = difference({"shop": old}, {"shop": new})
    assert [step.cql.partition("\n")[0] for step in found] == [
        'DROP TYPE shop."int";',
        'CREATE TYPE shop."int" (',
    ]
    assert {step.risk for step in found} == {Risk.SAFE}


def test_a_type_takes_along_what_is_made_of_it_whatever_its_name() -> None:
    old = of_types({"a(b": "int", "json": "int"}, column_type='map<int, frozen<tuple<"a(b", text>>>')
    new = of_types({"a(b": "text", "json": "int"}, column_type='map<int, frozen<tuple<"a(b", text>>>')
    found = difference({"shop": old}, {"shop": new})
    assert [step.cql.partition("\n")[0] for step in found] == [
        "DROP TABLE shop.plain;",
        'DROP TYPE shop."a(b";',
        'CREATE TYPE shop."a(b" (',
        "CREATE TABLE shop.plain (",
    ]


def test_steps_are_worded_such_that_a_server_takes_them_as_they_are_meant() -> None:
    """`DESCRIBE` does without these quotes, and ends the body of a function too early."""
    keyspace = of_types({"json": "int", "byte": "frozen<list<frozen<json>>>"}, column_type="frozen<json>")
    hide = Function("shop", "Hide(", (Argument("a", "json"),), "byte", "java", "return '$$';", True)
    total = Aggregate("shop", "ttl", ("json",), "count", "json", "Json", "{a: 1}", "json")
    masked = replace(keyspace.tables["plain"].columns["v"], mask=Mask("Own", "Hide("))
    table = replace(
        keyspace.tables["plain"], columns=FrozenMap({**keyspace.tables["plain"].columns, "v": masked})
    )
    new = replace(
        keyspace,
        tables=FrozenMap({**keyspace.tables, "plain": table}),
        functions=FrozenMap({**keyspace.functions, hide.signature: hide}),
        aggregates=FrozenMap({**keyspace.aggregates, total.signature: total}),
    )
    key = replace(hide, name="key", arguments=(Argument("true", "int"),), return_type="int")
    new = replace(new, functions=FrozenMap({**new.functions, key.signature: key}))
    made = "\n".join(step.cql for step in difference({}, {"shop": new}))
    assert 'CREATE FUNCTION shop."key"("true" int)' in made
    assert 'CREATE TYPE shop."json" (' in made
    assert 'CREATE TYPE shop."byte" (\n    a frozen<list<frozen<"json">>>\n)' in made
    assert 'CREATE FUNCTION shop."Hide("(a "json")\n' in made
    assert "    RETURNS \"byte\"\n    LANGUAGE java\n    AS 'return ''$$'';';" in made
    assert (
        'CREATE AGGREGATE shop."ttl"("json")\n    SFUNC "count"\n    STYPE "json"\n    FINALFUNC "Json"'
        in made
    )
    assert '    v frozen<"json"> MASKED WITH "Own"."Hide("()' in made
    dropped = [step.cql for step in difference({"shop": new}, {"shop": keyspace})]
    assert dropped == [
        'DROP AGGREGATE shop."ttl"("json");',
        'DROP FUNCTION shop."Hide("("json");',
        'DROP FUNCTION shop."key"(int);',
        "ALTER TABLE shop.plain ALTER v DROP MASKED;",
    ]
    assert '"json"' not in new.as_cql()


def test_words_that_are_no_names_are_in_quotes_in_every_part_of_a_table() -> None:
    rows = shop()
    rows["system_schema.tables"].append(table("false"))
    rows["system_schema.columns"] += [
        column("false", "true", "partition_key", 0),
        column("false", "unset", "clustering", 0),
        column("false", "default", "regular", -1),
    ]
    of = {"keyspace_name": "shop", "table_name": "false"}
    index = {**of, "index_name": "replace", "kind": "COMPOSITES", "options": {"target": '"default"'}}
    rows["system_schema.indexes"].append(index)
    new = built(rows)
    found = difference({"shop": built(shop())}, {"shop": new})
    assert [step.cql.partition(")\n")[0] for step in found] == [
        'CREATE TABLE shop."false" (\n    "true" int,\n    "unset" int,\n    "default" int,\n'
        '    PRIMARY KEY ("true", "unset"',
        'CREATE INDEX "replace" ON shop."false" ("default");',
    ]
    assert 'CLUSTERING ORDER BY ("unset" ASC)' in found[0].cql
    del rows["system_schema.columns"][-1]
    rows["system_schema.indexes"].remove(index)
    dropped = difference({"shop": new}, {"shop": built(rows)})
    assert [step.cql for step in dropped] == [
        'DROP INDEX shop."replace";',
        'ALTER TABLE shop."false" DROP "default";',
    ]


def test_a_table_with_compact_storage_is_made_again() -> None:
    """`DESCRIBE` has it in a comment."""
    rows = shop()
    rows["system_schema.tables"][1]["flags"] = {"dense"}
    rows["system_schema.columns"] += [
        column("plain", "c", "clustering", 0),
        column("plain", "v", "regular", -1),
    ]
    (made,) = (step.cql for step in difference({}, {"shop": built(rows)}) if "shop.plain" in step.cql)
    assert made.startswith("CREATE TABLE shop.plain (\n    id int,\n    c int,\n    v int,\n")
    assert " WITH COMPACT STORAGE\n    AND CLUSTERING ORDER BY (c ASC)" in made


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


def test_keyspaces_and_snapshots_are_taken_as_well() -> None:
    rows = shop()
    rows["system_schema.keyspaces"][0]["durable_writes"] = False
    old, new = built(shop()), built(rows)
    steps = difference({"shop": old}, {"shop": new})
    assert steps
    assert difference(old, new) == steps
    assert difference(Snapshot(keyspaces={"shop": old}), Snapshot(keyspaces={"shop": new})) == steps
    assert difference(Snapshot(keyspaces={"shop": old}), {"shop": new}) == steps


def test_what_is_no_pair_of_schemas_is_said_to_be_none() -> None:
    keyspace = built(shop())
    table = next(iter(keyspace.tables.values()))
    for wrong in (table, None, "shop", {"users": table}, keyspace.tables):
        with pytest.raises(UsageError, match=r"difference\(\) takes snapshots, .* or a keyspace; not a "):
            difference(wrong, wrong)  # type: ignore[arg-type]
    other = replace(keyspace, name="other")
    with pytest.raises(UsageError, match="not the keyspace 'shop' and the keyspace 'other'"):
        difference(keyspace, other)
    with pytest.raises(UsageError, match="not the keyspace 'shop' and a Snapshot"):
        difference(keyspace, Snapshot(keyspaces={"shop": keyspace}))
    with pytest.raises(UsageError, match="not a dict and the keyspace 'shop'"):
        difference({"shop": keyspace}, keyspace)


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
        described = [each.cql for each in golden.described if each.statements]
        # But for names that it leaves without quotes, and tables of which it says nothing but what they look like.
        bare = [each.replace('"', "") for each in described]
        others = [step.cql for step in steps if step.cql not in described]
        assert all(" WITH COMPACT STORAGE" in each or each.replace('"', "") in bare for each in others)
        assert len(steps) == len(golden.described)
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
