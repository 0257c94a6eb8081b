"""Prepared statements with nodes of ScyllaDB: columns that change, nodes of different kinds, marks, rate limits."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import triocql
from triocql import errors
from triocql.policies import ConstantSpeculation
from triocql.testing.server import (
    CqlServer,
    ErrorCode,
    Opcode,
    Scylla,
    as_usual,
    delay,
    encoder,
    error,
    frame,
    no_response,
    rate_limited,
    rows,
    void,
)
from triocql.testing.server.log import Execution
from triocql.testing.server.node import ServerNode
from triocql.testing.simulated import SimulatedReactor

SCHEMA = """
CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE ks.t (k int PRIMARY KEY, v text)
"""
SELECT = "SELECT * FROM ks.t WHERE k = ?"
PLAIN: dict[str, Any] = {"metadata_ids": False, "tablets": (), "lwt_mask": None, "rate_limit_code": None}

ROWS_WITHOUT_COLUMNS = struct.pack(">iiii", 2, 4, 2, 0)

Play = Callable[[CqlServer, triocql.Session], Awaitable[None]]


def run(play: Play, *nodes: Any, **options: Any) -> None:
    """Play something with a session of nodes that have the table, with a row; by default there is one of ScyllaDB."""
    reactor = SimulatedReactor()
    server = CqlServer(max(1, len(nodes)), scylla=list(nodes) or Scylla(shards=1), schema=SCHEMA)
    server.serve_table("ks.t", [[k, f"v{k}"] for k in range(20)])
    server.run_on(reactor)
    usual: dict[str, Any] = {"schema": False, "prepare_on_all_hosts": False, "connections_local": 1}

    async def main() -> None:
        async with triocql.connect(server.contact_points, reactor=reactor, **{**usual, **options}) as session:
            while len(server.connections) < len(server.nodes) + 1:
                await reactor.sleep(0.01)
            await play(server, session)

    reactor.run(main)
    assert not server.log.malformed


def executed(server: CqlServer) -> list[Execution]:
    return list(server.log.requests(Opcode.EXECUTE))


def test_a_column_that_is_sorted_first_is_read_right_after_it_was_added() -> None:
    """One answer tells the new columns, and the next requests go without."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        for _ in range(2):
            assert (await session.execute(select, [7])).one() == (7, "v7")
        server.alter("ks.t", "ADD aaa int", announce=False)
        for _ in range(3):
            row = (await session.execute(select, [7])).exactly_one()
            assert (row.k, row.v, row.aaa) == (7, "v7", None)
        before, again, changed, *after = executed(server)
        assert all(entry.request.skip_metadata for entry in executed(server))
        assert before.request.metadata_id == again.request.metadata_id == changed.request.metadata_id != b""
        assert {entry.request.metadata_id for entry in after} != {before.request.metadata_id}

    run(play)


async def columns_come_with_every_answer(server: CqlServer, session: triocql.Session) -> None:
    select = await session.prepare(SELECT)
    assert (await session.execute(select, [7])).one() == (7, "v7")
    server.alter("ks.t", "ADD aaa int", announce=False)
    row = (await session.execute(select, [7])).exactly_one()
    assert (row.k, row.v, row.aaa) == (7, "v7", None)
    assert not any(entry.request.skip_metadata for entry in executed(server))


def test_without_the_extension_columns_come_with_every_answer() -> None:
    """Rows are never read by columns that are not theirs any more."""
    run(columns_come_with_every_answer, Scylla(shards=1, **PLAIN))


def test_what_was_prepared_on_a_plain_node_says_an_empty_id_elsewhere_and_learns() -> None:
    """The pair of columns and id is learnt from the first answer, and goes to no plain node."""
    prepared_on: set[bool] = set()

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        prepared = next(iter(server.log.requests(Opcode.PREPARE)))
        while len(list(server.log.requests(Opcode.PREPARE))) < 2:
            await session._context.reactor.sleep(0.01)
        prepared_on.add(is_plain(server.nodes[prepared.node]))
        extended, plain = sorted(session.metadata.nodes, key=lambda node: is_plain(served(server, node)))
        for node in (extended, extended, plain, extended):
            assert (await session.execute(select, [3], node=node)).one() == (3, "v3")
        first, second, other, last = executed(server)
        if is_plain(server.nodes[prepared.node]):
            assert (first.request.metadata_id, first.request.skip_metadata) == (b"", False)
        else:
            assert first.request.skip_metadata
        assert second.request.metadata_id == last.request.metadata_id != b""
        assert second.request.skip_metadata
        assert last.request.skip_metadata
        assert not other.request.skip_metadata

    run(play, Scylla(shards=1, **PLAIN), Scylla(shards=1), prepare_on_all_hosts=True)
    run(play, Scylla(shards=1), Scylla(shards=1, **PLAIN), prepare_on_all_hosts=True)
    assert prepared_on == {True, False}


