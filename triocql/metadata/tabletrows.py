"""All tablets of a table at once, as nodes of ScyllaDB tell them in a system table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from triocql.metadata.tablethints import MOST_REPLICAS, MOST_SHARDS, Hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST: Final = 2**17
"""How many tablets a table may have: many more than clusters have of all tables."""

_QUESTION: Final = "SELECT * FROM system.tablets"
_LOW: Final = -(2**63)
_HIGH: Final = 2**63 - 1
_MOST_HOPS: Final = 2


class TabletRows:
    """Reads the rows of a table's tablets, or those of the table that has its tablets with it.

    All columns are asked for, as older servers do not have all of them.

    Attributes:
        wanted: the table whose rows are to be read; None once all is there.
        hints: the tablets, in order; [] if the rows do not tell all of them.
    """

    def __init__(self, table_id: UUID) -> None:
        self.wanted: UUID | None = table_id
        self.hints: list[Hint] = []
        self._hops = 0

    @property
    def text(self) -> str:
        """What reads them."""
        return f"{_QUESTION} WHERE table_id = {self.wanted}"

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Called with the rows."""
        base = next((row.get("base_table") for row in rows if row.get("base_table") is not None), None)
        self._hops += 1
        if isinstance(base, UUID) and base != self.wanted and self._hops < _MOST_HOPS:
            self.wanted = base
        else:
            self.wanted = None
            self.hints = _hints(rows)


def _hints(rows: Sequence[Mapping[str, Any]]) -> list[Hint]:
    """Return what the rows tell; [] if that cannot be all there is: a table may be divided anew meanwhile."""
    hints: list[Hint] = []
    first = _LOW
    if not all(isinstance(row.get("last_token"), int) for row in rows):
        return []
    for row in sorted(rows, key=_last_token):
        last = _last_token(row)
        replicas = _replicas(row.get("replicas"))
        if not first < last <= _HIGH or not replicas or row.get("tablet_count") not in (None, len(rows)):
            return []
        hints.append(Hint(first, last, tuple(replicas), tuple(replicas.values())))
        first = last
    return hints if first == _HIGH and len(hints) <= MOST else []


def _replicas(told: object) -> dict[bytes, int]:
    """Return the shards by host_id; {} for what are none."""
    if not isinstance(told, list) or len(told) > MOST_REPLICAS:
        return {}
    found: dict[bytes, int] = {}
    for each in told:
        match each:
            case (UUID() as host_id, int(shard)) if 0 <= shard < MOST_SHARDS:
                found.setdefault(host_id.bytes, shard)
            case _:
                return {}
    return found


def _last_token(row: Mapping[str, Any]) -> int:
    token: int = row["last_token"]
    return token
