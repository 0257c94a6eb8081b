"""The health of a session, put together of what is known.

Any thread may do so: nothing is sent, waited for or changed, and what others may change meanwhile is copied first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql.cluster.measuring import stats
from triocql.errors import OptionError
from triocql.metadata.availability import Covered, covered, likely, needs_of, share
from triocql.metadata.node import Distance
from triocql.metadata.replication import NetworkTopologyStrategy
from triocql.metadata.snapshot import Snapshot
from triocql.observability.health import Health, NodeHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from triocql.cluster.control import Control
    from triocql.cluster.pulse import Pulse
    from triocql.engine.routing.router import Router
    from triocql.metadata import ReplicaMap
    from triocql.metadata.availability import Need
    from triocql.metadata.node import Node
    from triocql.metadata.schema import Keyspace
    from triocql.protocol.constants import Consistency

_KEPT = 256
_TOKENS = 2**64 - 1
"""What all tablets of a table have."""

_MOST_NAMED = 20


class Present:
    """The nodes that are there, with what was found out about the ranges that they have: a `Coverage`.

    Args:
        snapshot: the cluster.
        nodes: those of it that are there.
        here: the data centres that the session prefers.
        answers: what was found out already, with these nodes.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        nodes: Collection[Node],
        here: tuple[str | None, ...],
        answers: dict[Hashable, float],
    ) -> None:
        self.nodes = nodes
        self.answers = answers
        self._snapshot = snapshot
        self._here = here

    def goes_by(self, snapshot: Snapshot) -> bool:
        """Whether what is found out holds for `snapshot`, too."""
        return self._snapshot.keyspaces is snapshot.keyspaces and self._snapshot.ring is snapshot.ring

    def share(self, keyspace: str, consistency: Consistency, data_centre: str | None) -> float:
        """Return the share of ranges that can be served (`Coverage`)."""
        found = self._keyspace(keyspace)
        if data_centre is not None:
            self._check_centre(found, data_centre)
        centres = self._here if data_centre is None else (data_centre,)
        if found is not None and found.has_tablets:
            return min(self._by_tablets(found, consistency, centre) for centre in centres)
        replicas = self._replicas(keyspace)
        if replicas is None:
            return self._share_of_nodes()
        return min(self._by_ring(replicas, consistency, centre) for centre in centres)

    def known(self, keyspace: str) -> float:
        """Return the share of ranges whose replicas are known (`Coverage`)."""
        found = self._keyspace(keyspace)
        if found is None or not found.has_tablets:
            return 0.0 if self._replicas(keyspace) is None else 1.0
        tables = self._tables(found)
        known = sum(self._covered(found, table, ()).known for table in tables)
        return known / (_TOKENS * len(tables)) if tables else 0.0

    def _keyspace(self, keyspace: str) -> Keyspace | None:
        """Return a keyspace; None if none is known. Raises OptionError if there are others."""
        keyspaces = self._snapshot.keyspaces
        if keyspaces and keyspace not in keyspaces:
            known = ", ".join(sorted(keyspaces)[:_MOST_NAMED]) or "none"
            raise OptionError(
                f"there is no keyspace {brief(keyspace)}, as far as is known; known are: {known}"
            )
        return keyspaces.get(keyspace)

    def _check_centre(self, keyspace: Keyspace | None, data_centre: str) -> None:
        """Raise OptionError for a data centre that neither a node is in nor the keyspace's replicas are to be in."""
        known = {node.data_centre for node in self._snapshot.nodes}
        strategy = None if keyspace is None else keyspace.replication
        if isinstance(strategy, NetworkTopologyStrategy):
            known.update(name for name, _ in strategy.data_centres)
        if data_centre not in known and None not in known:
            names = ", ".join(sorted(filter(None, known))[:_MOST_NAMED])
            raise OptionError(
                f"there is no data centre {brief(data_centre)}, as far as is known; known are: {names}"
            )

    def _share_of_nodes(self) -> float:
        nodes = self._snapshot.nodes
        there = sum(node in self.nodes for node in nodes)
        return there / len(nodes) if there else 0.0

    # --- By the ring -----------------------------------------------------------------------------------------

    def _replicas(self, keyspace: str) -> ReplicaMap | None:
        """Return the replicas of a keyspace; None if nothing is known of them."""
        found = self._snapshot.replica_map(keyspace)
        nothing = found is None or found.strategy.problem is not None or not found.ring.tokens
        return None if nothing else found

    def _by_ring(self, replicas: ReplicaMap, consistency: Consistency, centre: str | None) -> float:
        return self._kept(
            (replicas, consistency, centre), lambda: share(replicas, self.nodes, consistency, centre)
        )

    # --- By tablets ------------------------------------------------------------------------------------------

    def _by_tablets(self, keyspace: Keyspace, consistency: Consistency, centre: str | None) -> float:
        ring, strategy = self._snapshot.ring, keyspace.replication
        if ring is None or not isinstance(strategy, NetworkTopologyStrategy):
            return self._share_of_nodes()
        question = (keyspace.name, self._snapshot.tablets.changes, consistency, centre)
        needs = needs_of(strategy, ring, consistency, centre)

        def answer() -> float:
            if not self.nodes:
                return 0.0
            tables = self._tables(keyspace)
            found = [self._covered(keyspace, table, needs) for table in tables]
            whole = _TOKENS * max(len(tables), 1)
            rest = whole - sum(each.known for each in found)
            expected = likely(strategy, ring.nodes, self.nodes, needs) if rest else 0.0
            return (sum(each.served for each in found) + rest * expected) / whole

        return self._kept(question, answer)

    def _tables(self, keyspace: Keyspace) -> list[str]:
        """Return the tables that are made of tablets: all that are there or, where this is not known, those that nodes
        have told of."""
        snapshot = self._snapshot
        if not keyspace.is_loaded:
            return [table for name, table in snapshot.tablets if name == keyspace.name]
        every = (*keyspace.tables, *keyspace.views)
        return [table for table in every if not snapshot.has_partitioner(keyspace.name, table)]

    def _covered(self, keyspace: Keyspace, table: str, needs: Collection[Need]) -> Covered:
        return covered(self._snapshot.tablets.of(keyspace.name, table), self.nodes, needs)

    def _kept(self, question: Hashable, find: Callable[[], float]) -> float:
        """Return the answer to a question, found out once as long as the same nodes are there."""
        answer = self.answers.get(question)
        if answer is None:
            if len(self.answers) >= _KEPT:
                self.answers.clear()
            answer = self.answers[question] = find()
        return answer


