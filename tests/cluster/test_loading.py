"""What is in the keyspaces is known once a session is open, and follows every change, whatever befalls the nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.cluster.world import KEYSPACE, World, other
from triocql import Session
from triocql.errors import ConnectionLost, OptionError, ServerError, SessionClosed, UsageError
from triocql.metadata.events import SchemaChanged
from triocql.metadata.schema import Keyspace, Relation, Table, View
from triocql.testing.server import Change, Gate, ServerNode, as_usual, delay, error, no_response

SCHEMA = f"""
{KEYSPACE};
CREATE TYPE ks.point (x int, y int);
CREATE TABLE ks.t (k int PRIMARY KEY, v text, p frozen<point>);
CREATE TABLE ks.u (k int, c int, PRIMARY KEY (k, c));
CREATE KEYSPACE other;
CREATE TABLE other.t (k int PRIMARY KEY)
"""
VIEW = "CREATE MATERIALIZED VIEW ks.by_v AS SELECT * FROM ks.t WHERE v IS NOT NULL AND k IS NOT NULL PRIMARY KEY (v, k)"
# The tables of Scylla, and the virtual ones after the first time, are not asked for again.
EVERYTHING = 12
ONE_TABLE = 7


def ks(session: Session, name: str = "ks") -> Keyspace:
    return session.metadata.keyspaces[name]


def columns(session: Session, table: str, keyspace: str = "ks") -> list[str]:
    return list(ks(session, keyspace).tables[table].columns)


def by_others(world: World, text: str, **options: Any) -> None:
    """Somebody else changes the schema."""
    world.server.announce_schema(*world.server.schema.execute(text), **options)


def asked(world: World) -> int:
    """Return how often tables of the schema were read since the session was opened, or the log cleared."""
    return world.asked("system_schema.") + world.asked("system_virtual_schema.")


def followed(world: World, session: Session) -> None:
    """What is known of tables is what the server has."""
    assert {
        (name, table, column)
        for name, keyspace in session.metadata.keyspaces.items()
        for table, relation in {**keyspace.tables, **keyspace.views}.items()
        for column in relation.columns
    } == {
        (name, table.name, column)
        for name, keyspace in world.server.schema.keyspaces.items()
        for table in (*keyspace.tables.values(), *(view.table for view in keyspace.views.values()))
        for column in table.columns
    }


# --- After connecting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [3, 4, 5])
def test_tables_are_known_once_connected(version: int) -> None:
    world = World(schema=SCHEMA, protocol_version=version)
    session = world.run(world._open())
    assert ks(session).is_loaded
    assert columns(session, "t") == ["k", "p", "v"]
    assert [column.name for column in ks(session).tables["u"].primary_key] == ["k", "c"]
    assert list(ks(session).types) == ["point"]
    assert world.asked("system_schema.tables") == 1
    followed(world, session)
    world.run(session.aclose())


def test_nothing_is_read_where_that_is_switched_off() -> None:
    world = World(schema=SCHEMA, schema_agreement_timeout=1.0)
    world.options["schema"] = False
    with world.session() as session:
        assert not ks(session).is_loaded
        assert ks(session).tables == {}
        world.run(session.execute("ALTER TABLE ks.t ADD more int"))
        by_others(world, "ALTER TABLE ks.t ADD even_more int")
        world.reactor.advance(3.0)
        assert asked(world) == 0
        world.run(session.execute("CREATE KEYSPACE mine"))
        assert not ks(session, "mine").is_loaded


def test_only_some_keyspaces() -> None:
    world = World(schema=SCHEMA)
    world.options["schema"] = ["other", "later", "never"]
    with world.session() as session:
        assert not ks(session).is_loaded
        assert columns(session, "t", "other") == ["k"]
        by_others(world, "CREATE KEYSPACE later; CREATE TABLE later.t (k int PRIMARY KEY)")
        by_others(world, "ALTER TABLE ks.t ADD more int")
        world.reactor.advance(3.0)
        assert columns(session, "t", "later") == ["k"]
        assert not ks(session).is_loaded
        assert not any("'ks'" in entry.text for entry in world.server.log.everything)


@pytest.mark.parametrize("wrong", ["ks", [], [7], None, ['"ks"']])
def test_a_filter_that_is_none(wrong: Any) -> None:
    with pytest.raises(OptionError, match="schema"):
        World(schema=SCHEMA).run(_opened(wrong))


async def _opened(schema: Any) -> None:
    import triocql

    triocql.connect(schema=schema)


@pytest.mark.parametrize("fault", ["silent", "error", "missing"])
def test_a_table_that_cannot_be_read_bounds_connecting(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(1, schema=SCHEMA, connect_timeout=2.0)
    rule = None
    if fault == "missing":
        world.server.edit("system_schema.columns", None)
    else:
        step = no_response() if fault == "silent" else error(0)
        rule = world.server.when("SELECT * FROM system_schema.columns").then(step)
    began = world.reactor.now()
    session = world.run(world._open())
    assert world.reactor.now() - began <= 2.0
    assert not ks(session).is_loaded
    assert session.metadata.replicas("ks", b"a")
    world.reactor.advance(60.0)
    assert "the schema cannot be read, trying again" in caplog.text
    assert world.asked("system_schema.columns") < 12
    if rule is None:
        world.server.edit("system_schema.columns", lambda _node, rows: rows)
    else:
        world.server.rules.clear()
    world.reactor.advance(70.0)
    followed(world, session)
    world.run(session.aclose())


def test_a_schema_that_takes_long_is_there_later(caplog: pytest.LogCaptureFixture) -> None:
    wide = ", ".join(f"c{number} int" for number in range(1100))
    world = World(
        1, schema=f"{SCHEMA}; CREATE TABLE ks.wide (k int PRIMARY KEY, {wide})", connect_timeout=2.0
    )
    world.server.when("SELECT * FROM system_schema.columns").then(delay(1.9), as_usual())
    began = world.reactor.now()
    session = world.run(world._open())
    assert world.reactor.now() - began == pytest.approx(2.0, abs=0.01)
    assert not ks(session).is_loaded
    assert "is open before all tables" in caplog.text
    world.reactor.advance(2.0)
    followed(world, session)
    world.run(session.aclose())


def test_another_node_is_asked_where_one_never_answers_a_table() -> None:
    world = World(3, schema=SCHEMA, connect_timeout=2.0)
    first = world.server.nodes[0].index
    world.server.when("SELECT * FROM system_schema.triggers", node=first).then(no_response())
    session = world.run(world._open())
    world.reactor.advance(15.0)
    followed(world, session)
    assert world.control_node(session).index != first
    world.run(session.aclose())


def test_tables_that_some_servers_do_not_have() -> None:
    world = World(schema=SCHEMA)
    for table in ("column_masks", "virtual"):
        name = "system_virtual_schema.keyspaces" if table == "virtual" else f"system_schema.{table}"
        world.server.edit(name, None)
    with world.session() as session:
        followed(world, session)
        world.run(session.refresh_schema())
        assert world.asked("system_schema.column_masks") == 0
        assert world.asked("system_schema.scylla_tables") == 0


def adding(row: dict[str, Any]) -> Callable[[ServerNode, list[Any]], list[Any]]:
    """Return an edit that tells one row more."""
    return lambda _node, rows: [*rows, row]


def test_virtual_keyspaces() -> None:
    world = World(schema=SCHEMA)
    column = {
        "keyspace_name": "views",
        "table_name": "clients",
        "column_name": "port",
        "clustering_order": "none",
        "kind": "partition_key",
        "position": 0,
        "type": "int",
    }
    table = {"keyspace_name": "views", "table_name": "clients", "comment": "who"}
    for name, row in (("keyspaces", {"keyspace_name": "views"}), ("tables", table), ("columns", column)):
        world.server.edit(f"system_virtual_schema.{name}", adding(row))
    with world.session() as session:
        assert ks(session, "views").is_virtual
        assert columns(session, "clients", "views") == ["port"]
        world.run(session.execute("CREATE KEYSPACE mine"))
        by_others(world, "DROP KEYSPACE mine")
        world.reactor.advance(3.0)
        assert set(session.metadata.keyspaces) == {"ks", "other", "views"}
        assert world.asked("system_virtual_schema.") == 0
        for name in ("keyspaces", "tables", "columns"):
            world.server.edit(f"system_virtual_schema.{name}", lambda _node, rows: rows)
        world.control_node(session).stop()
        world.reactor.advance(3.0)
        assert set(session.metadata.keyspaces) == {"ks", "other"}


# --- One's own changes ---------------------------------------------------------------------------------------------


def test_a_change_of_ones_own_is_known_when_execute_returns() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.run(session.execute("CREATE TABLE ks.mine (k int PRIMARY KEY)"))
        assert columns(session, "mine") == ["k"]
        untouched = ks(session).tables["u"]
        world.run(session.execute("ALTER TABLE ks.mine ADD v ks.point"))
        assert columns(session, "mine") == ["k", "v"]
        assert ks(session).tables["u"] is untouched
        world.run(session.execute("CREATE INDEX i ON ks.mine (v)"))
        assert list(ks(session).tables["mine"].indexes) == ["i"]
        world.run(session.execute("ALTER TYPE ks.point ADD z int"))
        assert list(ks(session).types["point"].fields) == ["x", "y", "z"]
        for table in ("t", "mine"):
            column = ks(session).tables[table].columns["p" if table == "t" else "v"]
            assert column.type == ks(session).types["point"].type
        world.run(session.execute("DROP TABLE ks.mine"))
        assert "mine" not in ks(session).tables
        world.run(session.execute("CREATE KEYSPACE new"))
        world.run(session.execute("CREATE TABLE new.t (k int PRIMARY KEY)"))
        assert columns(session, "t", "new") == ["k"]
        world.run(session.execute("DROP KEYSPACE new"))
        assert "new" not in session.metadata.keyspaces


def test_a_view_follows_its_table() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.run(session.execute(VIEW))
        assert isinstance(ks(session).views["by_v"], View)
        world.run(session.execute("ALTER TABLE ks.t ADD more int"))
        assert "more" in ks(session).views["by_v"].columns
        world.run(session.execute("DROP MATERIALIZED VIEW ks.by_v"))
        assert ks(session).views == {}


def test_functions_and_aggregates() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        plus = "CREATE FUNCTION ks.plus (a int, b int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS 'return a;'"
        world.run(session.execute(plus))
        world.run(session.execute("CREATE AGGREGATE ks.total (int) SFUNC plus STYPE int INITCOND 0"))
        assert list(ks(session).functions) == ["plus(int, int)"]
        assert list(ks(session).aggregates) == ["total(int)"]
        world.server.log.clear()
        world.run(session.execute("DROP AGGREGATE ks.total (int)"))
        assert ks(session).aggregates == {}
        assert asked(world) == 2


def test_no_more_is_read_than_what_has_changed() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.run(session.execute("ALTER TABLE ks.t ADD more int"))
        assert asked(world) == ONE_TABLE
        assert all(
            "'t'" in each.text for each in world.server.log.everything if "system_schema." in each.text
        )
        world.server.log.clear()
        world.run(session.execute("ALTER TYPE ks.point ADD z int"))
        assert asked(world) == 1


def test_many_statements_at_once_are_followed_too() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        texts = [(f"CREATE TABLE ks.t{number} (k int PRIMARY KEY)", None) for number in range(100)]
        world.run(session.execute_concurrent(texts))
        assert world.run(session.schema_agreement()) is True
        followed(world, session)
        assert asked(world) < 30


def test_a_node_that_tells_old_rows_for_a_while_is_asked_again() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        control = world.control_node(session)
        hidden = True

        def old(node: Any, rows: list[Any]) -> list[Any]:
            return [row for row in rows if not (hidden and node is control and row["table_name"] == "mine")]

        for name in ("tables", "columns"):
            world.server.edit(f"system_schema.{name}", old)
        task = world.start(session.execute("CREATE TABLE ks.mine (k int PRIMARY KEY)"))
        world.reactor.advance(0.2)
        assert not task.done
        hidden = False
        world.reactor.advance(1.0)
        assert task.result().schema_agreed is True
        assert columns(session, "mine") == ["k"]


def test_what_others_undo_meanwhile_keeps_nobody_waiting() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.server.edit(
            "system_schema.tables", lambda _node, rows: [row for row in rows if row["table_name"] != "mine"]
        )
        world.server.edit(
            "system_schema.columns", lambda _node, rows: [row for row in rows if row["table_name"] != "mine"]
        )
        began = world.reactor.now()
        world.run(session.execute("CREATE TABLE ks.mine (k int PRIMARY KEY)"))
        assert world.reactor.now() - began < 2.0
        assert "mine" not in ks(session).tables


def test_who_asks_for_agreement_waits_for_what_is_being_read() -> None:
    world = World(schema=SCHEMA)
    gate = Gate()
    with world.session() as session:
        text = "SELECT * FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 'mine'"
        world.server.when(text, times=1).then(gate, as_usual())
        by_others(world, "CREATE TABLE ks.mine (k int PRIMARY KEY)")
        world.reactor.advance(2.0)
        assert gate.waiting
        task = world.start(session.schema_agreement())
        world.reactor.advance(1.0)
        assert not task.done
        gate.open()
        world.reactor.settle()
        assert task.result() is True
        assert columns(session, "mine") == ["k"]


def test_nobody_waits_longer_than_for_agreement() -> None:
    world = World(schema=SCHEMA, schema_agreement_timeout=1.0)
    with world.session() as session:
        world.server.when(
            "SELECT * FROM system_schema.tables WHERE keyspace_name = 'ks' AND table_name = 'm'"
        ).then(no_response())
        began = world.reactor.now()
        result = world.run(session.execute("CREATE TABLE ks.m (k int PRIMARY KEY)"))
        assert result.schema_agreed is True
        assert world.reactor.now() - began == pytest.approx(1.0, abs=0.01)
        world.server.rules.clear()
        world.reactor.advance(30.0)
        followed(world, session)


# --- Changes of others ---------------------------------------------------------------------------------------------


def test_events_refresh_the_objects_that_they_name() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.reactor.advance(3.0)
        by_others(world, "ALTER TABLE ks.t ADD more int")
        world.reactor.advance(1.0)
        assert "more" in columns(session, "t")
        assert asked(world) == ONE_TABLE
        world.server.log.clear()
        by_others(
            world, "DROP TABLE ks.u; CREATE TABLE ks.w (k int PRIMARY KEY); CREATE TYPE ks.more (a int)"
        )
        world.reactor.advance(2.0)
        followed(world, session)
        assert list(ks(session).types) == ["more", "point"]
        assert asked(world) == ONE_TABLE + 1


def test_events_are_followed_after_somebody_has_asked_for_agreement() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        by_others(world, "ALTER TABLE ks.t ADD one int")
        world.reactor.settle()
        assert world.run(session.schema_agreement()) is True
        assert "one" in columns(session, "t")
        world.reactor.advance(2.0)
        by_others(world, "ALTER TABLE ks.t ADD two int")
        world.reactor.advance(2.0)
        assert "two" in columns(session, "t")


def test_a_type_of_others_takes_its_tables_along() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        (change,) = world.server.schema.execute("ALTER TYPE ks.point ADD z int")[1:]
        world.server.announce_schema(change)
        world.reactor.advance(2.0)
        point = ks(session).types["point"].type
        assert [name for name, _ in point.fields] == ["x", "y", "z"]
        assert ks(session).tables["t"].columns["p"].type == point


def test_a_keyspace_that_is_dropped_and_made_again() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        before = ks(session)
        by_others(world, f"DROP KEYSPACE ks; {KEYSPACE}; CREATE TABLE ks.t (k int PRIMARY KEY, another int)")
        world.reactor.advance(3.0)
        assert columns(session, "t") == ["k", "another"]
        assert ks(session).tables["t"].id != before.tables["t"].id
        assert ks(session).types == {}
        followed(world, session)


@pytest.mark.parametrize("spread", [0.0, 10.0])
@pytest.mark.parametrize("what", ["tables", "keyspaces", "one table"])
def test_a_storm_of_ten_thousand_events_costs_at_most_twenty_queries(spread: float, what: str) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.reactor.advance(3.0)
        world.server.log.clear()
        for number in range(10_000):
            if what == "keyspaces":
                change = Change("CREATED", "KEYSPACE", f"ks{number}")
            else:
                change = Change("UPDATED", "TABLE", "ks", f"t{number}" if what == "tables" else "t")
            world.server.announce_schema(change)
            if spread and number % 50 == 0:
                world.reactor.advance(spread / 200)
        world.server.schema.execute(
            "ALTER TABLE ks.t ADD more int; CREATE TABLE other.late (k int PRIMARY KEY)"
        )
        by_others(world, "CREATE TABLE ks.last (k int PRIMARY KEY)")
        world.server.announce_schema(Change("UPDATED", "TABLE", "ks", "t"))
        world.reactor.advance(20.0)
        assert asked(world) <= 20
        assert "more" in columns(session, "t")
        assert "last" in ks(session).tables


def test_changes_without_end_are_read_ever_more_seldom() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.reactor.advance(3.0)
        world.server.log.clear()
        for number in range(600):
            by_others(world, f"ALTER TABLE ks.t ADD c{number} int")
            world.reactor.advance(0.2)
        world.reactor.advance(20.0)
        followed(world, session)
        assert world.asked("system_schema.tables") <= 22


@pytest.mark.parametrize("table", ["tables", "columns"])
def test_half_of_the_rows_leaves_the_old_object_until_the_other_half_is_there(table: str) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        before = ks(session).tables["t"]
        world.server.edit(
            f"system_schema.{table}", lambda _node, rows: [row for row in rows if row["table_name"] != "t"]
        )
        by_others(world, "ALTER TABLE ks.t ADD more int; ALTER TABLE ks.u ADD more int")
        world.reactor.advance(1.5)
        assert ks(session).tables["t"] is before
        assert "more" in columns(session, "u")
        world.server.edit(f"system_schema.{table}", lambda _node, rows: rows)
        world.reactor.advance(20.0)
        followed(world, session)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said of what cannot be read."""
    return [line for line in caplog.messages if "cannot be read" in line]


