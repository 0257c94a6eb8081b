# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""The shortest way from a partition, as from the values of a prepared statement, to a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.metadata.node import Distance
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing.contract import ALONE
from triocql.policies.balancing.default import FAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import cython

    from triocql.metadata.node import Node
    from triocql.metadata.ring import Ring
    from triocql.protocol.constants import Consistency
else:
    from triocql import _cython as cython

if not cython.compiled:
    from operator import getitem as number_at

    from triocql.codecs.routing import routing_key
    from triocql.engine.connections.streams import Target
    from triocql.engine.requests.request import Request
    from triocql.metadata.ring import ReplicaMap
    from triocql.metadata.tablets import Tablet, TableTablets

    token_of = MURMUR3.token

_FAR = FAR
_MANY = 16
_MOST_TABLETS = 16_384
_NONE = Target()  # nothing can be sent to it: that of a node without a pool


class Routes:
    """What requests are routed by, as long as it holds: what the default policy would choose first, without asking it.

    Args:
        snapshot: the cluster.
        targets: the targets of nodes that have a pool.
    """

    __slots__ = ("_by_tablet", "_keyed", "_near", "_numbered", "_seed", "_snapshot", "_targets")

    def __init__(self, snapshot: Snapshot, targets: dict[Node, Target]) -> None:
        self._snapshot = snapshot
        self._targets = targets
        self._numbered: dict[Ring, list[Target]] = {}
        self._by_tablet: dict[Tablet, list[Target]] = {}
        self._near: list[Target] | None = None
        self._keyed: dict[tuple[str, str | None, bool, Consistency], Route | None] = {}
        self._seed = 1 + id(self) // 16 % 1_000_000_007

    def route(
        self,
        keyspace: str | None,
        table: str | None,
        partition_key: tuple[int, ...],
        in_order: bool,
        consistency: Consistency,
    ) -> Route | None:
        """Return the route of statements on a table; None if nothing is known of its replicas.

        Args:
            keyspace: the keyspace.
            table: the table, as far as it is known; it counts where tables have tablets.
            partition_key: which of the values make up the partition key.
            in_order: whether the first replica in the order of the ring, or of the tablet, is wanted, and no other that
                is as good.
            consistency: of the statements: where tablets have leaders, it says whether they need them.
        """
        if keyspace is None or not partition_key or self._snapshot.has_partitioner(keyspace, table):
            return None
        tablets = self._snapshot.tablets
        if table and self._snapshot.has_tablets(keyspace, table):
            led = consistency not in ALONE and self._snapshot.leads(keyspace)
            return TabletRoute(self, tablets.table(keyspace, table), partition_key, in_order, led)
        replicas = self._snapshot.replica_map(keyspace)
        if replicas is None or not replicas.width:
            return None
        kind = Route if replicas.ring.has_numbers else RouteByKeys
        return kind(self, replicas, self._by_number(replicas.ring), partition_key, in_order)

    def keyed(
        self, keyspace: str, table: str | None, in_order: bool, consistency: Consistency
    ) -> Route | None:
        """Return the route of requests that tell their partition key themselves, as `route`."""
        wanted = keyspace, table, in_order, consistency
        if wanted not in self._keyed:
            self._keyed[wanted] = self.route(keyspace, table, (0,), in_order, consistency)
        return self._keyed[wanted]

    def _by_number(self, ring: Ring) -> list[Target]:
        """Return the targets by the numbers that nodes have in a ring."""
        if ring not in self._numbered:
            self._numbered[ring] = self._of(ring.nodes)
        return self._numbered[ring]

    def _of(self, nodes: Sequence[Node]) -> list[Target]:
        return [self._targets.get(node, _NONE) for node in nodes]

    def send_to_tablet(self, tablet: Tablet, in_order: bool, led: bool, request: Request) -> bool:
        """Send `request` to one of the replicas of a tablet, to its leader if it is to be `led` and has one; return
        False if none has been found that has room."""
        targets = self._by_tablet.get(tablet)
        if targets is None:
            if len(self._by_tablet) >= _MOST_TABLETS:  # some of them may be known no more
                self._by_tablet.clear()
            targets = self._by_tablet[tablet] = self._of(tablet.replicas)
        target: Target | None = None
        if led and targets and not in_order and tablet.version is not None:
            target = self.choose(targets, None, 0, 1, True)
        if target is None:
            target = self.choose(targets, None, 0, len(targets), in_order)
        return target is not None and target.serve_at(tablet.shards[targets.index(target)], request)

    def send_anywhere(self, token: int, request: Request) -> bool:
        """Send `request` to a local node, as it is not known who has its token; return False if none has been found
        that has room."""
        if self._near is None:
            self._near = self._of([node for node in self._snapshot.nodes if node.distance is Distance.LOCAL])
        target = self.choose(self._near, None, 0, len(self._near), False)
        return target is not None and target.serve_at(target.shard_of(token), request)

    def choose(
        self, targets: list[Target], numbers: Sequence[int] | None, begin: int, count: int, in_order: bool
    ) -> Target | None:
        """Return one of some targets; None if there is a connection to none that is near.

        That is the first one in order; or, of those with the smallest rank, the less busy of two at random: of two
        that follow each other, from anywhere on.

        Args:
            targets: the targets by their numbers.
            numbers: those of the replicas of all partitions; None if all targets are meant, in their order.
            begin: where those of this partition begin.
            count: how many there are.
            in_order: whether the first one is wanted.
        """
        first: Target | None = None
        second: Target | None = None
        place = 0 if in_order or not count else self._random(count)
        # Where all have everything, some of them will do.
        looked_at = count if in_order else min(count, _MANY)
        for _ in range(looked_at):
            target = targets[place if numbers is None else number_at(numbers, begin + place)]
            place += 1
            if place == count:
                place = 0
            if target.rank >= _FAR or not target.has_streams:
                continue
            if in_order:
                return target
            if first is None or target.rank < first.rank:
                first, second = target, None
            elif second is None and target.rank == first.rank:
                second = target
        if second is not None and first is not None and second.load < first.load:
            return second
        return first

    def _random(self, count: int) -> int:
        """Return a number below `count` that is as good as at random."""
        self._seed = self._seed * 48_271 % 2_147_483_647
        return self._seed // 7 % count


