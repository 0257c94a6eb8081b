"""Replication strategies: on how many nodes each partition of a keyspace is, and how these are chosen.

They are values: keyspaces that are replicated equally have equal ones, and share one map of replicas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triocql.metadata.node import Node

_FACTOR: Final = re.compile(r"([0-9]{1,10})(?:/([0-9]{1,10}))?", re.ASCII)
_MOST: Final = 2**31 - 1


class ReplicationFactor(NamedTuple):
    """How many replicas each partition has.

    Attributes:
        all: replicas of both kinds.
        transient: those among them that keep only what is not on all others yet. No reads go to them alone.
    """

    all: int
    transient: int = 0

    def __str__(self) -> str:
        return f"{self.all}/{self.transient}" if self.transient else str(self.all)


class Place(NamedTuple):
    """Where a node counts.

    Attributes:
        group: the nodes that replicas are chosen from independently of others: those of a data centre.
        rack: what the replicas within a group are spread over.
    """

    group: str
    rack: str | None


NOWHERE: Final = ReplicationFactor(0)
EVERYWHERE: Final = ReplicationFactor(_MOST)
_ANYWHERE: Final = Place("", None)


class ReplicationStrategy:
    """How a keyspace is replicated.

    Attributes:
        problem: why nothing is known of its replicas; None if nothing is wrong.
    """

    __slots__ = ()

    problem: str | None = None

    def place(self, node: Node) -> Place | None:
        """Return where a node counts, or None if it does not."""
        raise NotImplementedError

    def factor(self, group: str) -> ReplicationFactor:
        """Return how many replicas a partition has on the nodes of a group."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SimpleStrategy(ReplicationStrategy):
    """The next nodes on the ring, wherever they are."""

    replication_factor: ReplicationFactor

    def place(self, node: Node) -> Place | None:
        """Return where a node counts: one place for all."""
        return _ANYWHERE

    def factor(self, group: str) -> ReplicationFactor:
        """Return how many replicas a partition has."""
        return self.replication_factor


@dataclass(frozen=True, slots=True)
class NetworkTopologyStrategy(ReplicationStrategy):
    """In each data centre the next nodes on the ring, in as many racks as possible.

    Attributes:
        data_centres: how many replicas each data centre has, by its name, sorted.
    """

    data_centres: tuple[tuple[str, ReplicationFactor], ...]

    def place(self, node: Node) -> Place | None:
        """Return where a node counts: in its data centre."""
        return None if node.data_centre is None else Place(node.data_centre, node.rack)

    def factor(self, group: str) -> ReplicationFactor:
        """Return how many replicas a partition has in a data centre."""
        return next((factor for name, factor in self.data_centres if name == group), NOWHERE)


@dataclass(frozen=True, slots=True)
class EverywhereStrategy(ReplicationStrategy):
    """All nodes."""

    def place(self, node: Node) -> Place | None:
        """Return where a node counts: one place for all."""
        return _ANYWHERE

    def factor(self, group: str) -> ReplicationFactor:
        """Return how many replicas a partition has: as many as there are nodes."""
        return EVERYWHERE


@dataclass(frozen=True, slots=True)
class LocalStrategy(ReplicationStrategy):
    """Each node has rows of its own, as in ``system``: no node is a replica to others."""

    def place(self, node: Node) -> Place | None:
        """Return None: where a row is depends on who is asked."""
        return None

    def factor(self, group: str) -> ReplicationFactor:
        """Return none."""
        return NOWHERE


@dataclass(frozen=True, slots=True)
class UnknownStrategy(ReplicationStrategy):
    """One that triocql does not know, or cannot read: nothing is known of replicas.

    Attributes:
        class_name: the name of its class, as the cluster tells it.
        problem: why nothing is known.
    """

    class_name: str
    problem: str | None

    def place(self, node: Node) -> Place | None:
        """Return None: it is not known."""
        return None

    def factor(self, group: str) -> ReplicationFactor:
        """Return none: it is not known."""
        return NOWHERE


def strategy_of(replication: Mapping[str, str]) -> ReplicationStrategy:
    """Read the column ``replication`` of ``system_schema.keyspaces``. Whatever it has, this raises nothing: what
    cannot be read is an `UnknownStrategy`, whose `problem` says why.

    >>> strategy_of({"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"})
    SimpleStrategy(replication_factor=ReplicationFactor(all=3, transient=0))
    >>> strategy_of({"class": "NetworkTopologyStrategy", "dc1": "3/1"}).factor("dc1")
    ReplicationFactor(all=3, transient=1)
    >>> strategy_of({"class": "SimpleStrategy", "replication_factor": "many"}).problem
    "replication_factor is 'many', which is no number of replicas"
    """
    class_name = replication.get("class") or ""
    try:
        return _read(class_name.rpartition(".")[2], replication)
    except ValueError as error:
        return UnknownStrategy(_shown(class_name), str(error))


def _read(name: str, replication: Mapping[str, str]) -> ReplicationStrategy:
    match name:
        case "SimpleStrategy":
            return SimpleStrategy(_factor(replication, "replication_factor"))
        case "NetworkTopologyStrategy":
            centres = sorted(set(replication) - {"class", "replication_factor"})
            return NetworkTopologyStrategy(tuple((each, _factor(replication, each)) for each in centres))
        case "EverywhereStrategy":
            return EverywhereStrategy()
        case "LocalStrategy":
            return LocalStrategy()
    raise ValueError(f"{_shown(name)!r} is a replication strategy that triocql does not know")


def _factor(replication: Mapping[str, str], option: str) -> ReplicationFactor:
    text = replication.get(option)
    found = _FACTOR.fullmatch(text) if text is not None else None
    if found is not None:
        replicas, transient = int(found[1]), int(found[2] or 0)
        if replicas <= _MOST and (not transient or transient < replicas):
            return ReplicationFactor(replicas, transient)
    shown = "not given" if text is None else f"{_shown(text)!r}, which is no number of replicas"
    raise ValueError(f"{_shown(option)} is {shown}")


def _shown(text: str) -> str:
    return text if len(text) <= 50 else f"{text[:50]}..."
