"""How a load judges what it reads; needs no node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.session.pages import Pages, page
from triocql.errors import NoNodeAvailable
from triocql.results.factories import row_factory
from triocql.results.result import Result

from .load import READ, WRITE, Load

if TYPE_CHECKING:
    from .load import Outcome

TEXT = [("v", "text")]
FAILED = NoNodeAvailable("nobody is there")


def answer(*texts: str) -> Outcome:
    pager = Pages(page(TEXT, [[text] for text in texts]))
    return Result(pager.first, row_factory(None), pager)


@pytest.mark.parametrize(
    ("written", "found", "wrong"),
    [
        ("acknowledged", "text 0", False),
        ("acknowledged", None, True),
        ("failed", "text 0", False),
        ("failed", None, False),
        ("failed", "text 7", True),
    ],
)
def test_a_read_may_bring_what_has_failed_and_what_was_there_before(
    written: str, found: str | None, wrong: bool
) -> None:
    load = Load("load")
    steps = load.work(0)
    request = next(steps)
    assert request.text == WRITE
    assert steps.send((FAILED if written == "failed" else answer(), 0.0)).text == READ
    steps.send((answer(found) if found else answer(), 0.0))
    assert bool(load.report.wrong) == wrong
