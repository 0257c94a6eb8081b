"""What the tables of one reading have in common: equal parts are one object, however many tables have them.

Most tables differ in little. The garbage collector of Python walks over all objects again and again, for as long as a
session is open, and holds up everything meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triocql.codecs.values import FrozenMap
    from triocql.metadata.schema.columns import Column
    from triocql.protocol.types import CqlType


class Shared:
    """The parts that were read so far.

    Attributes:
        plain: types by their texts: those without user-defined types, which are the same in all keyspaces.
        columns: columns without a mask, by all that a server tells of them.
        all_columns: those of whole tables, by the identities of each, which they keep alive.
    """

    def __init__(self) -> None:
        self.plain: dict[str, CqlType] = {}
        self.columns: dict[tuple[object, ...], Column] = {}
        self.all_columns: dict[tuple[int, ...], FrozenMap[str, Column]] = {}
        self._maps: dict[FrozenMap[Any, Any], FrozenMap[Any, Any]] = {}

    def map(self, found: FrozenMap[Any, Any]) -> FrozenMap[Any, Any]:
        """Return the first map that was equal to this one."""
        return self._maps.setdefault(found, found)
