"""How shards are filled where the node chooses: rounds, pauses, and spare connections."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from triocql import Options
from triocql.cluster.filling import Filling


class Pool:
    """A pool that never gets what it lacks."""

    name = "10.0.0.1:9042"
    missing = True

    def __init__(self, shards: int) -> None:
        self.shards = [object()] * shards
        self.spare: list[Any] = []

    def take_spare(self) -> list[Any]:
        spare, self.spare = self.spare, []
        return spare


@pytest.mark.parametrize(
    ("shards", "first", "later", "most"), [(2, 4, 2, 4), (4, 8, 4, 8), (1024, 64, 32, 512)]
)
def test_rounds_and_spare_connections_are_bounded(shards: int, first: int, later: int, most: int) -> None:
    """However many shards the node says that it has."""
    pool: Any = Pool(shards)
    filling = Filling(pool, Options.from_arguments(reconnection_jitter=0.0))
    closed: list[int] = []
    pauses, kept, chances = [], [], []
    for number in range(2000):
        chances.append(filling.takes_chances)
        connection: Any = SimpleNamespace(close=lambda number=number: closed.append(number))
        pauses.append(filling.keep(connection))
        kept.append(len(pool.spare))
    assert max(kept) == most
    assert len(closed) == 2000 - len(pool.spare)
    waited = [number + 1 for number, pause in enumerate(pauses) if pause]
    assert waited[0] == first
    assert {after - before for before, after in pairwise(waited)} == {later}
    assert [pauses[number - 1] for number in waited[:7]] == [1, 2, 4, 8, 16, 32, 60]
    assert not any(chances[:first])
    assert 0.5 <= sum(chances[first:]) / len(chances[first:]) <= 0.75
