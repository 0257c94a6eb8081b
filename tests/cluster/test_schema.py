"""After a change of the schema: all nodes agree before a statement returns, and what is known of keyspaces follows."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any
from uuid import UUID

import pytest

from tests.cluster.world import KEYSPACE, World, other
from triocql.errors import OptionError, SessionClosed
from triocql.metadata.replication import ReplicationFactor, SimpleStrategy
from triocql.testing.server import Change, ServerNode, as_usual, delay, error

TABLE = "CREATE TABLE ks.t (k int PRIMARY KEY)"
OLD = UUID(int=7)


# --- Agreement (S46) -----------------------------------------------------------------------------------------------


def test_a_change_is_everywhere_before_execute_returns() -> None:
    world = World()
    with world.session() as session:
        assert world.run(session.execute(TABLE)).schema_agreed is True
        late = other(world, session)
        late.schema_version = OLD
        world.later(0.3, late, None)
        began = world.reactor.now()
        result = world.run(session.execute("CREATE TABLE ks.u (k int PRIMARY KEY)"))
        assert result.schema_agreed is True
        assert result.schema_change is not None
        assert 0.3 <= world.reactor.now() - began < 0.9


def test_versions_that_never_agree_end_the_wait_and_not_the_success() -> None:
    world = World()
    with world.session() as session:
        other(world, session).schema_version = OLD
        began = world.reactor.now()
        result = world.run(session.execute(TABLE, timeout=0.5))
        assert result.schema_agreed is False
        assert result.schema_change is not None
        assert world.reactor.now() - began == pytest.approx(10.0, abs=0.01)
        assert world.asked("system.local") < 30
        assert not world.run(session.schema_agreement(timeout=1.0))


def test_a_node_that_is_down_does_not_count_nor_does_what_tells_no_version() -> None:
    world = World(4)
    with world.session() as session:
        control = world.control_node(session)
        dead, silent, _ = (node for node in world.server.nodes if node is not control)
        dead.schema_version = OLD
        world.down(session, dead)
        world.server.edit(
            "system.peers_v2",
            lambda _node, rows: [
                {**row, "schema_version": None if row["host_id"] == silent.host_id else row["schema_version"]}
                for row in rows
            ],
        )
        began = world.reactor.now()
        assert world.run(session.execute(TABLE)).schema_agreed is True
        assert world.reactor.now() - began < 0.1


def test_a_node_that_goes_down_while_it_is_waited_for_counts_no_more() -> None:
    world = World()
    with world.session() as session:
        late = other(world, session)
        late.schema_version = OLD
        task = world.start(session.execute(TABLE))
        world.down(session, late)
        world.reactor.advance(1.0)
        assert task.result().schema_agreed is True


def test_a_version_that_flaps() -> None:
    world = World()
    with world.session() as session:
        late = other(world, session)
        late.schema_version = OLD
        for number in range(20):
            world.later(0.1 * number, late, UUID(int=number))
        world.later(2.0, late, None)
        assert world.run(session.execute(TABLE)).schema_agreed is True
        assert world.reactor.now() > 2.0


@pytest.mark.parametrize("v2", [True, False])
def test_the_older_table_of_peers(v2: bool) -> None:
    world = World()
    if not v2:
        world.server.edit("system.peers_v2", None)
    with world.session() as session:
        late = other(world, session)
        late.schema_version = OLD
        assert world.run(session.schema_agreement(timeout=3.0)) is False
        assert world.asked("system.peers_v2") <= (world.asked("system.local") if v2 else 1)
        late.schema_version = None
        assert world.run(session.schema_agreement()) is True


@pytest.mark.parametrize("how", ["killed", "paused", "all but one"])
def test_the_control_connection_is_lost_while_somebody_waits(how: str) -> None:
    world = World()
    with world.session() as session:
        control, late = world.control_node(session), other(world, session)
        late.schema_version = OLD
        task = world.start(session.execute(TABLE))
        world.reactor.advance(0.2)
        if how == "paused":
            control.pause()
        else:
            control.stop()
        if how == "all but one":
            (third,) = (node for node in world.server.nodes if node not in (control, late))
            third.stop()
        late.schema_version = None
        world.reactor.advance(10.0)
        assert task.result().schema_agreed is True
        control.resume()


def test_all_nodes_are_lost_while_somebody_waits() -> None:
    world = World()
    with world.session() as session:
        other(world, session).schema_version = OLD
        task = world.start(session.execute(TABLE))
        for node in world.server.nodes:
            node.stop()
        world.reactor.advance(11.0)
        assert task.result().schema_agreed is False
        for node in world.server.nodes:
            node.start()


def test_the_session_is_closed_while_somebody_waits() -> None:
    world = World()
    with world.session() as session:
        other(world, session).schema_version = OLD
        task = world.start(session.execute(TABLE))
        asked = world.start(session.schema_agreement(timeout=inf))
        world.run(session.aclose())
        assert task.result().schema_agreed is False
        with pytest.raises(SessionClosed):
            asked.result()
        with pytest.raises(SessionClosed):
            world.run(session.schema_agreement())


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("statement", [TABLE, KEYSPACE.replace("ks", "other")])
def test_cancellation_at_each_checkpoint(level: bool, statement: str) -> None:
    for number in range(100):
        world = World(level=level)
        with world.session() as session:
            late = other(world, session)
            late.schema_version = OLD
            world.later(0.2, late, None)
            task = world.start(session.execute(statement), cancel_at=number)
            world.reactor.advance(2.0)
            assert task.done
            assert world.run(session.schema_agreement()) is True
            assert session.stats()[1:] == (0, 0, 0)
        if not task.cancelled:
            assert task.result().schema_agreed is True
            assert number > 1
            return
    pytest.fail("it never ended")


def test_many_changes_at_once_share_the_looks() -> None:
    world = World()
    with world.session() as session:
        late = other(world, session)
        late.schema_version = OLD
        world.later(1.0, late, None)
        texts = [f"CREATE TABLE ks.t{number} (k int PRIMARY KEY)" for number in range(100)]
        tasks = [world.start(session.execute(text)) for text in texts]
        world.reactor.advance(3.0)
        assert all(task.result().schema_agreed for task in tasks)
        assert world.asked("system.local") <= 20


def test_nobody_waits_where_that_is_switched_off() -> None:
    world = World(schema_agreement_timeout=0)
    with world.session() as session:
        other(world, session).schema_version = OLD
        result = world.run(session.execute(TABLE))
        assert result.schema_change is not None
        assert result.schema_agreed is None
        assert world.asked("system.local") == 0
        assert not world.run(session.schema_agreement(timeout=1.0))


def test_other_statements_neither_wait_nor_ask() -> None:
    world = World()
    with world.session() as session:
        for text in ("SELECT k FROM ks.t", "USE ks", KEYSPACE.replace("KEYSPACE", "KEYSPACE IF NOT EXISTS")):
            assert world.run(session.execute(text)).schema_agreed is None
        assert world.asked("system.local") == 0


def test_many_statements_do_not_wait_and_schema_agreement_does() -> None:
    world = World()
    with world.session() as session:
        late = other(world, session)
        late.schema_version = OLD
        world.later(0.5, late, None)
        began = world.reactor.now()
        ((success, result),) = world.run(session.execute_concurrent([(TABLE, None)]))
        assert success
        assert result.schema_change is not None
        assert result.schema_agreed is None
        assert world.reactor.now() - began < 0.1
        assert world.run(session.schema_agreement()) is True
        assert world.reactor.now() - began >= 0.5


@pytest.mark.parametrize("timeout", [0, -1, "1"])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    world = World()
    with world.session() as session, pytest.raises(OptionError, match="timeout"):
        world.run(session.schema_agreement(timeout=timeout))


# --- Keyspaces (S26) -----------------------------------------------------------------------------------------------

TWO = SimpleStrategy(ReplicationFactor(2))


def create(name: str, factor: int = 2) -> str:
    return f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"


def test_keyspaces_and_replicas_are_known_once_connected() -> None:
    world = World()
    with world.session() as session:
        known = session.metadata
        assert known.keyspaces["ks"].replication == TWO
        assert known.keyspaces["ks"].durable_writes
        replicas = known.replicas("ks", b"\0\0\0\1")
        assert len(set(replicas)) == 2
        assert set(replicas) < set(known.nodes)
        assert known.replicas("none", b"\0\0\0\1") == ()


def test_a_keyspace_of_ones_own_is_known_when_execute_returns() -> None:
    world = World()
    with world.session() as session:
        before = session.metadata
        world.run(session.execute(create("mine", 3)))
        assert "mine" not in before.keyspaces
        assert len(session.metadata.replicas("mine", b"a")) == 3
        world.run(session.execute("DROP KEYSPACE mine"))
        assert "mine" not in session.metadata.keyspaces
        assert session.metadata.ring is before.ring
        assert session.metadata.replica_map("ks") is before.replica_map("ks")


def test_a_keyspace_of_ones_own_is_asked_for_where_nobody_waits() -> None:
    world = World(schema_agreement_timeout=0)
    with world.session() as session:
        world.run(session.execute(create("mine")))
        world.reactor.settle()
        assert "mine" in session.metadata.keyspaces


def test_keyspaces_of_others_follow_the_events() -> None:
    world = World()
    with world.session() as session:
        world.server.announce_schema(*world.server.schema.execute(create("theirs")))
        world.reactor.advance(2.0)
        assert session.metadata.keyspaces["theirs"].replication == TWO
        world.server.announce_schema(*world.server.schema.execute("DROP KEYSPACE theirs"))
        world.reactor.advance(2.0)
        assert "theirs" not in session.metadata.keyspaces


def test_a_storm_of_changes_is_read_few_times_and_the_last_state_counts() -> None:
    world = World()
    with world.session() as session:
        schema = world.server.schema
        for number in range(5000):
            name = f"ks{number % 100}"
            changes = schema.execute(create(name, 1 + number % 3))
            if number < 4950:
                changes += schema.execute(f"DROP KEYSPACE {name}")
            world.server.announce_schema(*changes)
            if number % 50 == 0:
                world.reactor.advance(0.05)
        world.reactor.advance(3.0)
        assert world.asked("system_schema.keyspaces") <= 20
        told = {name: each.replication for name, each in session.metadata.keyspaces.items()}
        assert len(told) == 51
        assert told["ks99"] == SimpleStrategy(ReplicationFactor(2))
        assert world.run(session.execute("SELECT 1")).one() is not None


def test_tables_are_not_read_again_for_what_is_no_keyspace() -> None:
    world = World()
    with world.session() as session:
        world.run(session.execute(TABLE))
        world.reactor.advance(3.0)
        assert world.asked("system_schema.keyspaces") == 0


@pytest.mark.parametrize("fault", ["missing", "error"])
def test_a_reading_that_fails_takes_nothing_away(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.session() as session:
        replicas = session.metadata.replicas("ks", b"a")
        server = world.server
        rule = None
        if fault == "error":
            text = "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces"
            rule = server.when(text).then(error(0))
        else:
            server.edit("system_schema.keyspaces", None)
        server.announce_schema(*server.schema.execute(create("theirs")))
        world.reactor.advance(5.0)
        assert list(session.metadata.keyspaces) == ["ks"]
        assert session.metadata.replicas("ks", b"a") == replicas
        assert 3 <= world.asked("system_schema.keyspaces") <= 7
        assert "the keyspaces cannot be read" in caplog.text
        if rule is None:
            server.edit("system_schema.keyspaces", lambda _node, rows: rows)
        else:
            server.rules.clear()
        world.reactor.advance(2.0)
        assert set(session.metadata.keyspaces) == {"ks", "theirs"}


def empty(times: int) -> Callable[[ServerNode, list[Any]], list[Any]]:
    """Return an edit that tells no rows so many times."""
    left = times

    def edit(_node: ServerNode, rows: list[Any]) -> list[Any]:
        nonlocal left
        left -= 1
        return [] if left >= 0 else rows

    return edit


def test_a_reading_that_is_empty_is_believed_when_it_comes_twice(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.session() as session:
        server = world.server
        for times in (1, 2):
            server.edit("system_schema.keyspaces", empty(times))
            world.reactor.advance(2.0)
            server.announce_schema(Change("UPDATED", "KEYSPACE", "ks"))
            world.reactor.advance(0.5)
            assert list(session.metadata.keyspaces) == ["ks"]
            assert "no keyspace any more" in caplog.text
            world.reactor.advance(1.0)
            assert list(session.metadata.keyspaces) == ([] if times == 2 else ["ks"])


def test_a_cluster_without_keyspaces() -> None:
    world = World(schema="")
    with world.session() as session:
        assert session.metadata.keyspaces == {}
        assert session.metadata.ring is not None
        world.run(session.execute(create("first")))
        world.run(session.execute("DROP KEYSPACE first"))
        assert session.metadata.keyspaces == {}


def test_a_slow_reading_of_nodes_does_not_undo_what_is_learnt_of_keyspaces_meanwhile() -> None:
    world = World()
    with world.session() as session:
        server = world.server
        server.when("SELECT * FROM system.peers_v2").then(delay(3.0), as_usual())
        server.announce("STATUS_CHANGE", "UP", server.nodes[0])
        world.reactor.advance(0.5)
        server.rules.clear()
        world.run(session.execute(create("mine")))
        world.reactor.advance(5.0)
        assert world.asked("system.peers_v2") >= 2
        assert len(session.metadata.replicas("mine", b"a")) == 2


def test_what_was_missed_is_read_when_the_control_connection_moves() -> None:
    world = World()
    with world.session() as session:
        world.control_node(session).stop()
        world.server.schema.execute(create("meanwhile"))
        world.reactor.advance(2.0)
        assert "meanwhile" in session.metadata.keyspaces
