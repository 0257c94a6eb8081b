"""USE: every connection of the session is moved before the next request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked, PeerLink
from tests.engine.world import SELECT, World, pools
from triocql import errors
from triocql.config.requests import RequestOptions
from triocql.protocol.constants import Opcode


def keyspaces(world: World) -> set[str | None]:
    return {link.keyspace for node in world.nodes for link in node.links if not link.lost}


def spread(world: World, session: Any, statement: str, count: int = 12) -> list[str | None]:
    """Execute statements all over the connections; return the keyspaces that they were executed in."""
    for node in world.nodes:
        node.asked.clear()
    for number in range(count):
        world.start(session.execute, f"{statement} {number}")
    return [asked.link.keyspace for node in world.nodes for asked in node.asked if "USE" not in asked.text]


@pytest.mark.parametrize("version", [4, 5])
def test_every_connection_is_moved_before_the_next_request(version: int) -> None:
    world = World(version, count=2, connections_local=2, max_in_flight=4)
    with world.session() as session:
        assert session.keyspace is None
        for name in ("shop", "Other"):
            quoted = name if name.islower() else f'"{name}"'
            world.call(session.execute, f"USE {quoted}")
            assert session.keyspace == name
            assert set(spread(world, session, "INSERT")) == {name}
        assert keyspaces(world) == {"Other"}


def wants_quotes(asked: Asked) -> bool:
    """Refuse bare names, as a node does with those that are reserved words."""
    is_bare = asked.text.startswith("USE ") and not asked.text.endswith('"')
    return is_bare and asked.error(0x2000, "no viable alternative at input 'order'")


@pytest.mark.parametrize("name", ["order", "true", "Order", "1st", 48 * "k"])
def test_any_name_will_do(name: str) -> None:
    world = World(count=2, connections_local=2, keyspace="order")
    for node in world.nodes:
        node.script = wants_quotes
    with world.session() as session:
        assert keyspaces(world) == {"order"}
        links = sum(len(node.links) for node in world.nodes)
        world.call(session.execute, f'USE "{name}"')
        world.settle()
        assert keyspaces(world) == {name}
        assert sum(len(node.links) for node in world.nodes) == links, "a connection was lost by the move"
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(3)
        assert len(session._context.executor.router.connections()) == 4
        assert keyspaces(world) == {name}


@pytest.mark.parametrize("name", ['"order"', "", 7])
def test_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(
        errors.OptionError, match=r"keyspace is .*; it has to be the name of a keyspace, without"
    ):
        World(keyspace=name).connect()
    with pytest.raises(errors.OptionError, match="keyspace is"):
        RequestOptions(keyspace=name)
    world = World()
    with world.session() as session, pytest.raises(errors.OptionError, match="keyspace is"):
        world.call(session.prepare, SELECT, keyspace=name)


def test_requests_wait_for_their_connection_to_be_moved() -> None:
    world = World(connections_local=2, max_in_flight=2)
    with world.session() as session:
        moving: list[Asked] = []

        def slow(asked: Asked) -> bool:
            if asked.text != 'USE "shop"' or not world.node.texts()[:-1]:
                return False
            moving.append(asked)
            return True

        world.node.asked.clear()
        world.node.script = slow
        world.call(session.execute, "USE shop")
        world.settle()
        assert len(moving) == 1
        world.node.holding = True
        tasks = [world.start(session.execute, f"INSERT {number}") for number in range(4)]
        assert {asked.link.keyspace for asked in world.node.held} == {"shop"}
        assert len(world.node.held) == 2
        moving[0].respond()
        world.settle()
        assert [asked.link.keyspace for asked in world.node.held] == ["shop"] * 4
        world.node.release()
        world.settle()
        assert all(task.done for task in tasks)


@pytest.mark.parametrize("answer", ["error", "void", "another", "no RESULT", "cut", "nothing"])
def test_connection_that_does_not_follow_is_replaced(answer: str) -> None:
    world = World(connections_local=2)
    with world.session() as session:
        count = len(world.node.links)

        def refuse(asked: Asked) -> bool:
            if asked.text != 'USE "shop"' or world.node.texts().count('USE "shop"') != 1:
                return False
            if answer == "error":
                asked.error(0x2200, "no")
            elif answer == "void":
                asked.void()
            elif answer == "another":
                asked.answer(Opcode.RESULT, wire.set_keyspace("evil"))
            elif answer == "no RESULT":
                asked.answer(Opcode.SUPPORTED, wire.set_keyspace("shop"))
            elif answer == "cut":
                asked.answer(Opcode.RESULT, wire.set_keyspace("shop")[:-1])
            return True

        world.node.script = refuse
        world.call(session.execute, "USE shop")
        world.reactor.advance(10)
        assert len(world.node.links) == count + 1
        assert keyspaces(world) == {"shop"}
        assert len(pools(session)[0].connections) == 2


def test_connection_without_a_free_id_is_replaced() -> None:
    world = World(connections_local=2, max_in_flight=2)
    with world.session() as session:
        world.node.holding = True
        tasks = [world.start(session.execute, f"SELECT {number}") for number in range(3)]
        world.start(session.execute, "USE shop")
        world.node.release()
        world.reactor.advance(3)
        assert keyspaces(world) == {"shop"}
        assert all(task.done for task in tasks)


def test_connection_that_was_being_made_meanwhile() -> None:
    world = World(connections_local=2)
    with world.session() as session:
        world.reactor.advance(5)
        world.listeners[0].delay = 2
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(0.1)
        world.call(session.execute, "USE shop")
        world.reactor.advance(10)
        assert keyspaces(world) == {"shop"}
        assert len(pools(session)[0].connections) == 2
        assert set(spread(world, session, "INSERT")) == {"shop"}


def test_new_connections_are_in_the_keyspace_from_the_start() -> None:
    world = World(keyspace="shop", connections_local=2)
    with world.session() as session:
        assert session.keyspace == "shop"
        assert keyspaces(world) == {"shop"}
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(3)
        assert keyspaces(world) == {"shop"}


def test_keyspace_that_does_not_exist() -> None:
    world = World(keyspace="shop")
    world.node.script = lambda asked: (
        asked.text == 'USE "shop"' and asked.error(0x2200, "Keyspace 'shop' does not exist")
    )
    with pytest.raises(errors.ConnectError, match=r"10.0.0.1:9042, USE: .*'shop' does not exist"):
        world.call(world.connect().__aenter__)
    world.assert_closed()


def test_use_that_is_refused_changes_nothing() -> None:
    world = World(keyspace="shop")
    with world.session() as session:
        world.node.script = lambda asked: asked.text == "USE nowhere" and asked.error(0x2200, "no")
        with pytest.raises(errors.InvalidQuery):
            world.call(session.execute, "USE nowhere")
        assert session.keyspace == "shop"
        assert set(spread(world, session, "INSERT")) == {"shop"}


@pytest.mark.parametrize("version", [4, 5])
def test_text_is_prepared_in_the_keyspace_of_its_time(version: int) -> None:
    world = World(version, keyspace="one")
    with world.session() as session:
        world.call(session.execute, SELECT, [1])
        world.call(session.execute, "USE two")
        world.call(session.execute, SELECT, [2])
        ids = [asked.id for asked in world.node.asked if asked.opcode == Opcode.EXECUTE]
        assert ids == [world.node.statement_id(SELECT, "one"), world.node.statement_id(SELECT, "two")]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("text", "prepared"), [(SELECT, 1), ("SELECT v FROM one.t WHERE k = ?", 0)])
def test_text_that_is_prepared_after_a_use_is_not_kept_for_the_keyspace_before(
    version: int, text: str, prepared: int
) -> None:
    """Before v5 a node prepares in the keyspace that the connection is in by then, unless the text names one."""
    world = World(version, keyspace="one")

    def hesitate(asked: Asked) -> bool:
        if asked.text != "USE two":
            return False
        asked.link.keyspace = "two"
        return asked.hold()

    with world.session() as session:
        world.node.script = hesitate
        move = world.start(session.execute, "USE two")
        meanwhile = world.start(session.execute, text, [1])
        world.node.release()
        world.settle()
        world.node.script = None
        move.result()
        meanwhile.result()
        world.node.asked.clear()
        world.call(session.execute, "USE one")
        world.call(session.execute, text, [2])
        (asked,) = (asked for asked in world.node.asked if asked.opcode == Opcode.EXECUTE)
        assert asked.id == world.node.statement_id(text, "one")
        again = [asked for asked in world.node.asked if asked.opcode == Opcode.PREPARE]
        assert len(again) == (prepared if version == 4 else 0)


def test_keyspace_of_a_single_request() -> None:
    world = World(5)
    with world.session() as session:
        world.call(session.execute, "SELECT x", keyspace="shop")
        assert world.node.asked[-1].keyspace == "shop"
        world.call(session.execute, SELECT, [1], keyspace="shop")
        assert world.node.asked[-1].id == world.node.statement_id(SELECT, "shop")
        prepared = world.call(session.prepare, SELECT, keyspace="other")
        assert prepared.prepared.state.id == world.node.statement_id(SELECT, "other")


def test_keyspace_of_a_single_request_needs_v5() -> None:
    world = World(4)
    with world.session() as session:
        with pytest.raises(errors.UsageError, match="v5"):
            world.call(session.execute, "SELECT x", keyspace="shop")
        with pytest.raises(errors.UsageError, match="v5"):
            world.call(session.prepare, SELECT, keyspace="shop")
        with pytest.raises(errors.UsageError, match="v5"):
            world.call(session.execute, SELECT, [1], keyspace="shop")
        assert world.node.asked == []
        assert session.stats() == (1, 0, 0, 0)


def test_two_moves_one_after_the_other() -> None:
    world = World(connections_local=3)
    with world.session() as session:
        moves: list[Asked] = []
        origins: dict[str, object] = {}

        def hold_moves(asked: Asked) -> bool:
            if origins.setdefault(asked.text, asked.link) is asked.link:
                return False
            moves.append(asked)
            return True

        world.node.script = hold_moves
        world.call(session.execute, "USE one")
        world.call(session.execute, "USE two")
        while moves:
            moves.pop(0).respond()
            world.settle()
        world.reactor.advance(6)
        assert keyspaces(world) == {"two"}
        assert set(spread(world, session, "INSERT")) == {"two"}


def holding(held: list[Asked], unless: PeerLink | None = None) -> Callable[[Asked], bool]:
    """Return a script that keeps each USE in `held`, unless it comes on this connection."""

    def script(asked: Asked) -> bool:
        if not asked.text.startswith("USE") or asked.link is unless:
            return False
        held.append(asked)
        return True

    return script


@pytest.mark.usefixtures("in_turn")
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_two_at_once_on_two_connections(count: int, newest_first: bool) -> None:
    world = World(count=2, connections_local=count)
    with world.session() as session:
        held: list[Asked] = []
        for node in world.nodes:
            node.script = holding(held)
        users = [world.start(session.execute, f"USE {name}") for name in ("one", "two")]
        assert held[0].link is not held[1].link
        while held:
            held.pop(-1 if newest_first else 0).respond()
            world.settle()
        assert all(user.done for user in users)
        assert session.keyspace == ("one" if newest_first else "two")
        world.reactor.advance(6)
        assert keyspaces(world) == {session.keyspace}
        assert set(spread(world, session, "INSERT")) == {session.keyspace}
        connections = session._context.executor.router.connections()
        assert all(connection.has_room for connection in connections)
        # None was given up on the way.
        assert len(connections) == sum(len(node.links) for node in world.nodes) == 2 * count


def test_connection_moves_once_at_a_time() -> None:
    """A node may carry out at once what comes on one connection: the last answer need not tell of the last move."""
    world = World(connections_local=2)
    with world.session() as session:
        world.call(session.execute, "INSERT")
        held: list[Asked] = []
        world.node.script = holding(held, unless=world.node.asked[-1].link)
        for name in ("one", "two", "three"):
            world.call(session.execute, f"USE {name}")
        assert [asked.text for asked in held] == ['USE "one"']
        held.pop().respond()
        world.settle()
        assert [asked.text for asked in held] == ['USE "three"']
        held.pop().respond()
        world.settle()
        assert held == []
        assert keyspaces(world) == {"three"}


def test_use_by_error_code_of_another_kind_is_no_move() -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: (
            asked.text.startswith("USE") and asked.answer(wire.RESULT, wire.void())
        )
        with pytest.raises(errors.UnfitAnswer):
            world.call(session.execute, "USE shop")
        assert session.keyspace is None
