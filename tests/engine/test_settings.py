"""What is made once for equal options, and how much of it is kept."""

from __future__ import annotations

import pytest

from tests.engine.world import INSERT, SELECT, World
from triocql.config.requests import INHERIT, RequestOptions
from triocql.engine.executing.settings import SettingsCache
from triocql.statements.prepared import PreparedQuery


def test_a_launch_is_made_once_for_a_text_and_its_options() -> None:
    world = World()
    with world.session() as session:
        executor = session._context.executor
        insert, select = world.call(session.prepare, INSERT), world.call(session.prepare, SELECT)
        hasty = RequestOptions(timeout=1.0)
        template = executor.template_of(insert, INHERIT)
        assert template is not None
        assert executor.template_of(world.call(session.prepare, INSERT), INHERIT) is template
        assert executor.template_of(select, INHERIT) is not template
        assert executor.template_of(insert, hasty) is not template
        assert executor.template_of(insert, hasty) is executor.template_of(insert, hasty)
        assert executor.template_of(INSERT, INHERIT) is None


def test_the_launches_of_a_profile_are_bounded() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT).prepared
        templates = session._context.executor.settings.default.templates
        for number in range(2500):
            templates[PreparedQuery(f"{INSERT} {number}", None, insert.state)]
            assert len(templates) <= 1000
        assert templates[insert] is templates[insert]


def test_the_launches_of_a_profile_are_bounded_by_what_nodes_describe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT).prepared
        monkeypatch.setattr("triocql.engine.executing.settings._HEAVIEST", 10 * select.state.weight)
        templates = session._context.executor.settings.default.templates
        for number in range(100):
            templates[PreparedQuery(f"{SELECT} {number}", None, select.state)]
            assert len(templates) <= 10
        assert templates[select] is templates[select]


def test_the_settings_are_bounded() -> None:
    world = World()
    with world.session() as session:
        cache: SettingsCache = session._context.executor.settings
        assert cache.get(INHERIT, INHERIT) is cache.default
        for number in range(600):
            call = RequestOptions(timeout=1.0 + number)
            settings = cache.get(INHERIT, call)
            assert settings.options.timeout == 1.0 + number
            assert cache.get(INHERIT, call) is settings
            assert len(cache._remembered) <= 256
