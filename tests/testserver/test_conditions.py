"""Each condition of a rule tells requests apart: what meets it gets the rule's answer, what does not the older one."""

from __future__ import annotations

import re

import pytest

import triocql
from tests.testserver.world import INSERT, Client, World
from triocql import errors
from triocql.session.session import Session
from triocql.testing.server import Consistency, ErrorCode, Message, Opcode, error, no_response, rows, void

QUERY = "SELECT n FROM t"


def number(n: int) -> Message:
    return rows({"n": "int"}, [[n]])


def ask(client: Client, text: str = QUERY) -> int:
    """Return the number in the only row of the answer."""
    client.received.clear()
    (answer,) = client.query(text)
    assert answer.opcode == Opcode.RESULT
    return int.from_bytes(answer.body[-4:])


def test_the_node() -> None:
    world = World(3)
    world.server.when(QUERY).then(number(0))
    rule = world.server.when(QUERY, node=1).then(number(1))
    clients = [world.client(node=node) for node in (0, 1, 2, 1)]
    assert [ask(client) for client in clients] == [0, 1, 0, 1]
    assert [request.node.index for request in rule.calls] == [1, 1]


def test_the_connection() -> None:
    """Connections are counted over all nodes."""
    world = World(2)
    world.server.when(QUERY).then(number(0))
    rule = world.server.when(QUERY, connection=1).then(number(1))
    clients = [world.client(node=node) for node in (1, 0, 0, 1)]
    assert [ask(client) for client in clients] == [0, 1, 0, 0]
    assert [request.connection.number for request in rule.calls] == [1]


def test_the_connection_during_its_handshake() -> None:
    world = World()
    world.server.when(connection=1, opcode=Opcode.OPTIONS).then(no_response())
    clients = [world.client(start=False) for _ in range(3)]
    assert [len(client.ask(Opcode.OPTIONS)) for client in clients] == [1, 0, 1]


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("prepared", [True, False])
def test_whether_a_statement_is_prepared(prepared: bool, version: int) -> None:
    world = World(versions=(version,))
    world.server.when(QUERY).then(number(0))
    rule = world.server.when(QUERY, prepared=prepared).then(number(1))

    async def scenario(session: Session) -> None:
        statement = await session.prepare(QUERY)
        assert (await session.execute(QUERY)).scalar() == (not prepared)
        assert (await session.execute(statement)).scalar() == prepared

    world.run(scenario)
    assert [request.opcode for request in rule.calls] == [Opcode.EXECUTE if prepared else Opcode.QUERY]


@pytest.mark.parametrize("prepared", [True, False])
def test_a_batch_is_prepared_if_one_of_its_statements_is(prepared: bool) -> None:
    plain = "INSERT INTO shop.users (id) VALUES (1)"
    world = World()
    world.server.when(re.compile("INSERT")).then(void())
    world.server.when(re.compile("INSERT"), prepared=prepared).then(error(ErrorCode.INVALID, "this one"))

    async def scenario(session: Session) -> None:
        with_prepared = triocql.Batch().add(plain).add(await session.prepare(INSERT), [1, "x"])
        refused, taken = triocql.Batch().add(plain), with_prepared
        if prepared:
            refused, taken = taken, refused
        await session.execute(taken)
        with pytest.raises(errors.InvalidQuery, match="this one"):
            await session.execute(refused)

    world.run(scenario)


def test_what_is_asked_and_how() -> None:
    world = World()
    when = world.server.when
    when(QUERY).then(number(0))
    when(QUERY, consistency=Consistency.ALL).then(number(1))
    when(QUERY, match=lambda request: request.page_size == 17).then(number(2))
    when(QUERY, opcode=Opcode.EXECUTE).then(number(3))

    async def scenario(session: Session) -> None:
        assert (await session.execute(QUERY)).scalar() == 0
        assert (await session.execute(QUERY, consistency=triocql.Consistency.ALL)).scalar() == 1
        assert (await session.execute(QUERY, consistency=triocql.Consistency.ONE)).scalar() == 0
        assert (await session.execute(QUERY, page_size=17)).scalar() == 2
        assert (await session.execute(QUERY, page_size=18)).scalar() == 0
        assert (await session.execute(await session.prepare(QUERY))).scalar() == 3

    world.run(scenario)


def test_all_conditions_have_to_be_met() -> None:
    """The n-th request is counted among those that meet the other ones."""
    world = World(2)
    world.server.when(QUERY).then(number(0))
    world.server.when(QUERY, node=1, nth=2).then(number(1))
    first, second = world.client(node=0), world.client(node=1)
    assert [ask(client) for client in (first, second, first, second, second)] == [0, 0, 0, 1, 0]


def test_the_number_of_times_is_of_answers() -> None:
    world = World(2)
    world.server.when(QUERY).then(number(0))
    world.server.when(QUERY, node=1, times=2).then(number(1))
    first, second = world.client(node=0), world.client(node=1)
    assert [ask(client) for client in (second, first, first, second, second)] == [1, 0, 0, 1, 0]