def is_plain(node: ServerNode) -> bool:
    return node.scylla is None or not node.scylla.metadata_ids


def served(server: CqlServer, node: triocql.Node) -> ServerNode:
    return next(each for each in server.nodes if each.address == node.told)


def test_prepared_without_columns_never_skips_them() -> None:
    """Such servers would leave them out for ever."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        for _ in range(4):
            assert (await session.execute(select, [7])).one() == (7, "v7")
        assert not any(entry.request.skip_metadata for entry in executed(server))

    run(play, Scylla(shards=1, prepared_without_metadata=True))


def test_prepared_without_columns_is_read_by_those_that_come_with_its_rows() -> None:
    """The id of such servers is that of no columns, whatever these are, and is relied on by nobody."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        for name in ("aaa", "bbb", "ccc"):
            server.alter("ks.t", f"ADD {name} int", announce=False)
            for _ in range(3):
                row = (await session.execute(select, [7])).exactly_one()
                assert (row.k, row.v, getattr(row, name)) == (7, "v7", None)

    run(play, Scylla(shards=1, prepared_without_metadata=True))


def test_a_new_id_without_columns_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """There is one warning."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        server.alter("ks.t", "WITH comment = 'x'", announce=False)
        for _ in range(3):
            assert (await session.execute(select, [7])).one() == (7, "v7")

    run(play, Scylla(shards=1, new_id_without_columns=True))


def test_each_request_has_the_layout_of_its_connection() -> None:
    """The strict parser of the nodes takes all of them, retries and copies to another kind included."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        server.when("INSERT INTO ks.t (k, v) VALUES (?, ?)").then(void())
        insert = await session.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)")
        for k in range(20):
            for node in session.metadata.nodes:
                assert (await session.execute(select, [k], node=node)).one() == (k, f"v{k}")
        async with session.stream("SELECT k FROM ks.t", page_size=3) as streamed:
            assert len([row async for row in streamed]) == 20
        busy = server.when(SELECT, node=0).then(error(ErrorCode.OVERLOADED))
        silent = server.when(SELECT, node=2).then(no_response())
        for k in range(20):
            assert (await session.execute(select, [k])).one() == (k, f"v{k}")
            await session.execute(insert, [k, f"v{k}"])
        assert busy.calls
        assert silent.calls
        layouts = {(entry.node, entry.request.skip_metadata) for entry in executed(server)}
        assert layouts >= {(0, True), (1, True), (2, False), (3, False)}
        assert not layouts & {(2, True), (3, True)}

    speculation = triocql.PolicyOptions(speculation=ConstantSpeculation(0.1, max_attempts=3))
    both = Scylla(shards=1)
    run(play, both, both, Scylla(shards=1, **PLAIN), None, policies=speculation, protocol_version=4)


@pytest.mark.parametrize("mask", [1 << 31, 1 << 16])
def test_marks_decide_what_is_a_lightweight_transaction(mask: int) -> None:
    """By whatever mask nodes have agreed upon."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        text = "INSERT INTO ks.t (k, v) VALUES (?, ?) IF NOT EXISTS"
        columns = {"[applied]": "boolean", "k": "int", "v": "text"}
        rule = server.when(text).then(rows(columns, [[False, 1, "x"]]))
        marked = await session.prepare(text)
        answer = await session.execute(marked, [1, "y"])
        assert not answer.applied
        assert answer.one() == (False, 1, "x")
        rule.then(rows(columns, [[True, None, None]]))
        assert (await session.execute(marked, [2, "y"])).applied
        plain = await session.prepare(SELECT)
        assert marked.prepared.state.is_lwt_marked is True
        assert plain.prepared.state.is_lwt_marked is False

    run(play, Scylla(shards=1, lwt_mask=mask))


@pytest.mark.parametrize("code", [0xF000, 0x4321])
@pytest.mark.parametrize("idempotent", [True, False])
def test_a_rate_limit_is_raised_at_once(code: int, idempotent: bool) -> None:
    """Executed once, whatever its code is; the node goes on."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        rule = server.when(SELECT).then(rate_limited(op="read", by_coordinator=False))
        with pytest.raises(errors.RateLimitReached) as caught:
            await session.execute(select, [7], idempotent=idempotent)
        assert len(rule.calls) == 1
        error = caught.value
        assert (error.code, error.op_type, error.rejected_by_coordinator) == (code, 0, False)
        assert not error.maybe_executed
        server.rules.remove(rule)
        assert (await session.execute(select, [7])).one() == (7, "v7")

    run(play, *(Scylla(shards=1, rate_limit_code=code) for _ in range(3)))


