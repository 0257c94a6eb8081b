"""The timestamp of writes: by the client's clock, of the caller's choice, or left to the node."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.engine.world import INSERT, World
from triocql import SERVER, Batch, PolicyOptions, RequestOptions, Statement
from triocql.errors import OptionError, UsageError
from triocql.policies import MonotonicTimestamps
from triocql.policies.timestamping import ServerTimestamps
from triocql.protocol.constants import Opcode

FORMS = ["text", "text with values", "prepared", "bound", "batch", "many", "page"]


async def send(session: Any, form: str, **options: Any) -> None:
    prepared = await session.prepare(INSERT)
    if form == "text":
        await session.execute("INSERT 1", **options)
    elif form == "text with values":
        await session.execute("INSERT INTO u (k) VALUES (?)", [7], **options)
    elif form == "prepared":
        await session.execute(prepared, [7], **options)
    elif form == "bound":
        await session.execute(prepared.bind(7), **options)
    elif form == "batch":
        await session.execute(Batch(**options).add(prepared, [7]).add("DELETE 1"))
    elif form == "many":
        await session.execute_concurrent_with_args(prepared.with_options(**options), [(7,), (7,)])
    else:
        await (await session.execute("SELECT v FROM pages WHERE k = ?", [7], **options)).all()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("timestamp", [None, 7, SERVER])
def test_the_timestamp(form: str, timestamp: int | None, version: int) -> None:
    world = World(version)
    world.node.pages["SELECT v FROM pages WHERE k = ?"] = [[1], [2]]
    with world.session() as session:
        world.node.asked.clear()
        world.call(send, session, form, timestamp=timestamp)
        asked = [each for each in world.node.asked if each.opcode != Opcode.PREPARE]
        assert len(asked) == (2 if form in ("many", "page") else 1)
        for each in asked:
            if form != "text":
                assert each.token == 7
            if timestamp is None:
                assert each.timestamp is not None
                assert each.timestamp > 1e15
            else:
                assert each.timestamp == (None if timestamp == SERVER else timestamp)


def test_a_layer_may_ask_for_the_clients_clock_again_by_its_own_number() -> None:
    world = World()
    statement = Statement("INSERT 1", timestamp=SERVER)
    with world.session() as session:
        world.call(session.execute, statement, timestamp=9)
        world.call(session.execute, statement)
        assert [each.timestamp for each in world.node.asked[-2:]] == [9, None]


def test_no_other_number_is_taken_for_it() -> None:
    assert RequestOptions(timestamp=SERVER + 1).timestamp == 1 - 2**63
    with pytest.raises(OptionError, match="timestamp"):
        RequestOptions(timestamp=SERVER - 1)


# --- Policies ----------------------------------------------------------------------------------------------------


class Given:
    """Gives, or raises, what it was given."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def next(self) -> int:
        if isinstance(self.given, BaseException):
            raise self.given
        given: int = self.given
        return given


def asked(world: World) -> list[int | None]:
    """Return the timestamps of what was asked since the last time."""
    found = [each.timestamp for each in world.node.asked if each.opcode != Opcode.PREPARE]
    world.node.asked.clear()
    return found


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_a_policy_says_the_time_unless_the_call_does(form: str, version: int) -> None:
    times = 2 if form in ("many", "page") else 1
    policies: list[tuple[Any, int | None]] = [
        (ServerTimestamps(), None),
        (Given(-5), -5),
        (MonotonicTimestamps(now=lambda: 9_000_000), 9000),
    ]
    for policy, expected in policies:
        world = World(version, policies=PolicyOptions(timestamps=policy))
        world.node.pages["SELECT v FROM pages WHERE k = ?"] = [[1], [2]]
        with world.session() as session:
            asked(world)
            world.call(send, session, form)
            found = asked(world)
            if isinstance(policy, MonotonicTimestamps) and form == "many":
                assert found == [expected, 9001]
            else:
                assert found == [expected] * times
            world.call(send, session, form, timestamp=7)
            assert asked(world) == [7] * times


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("form", FORMS)
def test_what_a_policy_raises_fails_its_request_only(form: str, kind: type[BaseException]) -> None:
    policy = Given(kind("mine"))
    world = World(policies=PolicyOptions(timestamps=policy))
    world.node.pages["SELECT v FROM pages WHERE k = ?"] = [[1], [2]]
    with world.session() as session:
        asked(world)
        with pytest.raises(kind, match="mine"):
            world.call(send, session, form)
        assert asked(world) == []
        policy.given = 8
        world.call(send, session, form)
        assert set(asked(world)) == {8}


@pytest.mark.parametrize("given", [None, "1", 1.5, True, SERVER, 2**63, -(2**63) - 1])
def test_what_is_no_timestamp_is_not_sent(given: Any) -> None:
    world = World(policies=PolicyOptions(timestamps=Given(given)))
    with world.session() as session:
        asked(world)
        with pytest.raises(UsageError, match="the timestamp policy gave"):
            world.call(session.execute, "INSERT 1")
        assert asked(world) == []


def test_a_session_with_a_timestamp_of_its_own_asks_no_policy() -> None:
    request = triocql.config.requests.ResolvedOptions(timestamp=6)
    world = World(policies=PolicyOptions(timestamps=ServerTimestamps()), request=request)
    with world.session() as session:
        asked(world)
        world.call(session.execute, "INSERT 1")
        assert asked(world) == [6]


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(OptionError, match="timestamps policy is the class ServerTimestamps"):
        PolicyOptions(timestamps=ServerTimestamps)  # type: ignore[arg-type]