@pytest.mark.parametrize("table", ["tables", "columns"])
def test_nothing_is_said_of_what_is_half_there_for_a_moment(
    table: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        for _ in range(3):
            by_others(
                world, f"DROP KEYSPACE ks; {SCHEMA.partition(';')[0]}; CREATE TABLE ks.t (k int PRIMARY KEY)"
            )
            world.server.edit(f"system_schema.{table}", lambda _node, rows: [])
            world.reactor.advance(0.9)
            world.server.edit(f"system_schema.{table}", lambda _node, rows: rows)
            world.reactor.advance(5.0)
        followed(world, session)
    assert warnings_of(caplog) == []


def test_what_stays_wrong_is_said_once_and_read_seldom_however_often_others_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.server.edit(
            "system_schema.columns",
            lambda _node, rows: [
                {**row, "kind": "odd"} if row["table_name"] == "t" and row["column_name"] == "v" else row
                for row in rows
            ],
        )
        by_others(world, "ALTER TABLE ks.t ADD more int")
        world.reactor.advance(120.0)
        (line,) = warnings_of(caplog)
        assert (
            line
            == "the schema of ks.t cannot be read: the column 'v' is of the kind 'odd'; what was known of it stays"
        )
        world.server.log.clear()
        for number in range(20):
            by_others(world, f"ALTER TABLE ks.u ADD c{number} int")
            world.reactor.advance(100.0)
        assert world.asked("system_schema.columns") == 20
        world.server.log.clear()
        by_others(world, "ALTER TABLE ks.t ADD even_more int")
        world.reactor.advance(100.0)
        assert world.asked("system_schema.columns") == 2  # once more, as it may be half there
        assert len(warnings_of(caplog)) == 1
        world.server.edit("system_schema.columns", lambda _node, rows: rows)
        by_others(world, "ALTER TABLE ks.t ADD last int")
        world.reactor.advance(100.0)
        followed(world, session)


def test_what_is_said_is_short_however_long_the_text_of_a_type(caplog: pytest.LogCaptureFixture) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        long = "odd<" * 30_000
        world.server.edit(
            "system_schema.columns",
            lambda _node, rows: [{**row, "type": long} if row["column_name"] == "v" else row for row in rows],
        )
        by_others(world, "ALTER TABLE ks.t ADD more int")
        world.reactor.advance(60.0)
        assert "more" in columns(session, "t")
        (line,) = warnings_of(caplog)
        assert line.startswith("the schema of ks.t cannot be read: the type 'odd<")
        assert len(line) < 500
        assert not any(len(entry.text) > 1000 for entry in world.server.log.everything)


def test_keyspaces_are_read_once_before_a_session_is_open() -> None:
    world = World(schema=SCHEMA)
    session = world.run(world._open())
    assert sum(entry.text.startswith("SELECT keyspace_name") for entry in world.server.log.everything) == 1
    followed(world, session)
    world.run(session.aclose())


def test_a_node_that_tells_of_no_table_is_believed_when_it_does_twice() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        for name in ("tables", "columns"):
            world.server.edit(f"system_schema.{name}", lambda _node, _rows: [])
        with pytest.raises(Exception, match="no table any more"):
            world.run(session.refresh_schema())
        assert columns(session, "t") == ["k", "p", "v"]
        world.run(session.refresh_schema())
        assert ks(session).tables == {}


# --- The control connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_the_control_connection_ends_in_the_midst_of_a_reading(how: str) -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        gate = Gate()
        world.server.when("SELECT * FROM system_schema.columns").then(gate, as_usual())
        task = world.start(session.refresh_schema())
        assert gate.waiting
        node = world.control_node(session)
        world.server.schema.execute("ALTER TABLE ks.t ADD meanwhile int")
        if how == "stopped":
            node.stop()
        else:
            node.pause()
        world.server.rules.clear()
        world.reactor.advance(60.0)
        if how == "stopped":
            with pytest.raises(ConnectionLost):
                task.result()
        assert task.done
        assert world.control_node(session) is not node
        followed(world, session)
        node.resume()


def test_what_was_missed_is_read_when_the_control_connection_moves() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.control_node(session).stop()
        world.server.schema.execute("CREATE TABLE ks.missed (k int PRIMARY KEY)")
        world.reactor.advance(3.0)
        followed(world, session)


def test_two_sessions_change_the_schema_at_once() -> None:
    world = World(schema=SCHEMA)
    with world.session() as one, world.session() as two:
        tasks = []
        for number in range(20):
            for session, table in ((one, "t"), (two, "t"), (one, f"a{number}"), (two, f"b{number}")):
                text = f"CREATE TABLE ks.{table} (k int PRIMARY KEY)"
                if table == "t":
                    text = f"ALTER TABLE ks.t ADD c{number}{'a' if session is one else 'b'} int"
                tasks.append(world.start(session.execute(text)))
        world.reactor.advance(5.0)
        assert all(task.result().schema_agreed for task in tasks)
        followed(world, one)
        followed(world, two)


def test_no_node_tells_for_a_while() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        for node in world.server.nodes:
            node.stop()
        world.reactor.advance(5.0)
        with pytest.raises(ConnectionLost, match="no control connection"):
            world.run(session.refresh_schema())
        world.server.schema.execute("CREATE TABLE ks.missed (k int PRIMARY KEY)")
        for node in world.server.nodes:
            node.start()
        world.reactor.advance(70.0)
        followed(world, session)


# --- refresh_schema --------------------------------------------------------------------------------------------------


def test_refreshing() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.server.schema.execute(
            "ALTER TABLE ks.t ADD v1 int; ALTER TABLE ks.u ADD v1 int; ALTER TABLE other.t ADD v1 int"
        )
        known = world.run(session.refresh_schema(keyspace="ks", table="t"))
        assert known is session.metadata
        assert "v1" in columns(session, "t")
        assert "v1" not in columns(session, "u")
        assert asked(world) == ONE_TABLE
        world.run(session.refresh_schema(keyspace="ks"))
        assert "v1" in columns(session, "u")
        assert "v1" not in columns(session, "t", "other")
        world.run(session.refresh_schema())
        followed(world, session)


def test_refreshing_what_was_left_out() -> None:
    world = World(schema=SCHEMA)
    world.options["schema"] = False
    with world.session() as session:
        world.run(session.refresh_schema(keyspace="ks", table="t"))
        assert columns(session, "u") == ["k", "c"]
        assert not ks(session, "other").is_loaded
        by_others(world, "ALTER TABLE ks.u ADD v1 int; ALTER TABLE other.t ADD v1 int")
        world.reactor.advance(3.0)
        assert "v1" in columns(session, "u")
        assert not ks(session, "other").is_loaded
    with world.session() as session:
        world.run(session.refresh_schema())
        followed(world, session)


def test_what_cannot_be_refreshed() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        with pytest.raises(UsageError, match="in which keyspace"):
            world.run(session.refresh_schema(table="t"))
        with pytest.raises(OptionError, match="keyspace"):
            world.run(session.refresh_schema(keyspace=""))
        wrong: Any = 7
        with pytest.raises(UsageError, match="name of a table"):
            world.run(session.refresh_schema(keyspace="ks", table=wrong))
        assert "gone" not in world.run(session.refresh_schema(keyspace="gone")).keyspaces
        assert (
            "gone"
            not in world.run(session.refresh_schema(keyspace="ks", table="gone")).keyspaces["ks"].tables
        )
        world.server.when("SELECT * FROM system_schema.columns").then(error(0, "broken"))
        with pytest.raises(ServerError, match="broken"):
            world.run(session.refresh_schema())
    with pytest.raises(SessionClosed):
        world.run(session.refresh_schema())


def test_the_session_is_closed_while_somebody_waits() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        world.server.when("SELECT * FROM system_schema.columns").then(no_response())
        task = world.start(session.refresh_schema())
        world.run(session.aclose())
        with pytest.raises(SessionClosed):
            task.result()


@pytest.mark.parametrize("level", [False, True])
def test_cancellation_at_each_checkpoint(level: bool) -> None:
    for number in range(100):
        world = World(level=level, schema=SCHEMA)
        with world.session() as session:
            world.server.schema.execute("ALTER TABLE ks.t ADD more int")
            task = world.start(session.refresh_schema(keyspace="ks"), cancel_at=number)
            world.reactor.advance(1.0)
            assert task.done
            world.run(session.refresh_schema(keyspace="ks"))
            followed(world, session)
            assert session.stats()[1:] == (0, 0, 0)
        if not task.cancelled:
            assert number > 0
            return
    pytest.fail("it never ended")


# --- Events --------------------------------------------------------------------------------------------------------


def of_schema(world: World, session: Session) -> list[Any]:
    """Return the changes of the schema that come, with whether the snapshot had them by then."""
    seen: list[Any] = []

    async def listen() -> None:
        async with session.events() as events:
            async for event in events:
                if isinstance(event, SchemaChanged):
                    known = session.metadata.keyspaces.get(event.keyspace)
                    if event.target == "TABLE" and event.new is not None:
                        assert known is not None
                        assert {**known.tables, **known.views}[event.name] is event.new
                    seen.append(event)

    world.start(listen())
    return seen


def test_events_carry_the_object_before_and_after() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        seen = of_schema(world, session)
        first = ks(session).tables["t"]
        world.run(session.execute("ALTER TABLE ks.t ADD mine int"))
        world.reactor.advance(2.0)
        by_others(world, "ALTER TABLE ks.t ADD theirs int")
        world.reactor.advance(2.0)
        by_others(world, "DROP TABLE ks.t; CREATE TABLE ks.new (k int PRIMARY KEY); CREATE TYPE ks.q (a int)")
        world.reactor.advance(2.0)
        by_others(world, "DROP KEYSPACE other")
        world.reactor.advance(2.0)
        one, two, dropped, created, made, gone = seen
        assert isinstance(one.old, Relation)
        assert one.old is first
        assert isinstance(one.new, Table)
        assert "mine" in one.new.columns
        assert two.old is one.new
        assert "theirs" in two.new.columns
        assert (dropped.change, dropped.old, dropped.new) == ("DROPPED", two.new, None)
        assert (created.old, created.new) == (None, ks(session).tables["new"])
        assert (made.target, made.old, made.new) == ("TYPE", None, ks(session).types["q"])
        assert gone.new is None
        assert isinstance(gone.old, Keyspace)
        assert list(gone.old.tables) == ["t"]


def test_events_come_without_objects_where_nothing_is_read() -> None:
    world = World(schema=SCHEMA)
    world.options["schema"] = False
    with world.session() as session:
        seen = of_schema(world, session)
        by_others(world, "ALTER TABLE ks.t ADD theirs int")
        world.reactor.advance(0.2)
        assert [(each.change, each.name, each.old, each.new) for each in seen] == [
            ("UPDATED", "t", None, None)
        ]


def test_events_wait_for_a_reading_that_fails() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        seen = of_schema(world, session)
        world.server.when(
            "SELECT * FROM system_schema.tables WHERE keyspace_name = 'ks' AND table_name = 't'"
        ).then(error(0))
        by_others(world, "ALTER TABLE ks.t ADD theirs int")
        world.reactor.advance(3.0)
        assert seen == []
        world.server.rules.clear()
        world.reactor.advance(10.0)
        (event,) = seen
        assert "theirs" in event.new.columns


def test_changes_that_cannot_be_read_are_told_when_they_are_too_many() -> None:
    world = World(schema=SCHEMA)
    with world.session() as session:
        seen = of_schema(world, session)
        world.server.edit("system_schema.tables", None)
        for number in range(1500):
            world.server.announce_schema(Change("CREATED", "TABLE", "ks", f"t{number}"))
            if number % 50 == 0:
                world.reactor.advance(0.2)
        assert len(seen) > 400
        assert all(each.new is None for each in seen)


def test_versions_that_disagree_keep_nobody_from_what_is_known_here() -> None:
    world = World(schema=SCHEMA, schema_agreement_timeout=1.0)
    with world.session() as session:
        other(world, session).schema_version = UUID(int=7)
        result = world.run(session.execute("CREATE TABLE ks.mine (k int PRIMARY KEY)"))
        assert result.schema_agreed is False
        world.reactor.advance(3.0)
        assert columns(session, "mine") == ["k"]
