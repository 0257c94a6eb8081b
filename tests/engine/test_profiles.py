"""What is made once for equal options, and how much of it is kept."""

from __future__ import annotations

import pytest

from tests.engine.world import INSERT, SELECT, World
from triocql.engine.profile import Profiles
from triocql.prepared import PreparedText
from triocql.statements import INHERIT, RequestOptions


def test_a_launch_is_made_once_for_a_text_and_its_options() -> None:
    world = World()
    with world.session() as session:
        executor = session.executor
        insert, select = world.call(session.prepare, INSERT), world.call(session.prepare, SELECT)
        hasty = RequestOptions(timeout=1.0)
        launch = executor.launch_of(insert, INHERIT)
        assert launch is not None
        assert executor.launch_of(world.call(session.prepare, INSERT), INHERIT) is launch
        assert executor.launch_of(select, INHERIT) is not launch
        assert executor.launch_of(insert, hasty) is not launch
        assert executor.launch_of(insert, hasty) is executor.launch_of(insert, hasty)
        assert executor.launch_of(INSERT, INHERIT) is None


def test_the_launches_of_a_profile_are_bounded() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT).prepared
        launches = session.executor.profiles.default.launches
        for number in range(2500):
            launches[PreparedText(f"{INSERT} {number}", None, insert.state)]
            assert len(launches) <= 1000
        assert launches[insert] is launches[insert]


def test_the_launches_of_a_profile_are_bounded_by_what_nodes_describe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT).prepared
        monkeypatch.setattr("triocql.engine.profile._HEAVIEST", 10 * select.state.weight)
        launches = session.executor.profiles.default.launches
        for number in range(100):
            launches[PreparedText(f"{SELECT} {number}", None, select.state)]
            assert len(launches) <= 10
        assert launches[select] is launches[select]


def test_the_profiles_are_bounded() -> None:
    world = World()
    with world.session() as session:
        profiles: Profiles = session.executor.profiles
        assert profiles.get(INHERIT, INHERIT) is profiles.default
        for number in range(600):
            call = RequestOptions(timeout=1.0 + number)
            profile = profiles.get(INHERIT, call)
            assert profile.options.timeout == 1.0 + number
            assert profiles.get(INHERIT, call) is profile
            assert len(profiles._remembered) <= 256
