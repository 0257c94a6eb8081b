"""What happens to a cluster, and to the connections of a session with it: the events of `Session.events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from triocql.abc import Address
from triocql.metadata.node import Node
from triocql.metadata.schema import Aggregate, Function, Keyspace, Relation, UserType
from triocql.protocol.responses import SchemaChange

__all__ = [
    "Connected",
    "DialFailed",
    "Disconnected",
    "Event",
    "Missed",
    "NodeAdded",
    "NodeDown",
    "NodeMoved",
    "NodeRemoved",
    "NodeUp",
    "SchemaChange",
    "SchemaChanged",
    "SchemaObject",
]

SchemaObject: TypeAlias = Keyspace | Relation | UserType | Function | Aggregate
"""What changes of the schema are about; a `Relation` is a `Table` or a `View`."""

# --- Topology ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """A node is known from now on. Those that a session begins with are not told."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """A node is not part of the cluster any more."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeMoved:
    """A node has another address than before; it is the same node, by its host_id.

    Attributes:
        node: the node, with its new address.
        former: the address that it was dialled at before.
    """

    node: Node
    former: Address


# --- Status ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeUp:
    """A node takes requests, which was down or not known to be up."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeDown:
    """A node takes no requests any more: there is no connection to it, and none can be made."""

    node: Node


# --- The schema --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SchemaChanged(SchemaChange):
    """A change of the schema, whoever has made it; told once `Session.metadata` has it.

    Changes of one object that come together are read once: then all of them have the object that is there now.

    Attributes:
        old: the object as it was known before; None if it was not.
        new: the object as it is known now; None if it is gone. Both are None where the session does not know of it,
            because of its option ``schema``.
    """

    old: SchemaObject | None = None
    new: SchemaObject | None = None


# --- The connections of the session ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection joined the pool of its node."""

    node: Node


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection left the pool of its node.

    Attributes:
        node: the node.
        error: why it ended; None for one that drains, because too many abandoned requests have no answer.
    """

    node: Node
    error: Exception | None


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A connection could not be made.

    Attributes:
        node: the node that was dialled.
        error: why.
        delay: the seconds until it is dialled again, unless something brings that forward.
    """

    node: Node
    error: Exception
    delay: float


# --- The listener ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missed:
    """Events were dropped here, the oldest ones, because their listener did not take them for too long.

    Attributes:
        count: how many.
    """

    count: int


Event: TypeAlias = (
    NodeAdded
    | NodeRemoved
    | NodeMoved
    | NodeUp
    | NodeDown
    | SchemaChanged
    | Connected
    | Disconnected
    | DialFailed
    | Missed
)
"""Anything that `Session.events` gives. A `SchemaChanged` is a `SchemaChange`, as `Result.schema_change` is one."""
