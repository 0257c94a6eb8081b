"""The default: replicas of the local data centre first, the less busy one of two."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from random import shuffle
from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql._hints import hinted
from triocql.errors import OptionError
from triocql.metadata.node import Distance, NodeState
from triocql.policies.balancing.distances import Distances
from triocql.policies.balancing.latency import Latencies
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from triocql.abc import Address
    from triocql.metadata.node import Node
    from triocql.metadata.snapshot import Snapshot
    from triocql.policies.balancing.contract import RoutedRequest

OWN_RACK, NEAR, SLOW, FAR = range(4)
"""The ranks of nodes: those with a smaller one come first."""


@hinted()
class DefaultBalancing:
    """Sends a request to a replica in the local data centre, if its partition is known, and else to its nodes in turn.

    - Of the replicas, those in `local_rack` come first, if it is given; then those in the other racks; then those that
      are slow: whose median over 10 s is more than twice that of all nodes, from 50 measurements on. Among equals, the
      first one is the one of two with fewer requests under way.
    - The replicas of a lightweight transaction come in the order of the ring: so those that compete for a partition
      meet at one node, and need not fight it out between several.
    - Where tablets of ScyllaDB have leaders, the leader comes first if it is in the local data centre, but at ONE and
      LOCAL_ONE, which any replica can serve alone.
    - The other nodes of the local data centre follow, beginning with another one each time.
    - Nodes of other data centres follow only if `remote_data_centres` names these, and for no lightweight transaction
      at LOCAL_SERIAL. Consistencies such as LOCAL_ONE mean the data centre of the node that gets the request.
    - Nodes that are down come last among their like.

    Args:
        local_data_centre: the data centre whose nodes are used; by default that of the first contact point.
        local_rack: the rack in it that is preferred; none by default.
        remote_data_centres: the names of the data centres that are used where no local node can be, the first one
            first.

    Raises OptionError for what are no names.

    >>> import triocql
    >>> balancing = DefaultBalancing(local_data_centre="dc1", remote_data_centres=["dc2"])
    >>> policies = triocql.PolicyOptions(balancing=balancing)    # connect(..., policies=policies)
    """

    def __init__(
        self,
        *,
        local_data_centre: str | None = None,
        local_rack: str | None = None,
        remote_data_centres: Collection[str] = (),
    ) -> None:
        _check_name(local_data_centre, "local_data_centre")
        _check_name(local_rack, "local_rack")
        if isinstance(remote_data_centres, str):
            raise OptionError(
                f"remote_data_centres is {brief(remote_data_centres)}; give the names as a list: "
                f"[{brief(remote_data_centres)}]"
            )
        for name in remote_data_centres:
            _check_name(name, "a name in remote_data_centres")
        if local_data_centre is not None and local_data_centre in remote_data_centres:
            raise OptionError(
                f"{local_data_centre!r} is local_data_centre, and among remote_data_centres: it cannot be both"
            )
        self.local_data_centre = local_data_centre
        self.local_rack = local_rack
        self.remote_data_centres = tuple(remote_data_centres)
        self.latencies = Latencies()
        self._contact_points: tuple[Address, ...] = ()
        self._distances = Distances()
        self._position = -1
        self._misses_rack = False
        self._local: tuple[Snapshot | None, tuple[Node, ...]] = None, ()

    def in_session(self, contact_points: tuple[Address, ...]) -> DefaultBalancing:
        """Return a policy of a session's own, which learns the local data centre from these if it is not given."""
        policy = DefaultBalancing(
            local_data_centre=self.local_data_centre,
            local_rack=self.local_rack,
            remote_data_centres=self.remote_data_centres,
        )
        policy._contact_points = contact_points
        return policy

    # --- Distances -----------------------------------------------------------------------------------------

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        """Return how far `node` is (`BalancingPolicy`): as far as it was, before the cluster has told of its data
        centre.

        Raises OptionError if the local data centre is not given, and the contact points lie in several.
        """
        self._local = None, ()
        if self.local_data_centre is None:
            self._find_local(snapshot)
        return self._distances.put(node, snapshot, self._found(node))

    def leave_out(self, node: Node, snapshot: Snapshot) -> None:
        """Have no use for `node` in `snapshot`, as a filter says."""
        self._local = None, ()
        self._distances.put(node, snapshot, Distance.IGNORED)

    def _found(self, node: Node) -> Distance:
        if self.local_data_centre is None or node.data_centre is None:
            return self._distances.of(node)
        if self.local_data_centre == node.data_centre:
            return Distance.LOCAL
        return Distance.REMOTE if node.data_centre in self.remote_data_centres else Distance.IGNORED

    def _find_local(self, snapshot: Snapshot) -> None:
        told = [node for node in snapshot.nodes if node.data_centre is not None]
        begun_with = [node for node in told if node.address in self._contact_points]
        # A contact point may stand for others, as a proxy does.
        examples = {str(node.data_centre): node.name for node in reversed(begun_with or told)}
        if len(examples) > 1:
            choices = ", ".join(f"{name!r} ({node})" for name, node in sorted(examples.items()))
            raise OptionError(
                f"the nodes to begin with lie in several data centres: {choices}; set local_data_centre= to the one "
                "that is near"
            )
        self.local_data_centre = next(iter(examples), None)

    def rank(self, node: Node) -> int:
        """Return the rank of a node by its distance, its rack and how fast it answers."""
        if self._distances.of(node) is not Distance.LOCAL:
            return FAR
        if node in self.latencies.slow:
            return SLOW
        return OWN_RACK if self.local_rack is not None and node.rack == self.local_rack else NEAR

    def explain(self, snapshot: Snapshot) -> str | None:
        """Return why there is no node for anything; None if there are some that might be used."""
        known = {node.data_centre for node in snapshot.nodes if node.data_centre is not None}
        used = any(self._distances.of(node) is not Distance.IGNORED for node in snapshot.nodes)
        if used or self.local_data_centre is None or self.local_data_centre in known:
            return None
        others = ", ".join(map(repr, sorted(known))) or "none"
        return f"no node of the local data centre {self.local_data_centre!r} (known are {others})"

    def missed_rack(self, snapshot: Snapshot) -> str | None:
        """Return that no local node is in the local rack, once, until one is; None if there is nothing to tell."""
        local = [node for node in snapshot.nodes if self._distances.of(node) is Distance.LOCAL]
        racks = {node.rack for node in local if node.rack is not None}
        if self.local_rack is None or not racks:
            return None
        missed, self._misses_rack = self._misses_rack, self.local_rack not in racks
        if missed or not self._misses_rack:
            return None
        return f"no local node is in the rack {self.local_rack!r} (known are {', '.join(map(repr, sorted(racks)))})"

    # --- Plans ---------------------------------------------------------------------------------------------

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterator[Node]:
        """Give the nodes for `request` one by one (`BalancingPolicy`)."""
        request.snapshot = snapshot
        replicas = request.replicas
        near = [node for node in replicas if self._distances.of(node) is Distance.LOCAL]
        if request.is_lwt:
            near.sort(key=_is_down)
        else:
            self._put_in_order(near)
            if snapshot.tablets.is_active:
                _put_leader_first(request, near)
        yield from near
        yield from self._others(snapshot, near)
        if not _stays(request):
            yield from self._remote(replicas, snapshot.nodes)

    def _put_in_order(self, replicas: list[Node]) -> None:
        """Sort by rank; of the lowest, the first one is the less busy of two at random."""
        shuffle(replicas)
        replicas.sort(key=self._place)
        if len(replicas) > 1 and self._place(replicas[0]) == self._place(replicas[1]):
            replicas[:2] = sorted(replicas[:2], key=lambda node: node.statistics.in_flight)

    def _place(self, node: Node) -> tuple[bool, int]:
        return _is_down(node), self.rank(node)

    def _others(self, snapshot: Snapshot, beside: Collection[Node]) -> Iterator[Node]:
        """Go through the local nodes, beginning with the one after that which came first the last time."""
        nodes, first = self._local_nodes(snapshot), True
        position = self._position
        later: list[Node] = []
        for number in range(position + 1, position + 1 + len(nodes)):
            node = nodes[number % len(nodes)]
            if node in beside:
                continue
            if _is_down(node) or node in self.latencies.slow:
                later.append(node)
                continue
            if first:
                self._position, first = number % len(nodes), False
            yield node
        yield from sorted(later, key=_is_down)

    def _local_nodes(self, snapshot: Snapshot) -> tuple[Node, ...]:
        if self._local[0] is not snapshot:
            of = self._distances.of
            self._local = snapshot, tuple(each for each in snapshot.nodes if of(each) is Distance.LOCAL)
        return self._local[1]

    def _remote(self, replicas: tuple[Node, ...], nodes: tuple[Node, ...]) -> Iterator[Node]:
        for name in self.remote_data_centres:
            of = self._distances.of
            far = [node for node in nodes if node.data_centre == name and of(node) is Distance.REMOTE]
            shuffle(far)
            yield from sorted(far, key=lambda node: (_is_down(node), node not in replicas))


def _is_down(node: Node) -> bool:
    return node.state is NodeState.DOWN


def _put_leader_first(request: RoutedRequest, near: list[Node]) -> None:
    """Have the leader of the tablet come first, if it is among these nodes, and there is to be one."""
    leader = request.leader
    if leader is not None and leader in near and not _is_down(leader):
        near.remove(leader)
        near.insert(0, leader)


def _stays(request: RoutedRequest) -> bool:
    """Return whether a request means something else in another data centre: its transactions are others' there."""
    local = Consistency.LOCAL_SERIAL
    return request.consistency is local or (request.is_lwt and request.serial_consistency is local)


def _check_name(name: object, what: str) -> None:
    if name is not None and (not isinstance(name, str) or not name):
        raise OptionError(f"{what} is {brief(name)}; it has to be a name")
