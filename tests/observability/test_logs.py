"""Lines of the driver's loggers: none is endless, whatever is told in it."""

from __future__ import annotations

import logging

import pytest

from triocql.observability.logs import OnceAMinute


class Failing(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("told", ["x" * 120_000, ValueError("y" * 120_000)], ids=["text", "error"])
def test_what_is_told_is_shortened(told: object) -> None:
    record = logging.LogRecord("shop", logging.WARNING, "", 1, "%s of %d: %s", ("this", 7, told), None)
    lines = OnceAMinute()
    assert lines.filter(record)
    assert record.getMessage().startswith("this of 7: ")
    assert len(record.getMessage()) < 2100
    assert record.getMessage().endswith("…")
    assert all(len(word) < 2100 for line in lines._lines for word in map(str, line))


class Counting:
    """Counts how often its text is made."""

    made = 0

    def __str__(self) -> str:
        self.made += 1
        return 5000 * "x"


def test_texts_of_arguments_are_made_once() -> None:
    """Also those of a line that is left out: they tell whether it is."""
    lines = OnceAMinute()
    for passes in (True, False):
        told = Counting()
        record = logging.LogRecord("shop", logging.WARNING, "", 1, "lost %s of %d", (told, 7), None)
        assert lines.filter(record) is passes
        if passes:
            assert record.getMessage() == f"lost {2000 * 'x'}… of 7"
            assert record.__dict__["triocql"]["values"] == [f"{2000 * 'x'}…", 7]
        assert told.made == 1


def test_what_is_short_stays_as_it_is() -> None:
    error = Failing()
    record = logging.LogRecord("shop", logging.WARNING, "", 1, "%s %s", (error, 2.5), None)
    assert OnceAMinute().filter(record)
    assert record.args == (error, 2.5)
