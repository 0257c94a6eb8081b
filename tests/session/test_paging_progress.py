"""How a reading of pages notices that it is led in a circle."""

from __future__ import annotations

import pytest

from triocql.errors import PagingLoop
from triocql.statements.paging import Progress


@pytest.mark.parametrize("lead", [0, 1, 2, 5, 64])
@pytest.mark.parametrize("circle", [1, 2, 3, 10, 100])
def test_a_circle_is_noticed_soon(lead: int, circle: int) -> None:
    def read() -> None:
        progress = Progress(None)
        for page in range(4 * (lead + circle)):
            place = page if page < lead else lead + (page - lead) % circle
            progress.reached(b"%d" % place)

    with pytest.raises(PagingLoop):
        read()


def test_states_that_are_new_and_the_end_are_no_circle() -> None:
    progress = Progress(b"start")
    for page in range(10_000):
        progress.reached(b"%d" % page)
        progress.reached(None)
