"""One node of a cluster."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.abc import Address


class NodeState(Enum):
    """The state of a node, by the last attempt to connect to it."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class Node:
    """One node. It is itself and no other, whatever is learnt of it: nodes are compared by identity.

    Attributes:
        address: the address that it is dialled at.
        name: the address as text: in errors, results and the log.
        state: whether it can be reached.
        host_id: by which a cluster knows it; None until the cluster has told, as the next three.
        data_centre: its data centre.
        rack: its rack within the data centre.
        release: the version of the server.
    """

    __slots__ = ("address", "data_centre", "host_id", "name", "rack", "release", "state")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.name = str(address)
        self.state = NodeState.UNKNOWN
        self.host_id: UUID | None = None
        self.data_centre: str | None = None
        self.rack: str | None = None
        self.release: str | None = None

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.state.value}>"

    def __str__(self) -> str:
        return self.name