class Route:
    """The way from the values of a prepared statement to a replica: for partitions of one keyspace."""

    __slots__ = ("_in_order", "_numbers", "_partition_key", "_replicas", "_routes", "_targets", "_width")

    def __init__(
        self,
        routes: Routes,
        replicas: ReplicaMap,
        targets: list[Target],
        partition_key: tuple[int, ...],
        in_order: bool,
    ) -> None:
        self._routes = routes
        self._replicas = replicas
        self._numbers = replicas.table
        self._width = replicas.width
        self._targets = targets
        self._partition_key = partition_key
        self._in_order = in_order

    def send(self, values: bytes, request: Request) -> bool:
        """Send `request`, which has these values, to a replica; return False if none has been found that has room."""
        key = routing_key(values, self._partition_key)
        return key is not None and self.serve(key, request)

    def serve(self, key: bytes, request: Request) -> bool:
        """Send `request` to a replica of the partition with this routing key, to the shard that has it if that node has
        any; return False if none has room."""
        token = token_of(key)
        target = self.choose(token)
        if target is None:
            return False
        if not target.shards:
            return target.serve(request)
        return target.serve_at(target.shard_of(token), request)

    def choose(self, token: int) -> Target | None:
        """Return the target of one of the replicas of the partitions with a token, as `Routes.choose`."""
        begin = self._replicas.begin_at(token)
        return self._routes.choose(self._targets, self._numbers, begin, self._width, self._in_order)


class RouteByKeys(Route):
    """The way where tokens are no numbers of 64 bits, as with Cassandra's older partitioners: there are no shards."""

    __slots__ = ()

    def serve(self, key: bytes, request: Request) -> bool:
        """Send `request` to a replica of its partition (`Route`)."""
        begin = self._replicas.begin_of(key)
        target = self._routes.choose(self._targets, self._numbers, begin, self._width, self._in_order)
        return target is not None and target.serve(request)


class TabletRoute(Route):
    """The way to the tablets of a table: to the shard of a replica that has the partition; as long as it is not known
    who has it, to any local node, which knows, and tells.
    """

    __slots__ = ("_led", "_tablets")

    def __init__(
        self,
        routes: Routes,
        tablets: TableTablets,
        partition_key: tuple[int, ...],
        in_order: bool,
        led: bool,
    ) -> None:
        self._routes = routes
        self._tablets = tablets
        self._partition_key = partition_key
        self._in_order = in_order
        self._led = led

    def serve(self, key: bytes, request: Request) -> bool:
        """Send `request` to where its tablet is (`Route`)."""
        token = token_of(key)
        tablet = self._tablets.find(token)
        if tablet is None:
            return self._routes.send_anywhere(token, request)
        return self._routes.send_to_tablet(tablet, self._in_order, self._led, request)
