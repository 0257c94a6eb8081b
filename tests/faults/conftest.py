"""For the rows of faults."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from triocql.cluster import refiller


@pytest.fixture(autouse=True)
def soon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time is real, have what was lost dialled again at once."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and callspec.params.get("loop", "simulated") != "simulated":
        monkeypatch.setattr(refiller, "_NUDGE_EVERY", 0.02)


@pytest.fixture(autouse=True)
def nothing_reported(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No background task may fail, and nothing be raised but to its caller: both would be logged (G5)."""
    yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelno >= logging.ERROR] == []
