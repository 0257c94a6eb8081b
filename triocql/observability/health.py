"""Whether a session can do its work, at one moment: frozen, for whoever answers probes, or shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from triocql._brief import brief
from triocql.errors import OptionError
from triocql.metadata.node import NodeState
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from triocql.metadata.node import Node


class Coverage(Protocol):
    """Knows which nodes are there, and which ranges of tokens they have."""

    def share(self, keyspace: str, consistency: Consistency, data_centre: str | None) -> float:
        """Return what `Health.can_serve` does."""

    def known(self, keyspace: str) -> float:
        """Return what `Health.known` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHealth:
    """One node, as the session sees it.

    Attributes:
        node: the node.
        state: the state that it was in.
        connections: how many connections it takes requests on.
        latest_error: what failed there last, a dial or a connection, however long ago; None if nothing has.
        error_age: seconds since then.
    """

    node: Node
    state: NodeState
    connections: int = 0
    latest_error: str | None = None
    error_age: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a session can do at one moment, as far as it knows: nothing was sent to find out.

    Attributes:
        is_open: whether requests are taken: not once the session is being closed.
        nodes: each node that the session knows.
        control: the node that the control connection is to; None while there is no such connection. What is known of
            the cluster does not follow it then; requests go on.
        control_age: seconds for which that has been so.
        schema_agreed: whether all nodes had the same schema when a change of it was waited for last; None before that.
        connections: connections that are open.
        in_flight: requests that are on a connection and not answered.
        queued: requests that wait, for whatever it is.
        tick_age: seconds since the session's loop came round last: at most the least of `heartbeat_interval`,
            `heartbeat_timeout` and `frame_timeout`, which is 5 by default; more while code keeps the loop to itself, as
            what blocks does, or its thread stands still. To be asked in another thread.
    """

    is_open: bool
    nodes: tuple[NodeHealth, ...] = ()
    control: Node | None = None
    control_age: float = 0.0
    schema_agreed: bool | None = None
    connections: int = 0
    in_flight: int = 0
    queued: int = 0
    tick_age: float = 0.0
    coverage: Coverage = field(repr=False, compare=False)

    @property
    def up(self) -> int:
        """How many nodes are up."""
        return sum(each.state is NodeState.UP for each in self.nodes)

    @property
    def connected(self) -> int:
        """How many nodes take requests on a connection."""
        return sum(each.connections > 0 for each in self.nodes)

    def can_serve(
        self, keyspace: str, consistency: Consistency | str, *, data_centre: str | None = None
    ) -> float:
        """Return the share, from 0 to 1, of the ranges of tokens that have enough connected replicas.

        A node counts if there is a connection to it. One that the session is to have none to, because of its distance,
        counts as well: nothing is known of it. Where nothing is known of replicas, for the partitioner or the
        replication strategy is one that triocql does not know, or no keyspace could be read yet, it is the share of
        nodes.

        Of keyspaces with tablets, as ScyllaDB has them, each table counts as much as any other. What nodes have told of
        tablets is counted as it is; what is not `known` of them is estimated by the number of replicas and nodes, as if
        chance had placed them. That is exact where all nodes are there, too few, or no more than as many replicas.

        It follows from what is known, in some ten microseconds; the first time after a node has come or gone, or more
        is known of tablets, in 0.1 µs a replica of a range, or 0.3 µs a tablet.

        Args:
            keyspace: its name, without quotes.
            consistency: that of requests. EACH_QUORUM needs a majority in each data centre.
            data_centre: what LOCAL_ONE, LOCAL_QUORUM and LOCAL_SERIAL are about; by default, the data centre of the
                nodes that the session prefers, and the smallest share if these are in several.

        Raises OptionError for a keyspace or a data centre that is not known, and for what is no consistency.

        >>> session.health().can_serve("shop", "LOCAL_QUORUM")                         # doctest: +SKIP
        1.0
        """
        return self.coverage.share(keyspace, _level(consistency), data_centre)

    def known(self, keyspace: str) -> float:
        """Return of which share of the ranges of tokens, from 0 to 1, it is known where they are: what `can_serve` says
        of the others is an estimate.

        It is 1.0 where replicas follow from the ring. Of tablets, as ScyllaDB has them, a session learns by and by,
        from the answers to its requests: of a table that it has never read or written, it mostly knows nothing.

        Args:
            keyspace: its name, without quotes.

        Raises OptionError for a keyspace that is not known.

        >>> session.health().known("shop")                                             # doctest: +SKIP
        1.0
        """
        return self.coverage.known(keyspace)

    def summary(self) -> dict[str, Any]:
        """Return what is to be shown, as JSON has it: numbers, texts, and the latest errors of nodes that are away.

        >>> session.health().summary()                                                 # doctest: +SKIP
        {'open': True, 'nodes': 3, 'up': 3, 'connected': 3, 'control': '10.0.0.1:9042', ...}
        """
        return {
            "open": self.is_open,
            "nodes": len(self.nodes),
            "up": self.up,
            "connected": self.connected,
            "control": None if self.control is None else self.control.name,
            "control_age": round(self.control_age, 3),
            "schema_agreed": self.schema_agreed,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "queued": self.queued,
            "tick_age": round(self.tick_age, 3),
            "errors": {
                each.node.name: each.latest_error
                for each in self.nodes
                if each.latest_error is not None and not each.connections
            },
        }


def _level(consistency: Consistency | str) -> Consistency:
    """Return a consistency, or the one of that name. Raises OptionError."""
    if isinstance(consistency, Consistency):
        return consistency
    found = Consistency.__members__.get(consistency.upper()) if isinstance(consistency, str) else None
    if found is None:
        names = ", ".join(Consistency.__members__)
        raise OptionError(
            f"consistency is {brief(consistency)}; it has to be one of triocql.Consistency: {names}"
        )
    return found
