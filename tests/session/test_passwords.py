"""A password that crosses a network without TLS is warned of, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from triocql import PlainTextAuth
from triocql.cluster import core
from triocql.config import Options


@pytest.fixture(autouse=True)
def _first_time() -> Iterator[None]:
    core._warn_once.cache_clear()
    yield
    core._warn_once.cache_clear()


def test_a_password_in_the_open_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    options = Options.from_arguments("10.0.0.1", auth=PlainTextAuth("app", "canary-secret"))
    core.warn_of_plain_passwords(options)
    core.warn_of_plain_passwords(options)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ssl_context" in caplog.text
    assert "canary-secret" not in caplog.text


@pytest.mark.parametrize("point", ["127.0.0.1", "localhost", "[::1]:9042", "/run/cql.sock"])
def test_not_on_the_own_machine(point: str, caplog: pytest.LogCaptureFixture) -> None:
    core.warn_of_plain_passwords(Options.from_arguments(point, auth=PlainTextAuth("app", "secret")))
    assert not caplog.records


def test_not_without_a_password(caplog: pytest.LogCaptureFixture) -> None:
    core.warn_of_plain_passwords(Options.from_arguments("10.0.0.1"))
    assert not caplog.records
