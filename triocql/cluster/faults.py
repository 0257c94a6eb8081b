"""What could not be read of the schema: looked at again a few times, and told once, if it stays so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triocql.metadata.schema import Fault
    from triocql.metadata.schema.scope import Scope
    from triocql.protocol.responses import SchemaChange

logger = get_logger(__name__)

LOOKS: Final = 6
"""How often an object is read that cannot be, the first time included: its other half may be on its way."""

_MOST_TOLD: Final = 10


class Faults:
    """Remembers what was wrong, object by object, until it is right.

    Args:
        grace: how often something has to be found wrong before it is told. What is half there because it was read while
            it came or went is whole the next time.
    """

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._looks: dict[tuple[str, str], int] = {}
        self._found: dict[Fault, int] = {}

    def take(self, faults: Iterable[Fault], scope: Scope) -> list[Fault]:
        """Take in what a reading of a scope has found wrong; return what of it is worth another look."""
        found = dict.fromkeys(faults)
        for fault in [each for each in self._found if each not in found and _covers(scope, each)]:
            del self._found[fault]
        for fault in found:
            self._found[fault] = self._found.get(fault, 0) + 1
        self._tell([fault for fault in found if self._found[fault] == self._grace])
        wrong = {fault[:2] for fault in self._found}
        self._looks = {key: count for key, count in self._looks.items() if key in wrong}
        for key in {fault[:2] for fault in found}:
            self._looks[key] = self._looks.get(key, 0) + 1
        return [fault for fault in found if self._looks[fault[:2]] < LOOKS]

    def looks(self, faults: Sequence[Fault]) -> int:
        """Return how often that of these was found wrong which was so seldom."""
        return min(self._looks[fault[:2]] for fault in faults)

    def changed(self, change: SchemaChange) -> None:
        """An object has changed: if it was wrong, it is worth another look."""
        key = change.keyspace, change.name
        if self._looks.get(key, 0) >= LOOKS:
            self._looks[key] = LOOKS - 2

    @staticmethod
    def _tell(faults: list[Fault]) -> None:
        for fault in faults[:_MOST_TOLD]:
            logger.warning(
                "the schema of %s%s cannot be read: %s%s",
                fault.keyspace or "a keyspace",
                f".{fault.name}" if fault.name else "",
                fault.what,
                "; what was known of it stays" if fault.is_kept else "",
            )
        if len(faults) > _MOST_TOLD:
            logger.warning("the schema of %d more objects cannot be read", len(faults) - _MOST_TOLD)


def _covers(scope: Scope, fault: Fault) -> bool:
    keyspace, name = fault[:2]
    return scope.everything or keyspace in scope.keyspaces or name in scope.tables.get(keyspace, ())