def test_a_rate_limit_that_was_not_agreed_upon() -> None:

    async def play(server: CqlServer, session: triocql.Session) -> None:
        rule = server.when(SELECT).then(rate_limited(op="read"))
        with pytest.raises(errors.ConfigurationError):
            await session.execute(SELECT, [7])
        assert len(rule.calls) == 1

    run(play, Scylla(shards=1, **PLAIN))


def test_no_copy_is_sent_once_a_partition_is_asked_too_often() -> None:
    """The copy that is under way may still be answered."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        select = await session.prepare(SELECT)
        server.when(SELECT).then(delay(0.5), as_usual())
        first = server.when(SELECT, times=1).then(delay(0.15), rate_limited(op="read"))
        assert (await session.execute(select, [7])).one() == (7, "v7")
        assert len(first.calls) == 1
        assert len({entry.node for entry in executed(server)}) == 2

    speculation = triocql.PolicyOptions(speculation=ConstantSpeculation(0.1, max_attempts=5))
    run(play, *(Scylla(shards=1) for _ in range(4)), policies=speculation)


def test_rows_without_columns_that_nobody_knows_fail_and_the_statement_is_prepared_once() -> None:
    """Such rows were not asked for; the next request knows what they are, if the node tells by then."""

    async def play(server: CqlServer, session: triocql.Session) -> None:
        (node,) = server.nodes
        assert node.scylla is not None
        select = await session.prepare(SELECT)
        rule = server.when(SELECT).then(frame(Opcode.RESULT, ROWS_WITHOUT_COLUMNS))
        with pytest.raises(errors.ProtocolError, match="left out the columns of the rows of 'SELECT"):
            await session.execute(select, [7])
        assert len(executed(server)) == 1
        node.scylla.prepared_without_metadata = False
        server.rules.remove(rule)
        await session._context.reactor.sleep(0.1)
        assert len(list(server.log.requests(Opcode.PREPARE))) == 2
        for _ in range(2):
            assert (await session.execute(select, [7])).one() == (7, "v7")
        assert len(list(server.log.requests(Opcode.PREPARE))) == 2

    run(play, Scylla(shards=1, prepared_without_metadata=True))


def test_an_empty_id_of_columns_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As columns that it stands for could be any, they come with every answer."""
    monkeypatch.setattr(encoder, "metadata_id", lambda columns: b"")
    run(columns_come_with_every_answer)


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_id_that_stands_for_anything_costs_one_request(
    forgotten: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found out when the statement is prepared again, if not for that when its rows have other columns; from
    then on columns come along, and ids say no more."""
    monkeypatch.setattr(encoder, "metadata_id", lambda columns: b"same")

    async def play(server: CqlServer, session: triocql.Session) -> None:
        (node,) = server.nodes
        select = await session.prepare(SELECT)
        assert (await session.execute(select, [7])).one() == (7, "v7")
        for number, name in enumerate(("aaa", "bbb", "ccc")):
            server.alter("ks.t", f"ADD {name} int", announce=False)
            if forgotten:
                node.forget_prepared()
            if not number:
                with pytest.raises(errors.ProtocolError):
                    await session.execute(select, [7])
                await session._context.reactor.sleep(0.1)
            for _ in range(3):
                row = (await session.execute(select, [7])).exactly_one()
                assert (row.k, row.v, getattr(row, name)) == (7, "v7", None)

    run(play)
