"""The steps from one schema to another one, in the order in which a server takes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Risk(enum.Enum):
    """What a step does to data that is there."""

    SAFE = "safe"
    """Nothing."""
    REWRITES = "rewrites"
    """The nodes write it anew, or move it: that takes time, disks and network, and a repair where it is replicated."""
    LOSES_DATA = "loses data"
    """Some of it is gone."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement on the way from one schema to another one.

    Attributes:
        keyspace: the keyspace that it is about.
        kind: of what: "keyspace", "type", "function", "aggregate", "table", "index", "trigger", "materialized_view".
        name: of the object; functions with the types of their arguments.
        cql: the statement.
        risk: what it does to data that is there.
        reason: why, where the statement does not say so itself.
    """

    keyspace: str
    kind: str
    name: str
    cql: str
    risk: Risk = Risk.SAFE
    reason: str = ""


class Phase(enum.IntEnum):
    """When a step is taken: what depends on something goes before it, and comes after it."""

    DROP_VIEWS = enum.auto()
    DROP_INDEXES = enum.auto()
    DROP_TRIGGERS = enum.auto()
    DROP_MASKS = enum.auto()
    DROP_COLUMNS = enum.auto()
    DROP_TABLES = enum.auto()
    DROP_AGGREGATES = enum.auto()
    DROP_FUNCTIONS = enum.auto()
    DROP_TYPES = enum.auto()
    DROP_KEYSPACES = enum.auto()
    KEYSPACES = enum.auto()
    TYPES = enum.auto()
    FUNCTIONS = enum.auto()
    AGGREGATES = enum.auto()
    TABLES = enum.auto()
    COLUMNS = enum.auto()
    MASKS = enum.auto()
    OPTIONS = enum.auto()
    INDEXES = enum.auto()
    TRIGGERS = enum.auto()
    VIEWS = enum.auto()


class Steps:
    """Steps as they are found, and in the end in order."""

    def __init__(self) -> None:
        self._found: list[tuple[Phase, Step]] = []

    def add(self, phase: Phase, step: Step) -> None:
        """Add a step; those of a phase stay in the order in which they were added."""
        self._found.append((phase, step))

    def ordered(self) -> tuple[Step, ...]:
        """Return all steps, in the order to take them."""
        return tuple(step for _, step in sorted(self._found, key=lambda found: found[0]))
