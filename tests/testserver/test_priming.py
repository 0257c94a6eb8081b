"""Rules: what they match, and what they answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

import triocql
from tests.testserver.world import INSERT, SELECT, World, message
from triocql import errors
from triocql.session.session import Session
from triocql.testing.server import (
    ErrorCode,
    Gate,
    Message,
    Opcode,
    Raw,
    Request,
    Script,
    Success,
    as_usual,
    delay,
    echo,
    error,
    no_response,
    pages,
    raw,
    rows,
    unprepared,
    void,
)

NAME = {"name": "text"}


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("compression", [None, "lz4"])
def test_rows(version: int, compression: Any) -> None:
    world = World(versions=(version,))
    world.server.when(SELECT).then(rows(NAME, [["Ann"], {"name": None}, [Raw(b"")]]))

    async def scenario(session: Session) -> None:
        for _ in range(2):
            found = await session.execute(SELECT, [7])
            assert [row.name for row in found] == ["Ann", None, ""]

    world.run(scenario, compression=compression)
    world.server.log.assert_executed(SELECT, times=2, values=[7])


def test_what_nobody_has_primed_says_so() -> None:
    world = World()

    async def scenario(session: Session) -> None:
        with pytest.raises(
            errors.InvalidQuery, match=r"nothing is primed for 'SELECT 1': say server\.when\('SELECT 1'"
        ):
            await session.execute("SELECT 1")
        with pytest.raises(errors.InvalidQuery, match="nothing is primed"):
            await session.prepare(SELECT)

    world.run(scenario)
    assert len(world.server.log) == 1
    world.server.log.assert_not_executed("SELECT 1")


def test_echo() -> None:
    world = World(unprimed="echo")

    async def scenario(session: Session) -> None:
        assert (await session.execute("SELECT 'this'")).one() == ("SELECT 'this'",)
        assert (await session.execute(SELECT, [7])).one() == (7,)
        assert (await session.execute("SELECT a FROM b WHERE c = ? AND d = ?", [b"x", b"y"])).one() == (
            b"x",
            b"y",
        )
        assert (await session.execute(INSERT, [7, "Ann"])).rows == []

    world.run(scenario)
    assert [each.values for each in world.server.log][1:] == [[7], [b"x", b"y"], [7, "Ann"]]


def test_the_newest_rule_answers_until_it_is_used_up() -> None:
    world = World()
    world.server.when(re.compile("SELECT .* FROM t")).then(rows({"n": "int"}, [[0]]))
    world.server.when("SELECT  n FROM t;", times=2).then(rows({"n": "int"}, [[1]]))
    third = world.server.when("SELECT n FROM t", nth=3).then(rows({"n": "int"}, [[3]]))

    async def scenario(session: Session) -> list[Any]:
        return [(await session.execute("SELECT n FROM t")).scalar() for _ in range(5)]

    assert world.run(scenario) == [1, 1, 3, 0, 0]
    assert len(third.calls) == 1


def test_errors_have_their_fields() -> None:
    world = World()
    world.server.when("SELECT 1").then(
        error(ErrorCode.READ_FAILURE, "no", required=3, reasons={"10.0.0.1": 1}, data_present=True)
    )
    world.server.when("SELECT 2").then(error(0x7777, "what?"))

    async def scenario(session: Session) -> None:
        with pytest.raises(errors.ReadFailure, match="no") as caught:
            await session.execute("SELECT 1", idempotent=False)
        assert (caught.value.required, caught.value.failures, caught.value.data_present) == (3, 1, True)
        with pytest.raises(errors.ResponseError, match=r"what\?"):
            await session.execute("SELECT 2")

    world.run(scenario)
    assert world.server.log.count("SELECT 1") == 1


def test_steps_one_after_the_other() -> None:
    world = World()
    world.server.when("SELECT 1").then(delay(2), delay(1), rows({"n": "int"}, [[1]], warnings=["slow"]))

    async def scenario(session: Session) -> None:
        before = world.reactor.now()
        found = await session.execute("SELECT 1")
        assert world.reactor.now() - before == pytest.approx(3)
        assert found.warnings == ("slow",)

    world.run(scenario)


def test_no_response() -> None:
    world = World()
    world.server.when(INSERT).then(no_response())

    async def scenario(session: Session) -> None:
        with pytest.raises(triocql.RequestTimeout):
            await session.execute(INSERT, [1, "x"], timeout=2)

    world.run(scenario)
    world.server.log.assert_executed(INSERT, times=1)


def test_functions() -> None:
    world = World()

    def answer(request: Request) -> Message:
        (number,) = request.decoded_values
        return rows(NAME, [[f"number {number}"]])

    world.server.when(SELECT).then(answer)
    world.server.when("UPDATE 2").then(lambda _: [delay(1), void()])
    world.server.when("SELECT 3").then(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]

    async def scenario(session: Session) -> None:
        with pytest.raises(errors.ServerError, match="answering QUERY SELECT 3 failed: ZeroDivisionError"):
            await session.execute("SELECT 3")
        await session.execute("UPDATE 2")
        # What a function answers is not known when the statement is prepared: v5 tells the columns with the rows.
        assert (await session.execute(SELECT, [7])).scalar() == "number 7"

    world.run(scenario)


def test_gates() -> None:
    world = World()
    gate = Gate()
    world.server.when("SELECT 1").then(gate, rows({"n": "int"}, [[1]]))

    async def main() -> None:
        async with world.connect() as session:
            tasks = [world.reactor.start(session.execute, "SELECT 1") for _ in range(3)]
            await world.reactor.sleep(1)
            assert len(gate.waiting) == 3
            gate.open(1)
            await world.reactor.sleep(1)
            assert [task.done for task in tasks].count(True) == 1
            gate.open()
            for task in tasks:
                await task.wait()
            assert [task.result().scalar() for task in tasks] == [1, 1, 1]

    world.reactor.run(main)


def test_pages() -> None:
    world = World()
    world.server.when("SELECT n FROM a").then(rows({"n": "int"}, [[n] for n in range(25)]))
    world.server.when("SELECT n FROM b").then(pages({"n": "int"}, [[[1]], [], [[2], [3]]]))
    world.server.when("SELECT n FROM c").then(rows({"n": "int"}, [[1]], paging_state=b"again"))

    async def scenario(session: Session) -> None:
        first = await session.execute("SELECT n FROM a", page_size=10)
        assert len(first) == 10
        assert [row.n for row in await first.all()] == list(range(25))
        assert [row.n for row in await (await session.execute("SELECT n FROM b")).all()] == [1, 2, 3]
        with pytest.raises(errors.PagingLoop):
            await (await session.execute("SELECT n FROM c")).all()

    world.run(scenario)
    client = world.client()
    client.send(Opcode.QUERY, b"\0\0\0\x0fSELECT n FROM a\0\1\x08\0\0\0\3bad")
    assert "Invalid value for the paging state" in message(client.frames()[0])


def test_batches() -> None:
    world = World()
    world.server.when(INSERT).then(void())

    async def scenario(session: Session) -> None:
        insert = await session.prepare(INSERT)
        batch = triocql.Batch()
        batch.add(insert, [1, "a"])
        batch.add("DELETE FROM shop.users WHERE id = 2")
        await session.execute(batch)
        for node in world.server.nodes:
            node.forget_prepared()
        await session.execute(batch)

    world.run(scenario)
    executed = world.server.log.find(INSERT)
    assert [each.values for each in executed] == [[1, "a"], [1, "a"]]
    assert executed[0].text == f"{INSERT}; DELETE FROM shop.users WHERE id = 2"


def test_unprepared_statements() -> None:
    world = World()
    world.server.when(SELECT).then(rows(NAME, [["Ann"]]))
    once = world.server.when(SELECT, times=1).then(unprepared())

    async def scenario(session: Session) -> None:
        assert (await session.execute(SELECT, [1])).scalar() == "Ann"
        world.server.nodes[0].forget_prepared()
        assert (await session.execute(SELECT, [2])).scalar() == "Ann"

    world.run(scenario)
    assert len(once.calls) == 1
    assert len(world.server.log.requests(Opcode.PREPARE)) == 3
    assert [each.values for each in world.server.log.find(SELECT)] == [[1], [2]]


def test_a_changed_result_is_described_anew() -> None:
    world = World()
    world.server.when(SELECT).then(rows(NAME, [["Ann"]]))

    async def scenario(session: Session) -> None:
        assert (await session.execute(SELECT, [1])).exactly_one()._asdict() == {"name": "Ann"}
        world.server.when(SELECT).then(rows({"age": "int", "name": "text"}, [[30, "Ann"]]))
        assert (await session.execute(SELECT, [1])).exactly_one()._asdict() == {"age": 30, "name": "Ann"}

    world.run(scenario)


def test_the_handshake_can_be_primed_too() -> None:
    world = World()
    world.server.when(opcode=Opcode.STARTUP).then(delay(2.4), as_usual())
    started = world.reactor.now()

    async def scenario(session: Session) -> None:
        assert world.reactor.now() - started == pytest.approx(2 * 2.4)  # the control connection, too

    world.run(scenario)
    world.server.when(opcode=Opcode.STARTUP).then(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(errors.ConnectError, match="HTTP"):
        world.run(scenario)


def test_as_usual_asks_older_rules_first() -> None:
    world = World()
    world.server.when("SELECT 1").then(rows({"n": "int"}, [[1]]))
    world.server.when("SELECT 1").then(delay(1), as_usual())
    world.server.when(re.compile("system.local")).then(delay(1), as_usual())
    world.server.when("SELECT 2").then(echo)

    async def scenario(session: Session) -> None:
        assert (await session.execute("SELECT 1")).scalar() == 1
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
        assert (await session.execute("SELECT 2")).scalar() == "SELECT 2"

    world.run(scenario)
    assert world.reactor.now() == pytest.approx(3)  # the control connection asks once, too


def test_a_rule_for_everything_leaves_the_system_alone() -> None:
    world = World()
    rule = world.server.when().then(error(ErrorCode.OVERLOADED))

    async def scenario(session: Session) -> None:
        await session.execute("USE shop")
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
        with pytest.raises(triocql.Error):
            await session.execute("SELECT 1")
        world.server.rules.remove(rule)
        with pytest.raises(errors.InvalidQuery):
            await session.execute("SELECT 1")

    world.run(scenario)


@pytest.mark.parametrize("version", [4, 5])
def test_authentication(version: int) -> None:
    world = World(versions=(version,), users={"ann": "secret"})

    async def nothing(session: Session) -> None: ...

    world.run(nothing, auth=triocql.PlainTextAuth("ann", "secret"), compression="lz4")
    with pytest.raises(errors.AuthenticationError, match="username and/or password are incorrect"):
        world.run(nothing, auth=triocql.PlainTextAuth("ann", "wrong"))


def test_scripted_authentication() -> None:
    world = World(authenticator=Script([Success(b"fine")], "org.example.Other"))
    client = world.client(start=False)
    (answer,) = client.ask(Opcode.STARTUP, b"\0\1\0\x0bCQL_VERSION\0\x053.0.0")
    assert answer.opcode == Opcode.AUTHENTICATE
    assert answer.body == b"\0\x11org.example.Other"
    answer = client.ask(Opcode.AUTH_RESPONSE, b"\xff\xff\xff\xff")[-1]
    assert (answer.opcode, answer.body) == (Opcode.AUTH_SUCCESS, b"\0\0\0\4fine")


def test_payload_and_tracing() -> None:
    world = World()
    world.server.when("SELECT 1").then(rows({"n": "int"}, [[1]], payload={"a": b"b"}))

    async def scenario(session: Session) -> None:
        found = await session.execute("SELECT 1", tracing=True, custom_payload={"x": b"y"})
        assert found.custom_payload == {"a": b"b"}
        assert world.server.log.find("SELECT 1")[0].request.payload == {"x": b"y"}

    world.run(scenario)


def test_what_is_no_rule() -> None:
    world = World()
    with pytest.raises(ValueError, match="counted from 1"):
        world.server.when("x", nth=0)
    with pytest.raises(TypeError, match="is no step"):
        world.server.when("x").then("rows")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no field"):
        error(ErrorCode.INVALID, "x", alive=1)


@pytest.mark.parametrize(
    ("columns", "found", "wrong", "text"),
    [
        (["name"], [], TypeError, r"such as \{'name': 'text'\}, not \['name'\]"),
        ({"name": str}, [], TypeError, "not of 'name' to <class 'str'>"),
        ({"tags": "set<text"}, [], ValueError, "'set<text' is not a CQL type"),
        (NAME, ["Ann"], TypeError, "not 'Ann'"),
        (NAME, [7], TypeError, "not 7"),
        (NAME, [["Ann", 7]], ValueError, "a row of 2 values for 1 columns"),
        (NAME, [{"nmae": "Ann"}], ValueError, "a row with 'nmae', which is no column"),
    ],
)
def test_what_are_no_rows_is_told_at_once(
    columns: Any, found: Any, wrong: type[Exception], text: str
) -> None:
    with pytest.raises(wrong, match=text):
        rows(columns, found)
    with pytest.raises(wrong, match=text):
        pages(columns, [found])


def test_what_is_no_error_is_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"such as ErrorCode\.INVALID, not 'INVALID'"):
        error("INVALID")  # type: ignore[arg-type]


def test_parameters_that_cannot_be_told() -> None:
    world = World()
    text = "SELECT a FROM elsewhere.t WHERE f(x) = ?"
    world.server.when(text).then(rows({"a": "int"}, [[1]]))

    async def scenario(session: Session) -> None:
        with pytest.raises(errors.InvalidQuery, match=r"parameters=\{\.\.\.\}"):
            await session.prepare(text)
        world.server.when(text, parameters={"x": "text"}).then(rows({"a": "int"}, [[1]]))
        assert (await session.execute(text, ["value"])).scalar() == 1

    world.run(scenario)
    assert world.server.log.find(text)[0].values == ["value"]


def test_a_system_table_that_it_does_not_have_is_answered_by_rules() -> None:
    world = World()
    world.server.when(SELECT).then(rows(NAME, [["Ann"]]))
    known = {"request": "text", "parameters": "map<text, text>", "client": "inet"}
    known |= {"coordinator": "inet", "started_at": "timestamp", "duration": "int"}
    row = {"coordinator": "127.0.0.1", "started_at": datetime(2026, 7, 1, tzinfo=UTC), "duration": 731}

    async def scenario(session: Session) -> None:
        result = await session.execute(SELECT, [7], tracing=True)
        with pytest.raises(errors.InvalidQuery, match=r"system_traces\.sessions .*parameters=\{\.\.\.\}"):
            await result.trace()
        for table, answer in (("sessions", rows(known, [row])), ("events", rows({"activity": "text"}))):
            rule = world.server.when(
                re.compile(f"FROM system_traces.{table}"), parameters={"session_id": "uuid"}
            )
            rule.then(answer)
        assert (await result.trace()).duration == 731

    world.run(scenario)
