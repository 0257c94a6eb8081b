"""One node of a cluster."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from triocql.metadata.statistics import NodeStatistics

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.abc import Address


class NodeState(Enum):
    """The state of a node; `triocql.metadata.states` has what leads from one to another.

    UNKNOWN: no connection was tried yet, or it is said to be up again. UP: there is a connection. DOWN: there is none,
    and it is tried to make one. FORCED_DOWN: it cannot be used as it is, and is tried again only when it is said to be
    up, or has another release or address. IGNORED: it is to have no connections.
    """

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    FORCED_DOWN = "forced down"
    IGNORED = "ignored"


class Distance(Enum):
    """How far a node is, as the balancing policy sees it: how many connections it gets, if any."""

    LOCAL = "local"
    REMOTE = "remote"
    IGNORED = "ignored"


class Node:
    """One node. It is itself and no other, whatever is learnt of it: nodes are compared by identity.

    A pickled one, in a result or an error for another process, becomes a node of its own there, with what was known of
    this one then, but for the tokens.

    Attributes:
        address: the address that it is dialled at.
        name: the address as text: in errors, results and the log.
        state: whether it can be reached.
        distance: how far it is, as the balancing policy says; the nearest, where profiles have policies of their own.
        statistics: live figures: what is under way with it.
        told: the address that the cluster tells; the one it is dialled at may be another one, by which it was
            reached first, or which an address was translated to. None until the cluster has told, as all that follows.
        host_id: by which a cluster knows it.
        data_centre: its data centre.
        rack: its rack within the data centre.
        release: the version of the server.
        tokens: its tokens, as text; () for a node that owns none.
        shard_count: how many shards it has, as its latest connection has told; None where it has none, as Cassandra.
    """

    __slots__ = (
        "address",
        "data_centre",
        "distance",
        "host_id",
        "name",
        "rack",
        "release",
        "shard_count",
        "state",
        "statistics",
        "tokens",
        "told",
    )

    def __init__(self, address: Address) -> None:
        self.address = address
        self.name = str(address)
        self.state = NodeState.UNKNOWN
        self.distance = Distance.LOCAL
        self.statistics = NodeStatistics()
        self.told: Address | None = None
        self.host_id: UUID | None = None
        self.data_centre: str | None = None
        self.rack: str | None = None
        self.release: str | None = None
        self.tokens: tuple[str, ...] = ()
        self.shard_count: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: getattr(self, name) for name in _FACTS}
        return Node, (self.address,), (None, facts)

    def move(self, address: Address) -> None:
        """Have it dialled at another address from now on."""
        self.address = address
        self.name = str(address)

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.state.value}>"

    def __str__(self) -> str:
        return self.name


_FACTS = ("state", "told", "host_id", "data_centre", "rack", "release", "shard_count")
"""What is told of a node in another process."""
