"""Profiles at work: each request has the options and the policies of its own one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import Batch, Consistency, PolicyOptions, Profile, Session, Statement, errors
from triocql.errors import OptionError
from triocql.policies import (
    ConstantSpeculation,
    Decision,
    MonotonicTimestamps,
    NeverRetry,
    NeverSpeculate,
    ServerTimestamps,
)
from triocql.policies.retry import DefaultRetryPolicy
from triocql.protocol.constants import Opcode

OVERLOADED = 0x1001
PROFILES = {
    "reports": Profile(timeout=60.0, page_size=11, retry=NeverRetry()),
    "nightly": Profile(base="reports", page_size=22),
    "server": Profile(timestamps=ServerTimestamps()),
    "client": Profile(base="server", timestamps=MonotonicTimestamps(now=lambda: 5_000)),
}


def world_of(**options: Any) -> World:
    return World(profiles=PROFILES, **options)


def sizes(world: World, act: Callable[[], object]) -> list[int | None]:
    """Return the page sizes of what users ask for meanwhile."""
    seen: list[int | None] = []

    def note(asked: Asked) -> bool:
        if asked.opcode in (Opcode.QUERY, Opcode.EXECUTE):
            seen.append(asked.page_size)
        return False

    world.node.script = note
    act()
    world.node.script = None
    return seen


def run(world: World, session: Session, *arguments: Any, **options: Any) -> list[int | None]:
    return sizes(world, lambda: world.call(session.execute, *arguments, **options))


def test_a_call_and_a_statement_choose() -> None:
    world = world_of(page_size=99)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        nightly = select.with_options(profile="nightly")
        assert run(world, session, "SELECT 1") == [99]
        assert run(world, session, "SELECT 1", profile="reports") == [11]
        assert run(world, session, select, [1], profile="nightly") == [22]
        assert run(world, session, nightly, [1]) == [22]
        assert run(world, session, nightly.bind(1)) == [22]
        assert run(world, session, Statement("SELECT 1", profile="nightly")) == [22]
        # A call's own before the statement's: a profile whole, and "default" for none.
        assert run(world, session, nightly, [1], profile="reports") == [11]
        assert run(world, session, nightly, [1], profile="default") == [99]
        # session < profile < statement < call
        assert run(world, session, nightly.with_options(page_size=3), [1]) == [3]
        assert run(world, session, select.with_options(page_size=3), [1], profile="reports") == [3]
        assert run(world, session, nightly.with_options(page_size=3), [1], page_size=4) == [4]
        assert run(world, session, nightly, [1], page_size=None) == [22]


def test_wherever_there_are_options() -> None:
    world = world_of()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)

        async def with_args() -> None:
            await session.execute_concurrent_with_args(select, [[1], [2]], profile="nightly")

        async def concurrent() -> None:
            await session.execute_concurrent([(select, [1]), ("SELECT 1", None)], profile="nightly")

        async def streamed() -> None:
            async with session.stream(select, [1], profile="nightly") as rows:
                assert [row async for row in rows]
            async with session.stream_concurrent([(select, [1])], profile="nightly") as results:
                assert [each async for each in results]

        async def nursed() -> None:
            async with triocql.open_request_nursery(session) as nursery:
                nursery.start_soon(select, [1], profile="nightly")
                await nursery.start(select.with_options(profile="nightly"), [2])

        for fn in (with_args, concurrent, streamed, nursed):
            assert sizes(world, lambda fn=fn: world.call(fn)) == [22, 22], fn  # type: ignore[misc]


def test_an_unknown_name_fails_before_anything_is_sent() -> None:
    world = world_of()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        known = "unknown profile 'nightli'; .*: 'client', 'default', 'nightly', 'reports', 'server'$"
        batch = Batch(profile="nightli").add(INSERT, [1])
        calls: list[Callable[[], Any]] = [
            lambda: world.call(session.execute, "SELECT 1", profile="nightli"),
            lambda: world.call(session.execute, select.with_options(profile="nightli"), [1]),
            lambda: world.call(session.execute, batch),
            lambda: world.call(session.execute_concurrent, [], profile="nightli"),
            lambda: world.call(
                session.execute_concurrent_with_args,
                select,
                [],
                raise_on_first_error=False,
                profile="nightli",
            ),
            lambda: world.call(session.stream_concurrent([], profile="nightli").__aenter__),
            lambda: world.call(session.stream(select, [1], profile="nightli").__aenter__),
        ]
        for call in calls:

            def refused(call: Callable[[], Any] = call) -> None:
                with pytest.raises(OptionError, match=known):
                    call()

            assert sizes(world, refused) == []
        with pytest.raises(OptionError, match="profile is 3; it has to be the name of a profile"):
            world.call(session.execute, "SELECT 1", profile=3)
        with pytest.raises(OptionError, match="unknown option 'execution_profile'; write profile="):
            world.call(session.execute, "SELECT 1", execution_profile="nightly")


def test_the_retry_policy_is_that_of_the_profile_also_for_later_pages_and_batches() -> None:
    class Counts(DefaultRetryPolicy):
        asked = 0

        def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Any:
            self.asked += 1
            return Decision.RAISE

    counts = Counts()
    world = World(profiles={"counted": Profile(retry=counts), "more": Profile(base="counted", timeout=5.0)})
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: asked.error(OVERLOADED)
        for number, (statement, values) in enumerate(
            [("SELECT 1", None), (insert, [1]), (insert.bind(1), None), (Batch().add(insert, [1]), None)]
        ):
            for profile in ("counted", "more"):
                with pytest.raises(errors.Overloaded):
                    world.call(session.execute, statement, values, profile=profile)
            assert counts.asked == 2 * (number + 1)
        with pytest.raises(errors.Overloaded):
            world.call(session.execute, insert, [1])
        assert counts.asked == 8


def test_statements_that_a_node_has_forgotten_are_prepared_once_for_all_profiles() -> None:
    world = world_of()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()
        prepares: list[Asked] = []

        def hold(asked: Asked) -> bool:
            if asked.opcode == Opcode.PREPARE:
                prepares.append(asked)
                return True
            return False

        world.node.script = hold
        tasks = [
            world.start(session.execute, select, [1], profile=profile) for profile in ("default", "reports")
        ]
        assert len(prepares) == 1
        world.node.script = None
        prepares[0].respond()
        world.settle()
        assert all(task.done for task in tasks)


def test_timestamps() -> None:
    world = world_of()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        seen: list[int | None] = []

        def note(asked: Asked) -> bool:
            if asked.opcode == Opcode.EXECUTE:
                seen.append(asked.timestamp)
            return False

        world.node.script = note
        for profile in ("server", "client", "default"):
            world.call(session.execute, insert, [1], profile=profile)
            world.call(session.execute, insert.bind(1), profile=profile)
        assert seen[:4] == [None, None, 5, 6]
        assert all(stamp is not None and stamp > 1_000_000 for stamp in seen[4:])


def test_what_is_inherited_is_one_policy() -> None:
    """It learns, or counts, for all that have it."""
    policies = PolicyOptions(speculation=ConstantSpeculation(0.05))
    profiles = {
        "a": Profile(timeout=5.0),
        "b": Profile(base="a"),
        "alone": Profile(speculation=NeverSpeculate()),
    }
    world = World(profiles=profiles, policies=policies)
    with world.session() as session:
        settings = session._context.executor.settings
        contexts = {name: settings.of_profile(name).context for name in ("default", "a", "b", "alone")}
        own = contexts["default"]
        for name in ("a", "b"):
            assert contexts[name].speculation is own.speculation is not None
            assert contexts[name].timestamps is own.timestamps
        assert contexts["alone"].speculation is None


def test_a_session_s_timeout_is_that_of_the_profile() -> None:
    world = World(profiles={"quick": Profile(timeout=0.5, consistency="QUORUM")})
    with world.session() as session:
        world.node.script = lambda asked: asked.hold()
        task = world.start(session.execute, "SELECT 1", profile="quick")
        world.reactor.advance(0.6)
        with pytest.raises(errors.RequestTimeout, match=r"within 0\.5 s"):
            task.result()
        options = session._context.executor.settings.of_profile("quick").options
        assert options.consistency is Consistency.QUORUM
        world.node.script = None
        for asked in world.node.held:
            asked.respond()
        world.node.held.clear()
