"""The features that one node offers on a connection, beyond those of its protocol version: read from SUPPORTED."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a node, as it announces them in SUPPORTED (v5, section 4.2.4).

    Attributes:
        supported: the values by the name of the option.

    >>> Features({"COMPRESSION": ("snappy", "lz4")}).compressions
    ('snappy', 'lz4')
    """

    supported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def compressions(self) -> tuple[str, ...]:
        """The compressions that STARTUP may ask for."""
        return self.supported.get("COMPRESSION", ())