class HealthReader:
    """Reads the health of one session, and keeps what was found out as long as the same nodes are there, with the same
    schema."""

    def __init__(self, router: Router, control: Control, pulse: Pulse) -> None:
        self._router = router
        self._control = control
        self._pulse = pulse
        self._latest = Present(Snapshot(), frozenset(), (None,), {})

    def read(self, snapshot: Snapshot, now: float, *, schema_agreed: bool | None) -> Health:
        """Return it; `snapshot` is the cluster as it is known."""
        router, control = self._router, self._control
        connection, since = control.connection, control.since
        under_way = stats(router)
        nodes = tuple(self._node(node, now) for node in snapshot.nodes)
        return Health(
            is_open=router.ending is None,
            nodes=nodes,
            control=None if connection is None else connection.node,
            control_age=max(0.0, now - since),
            schema_agreed=schema_agreed,
            connections=under_way.connections,
            in_flight=under_way.in_flight,
            queued=under_way.queued,
            tick_age=self._pulse.age,
            coverage=self._coverage(snapshot, nodes),
        )

    def _node(self, node: Node, now: float) -> NodeHealth:
        pool = self._router.pools.get(node)
        trouble = None if pool is None else pool.trouble
        return NodeHealth(
            node=node,
            state=node.state,
            connections=0 if pool is None else pool.open,
            latest_error=None if trouble is None else trouble.error,
            error_age=None if trouble is None else max(0.0, now - trouble.at),
        )

    def _coverage(self, snapshot: Snapshot, nodes: tuple[NodeHealth, ...]) -> Present:
        connected = frozenset(each.node for each in nodes if each.connections)
        apart = (each.node for each in nodes if each.node.distance is Distance.IGNORED)
        # Somebody has to be asked, whoever else may be there.
        present = connected.union(apart) if connected else connected
        here = {each.node.data_centre for each in nodes if each.node.distance is Distance.LOCAL}
        latest = self._latest
        answers = latest.answers if present == latest.nodes and latest.goes_by(snapshot) else {}
        self._latest = Present(snapshot, present, tuple(here) or (None,), answers)
        return self._latest
