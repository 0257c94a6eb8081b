"""The metrics of a session, put together of its meters and of what it has under way.

Any thread may do so: nothing is waited for or changed, and what others may change meanwhile is copied first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from triocql.observability.meters import RequestMeter
from triocql.observability.metrics import Metrics, NodeMetrics, ShardMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.engine.connections.connection import Connection
    from triocql.engine.executing.executor import Executor
    from triocql.engine.routing.router import Router
    from triocql.metadata.node import Node
    from triocql.observability.meters import Meters, NodeMeter


class Stats(NamedTuple):
    """Counts of what a session has under way: connections, requests in flight, queued, and abandoned."""

    connections: int
    in_flight: int
    queued: int
    orphans: int


def stats(router: Router) -> Stats:
    """Return what is under way now."""
    connections = router.connections()
    return Stats(
        connections=len(connections),
        in_flight=sum(len(connection.in_flight) for connection in connections),
        queued=router.held,
        orphans=sum(len(connection.orphans) for connection in connections),
    )


def read(meters: Meters, executor: Executor, nodes: Iterable[Node]) -> Metrics:
    """Return what was counted so far; `nodes` are those that are known now."""
    router = executor.router
    connections: dict[Node, list[Connection]] = {}
    for connection in router.connections():
        connections.setdefault(connection.node, []).append(connection)

    def of(meter: NodeMeter) -> NodeMetrics:
        node = meter.node
        mine = connections.get(node, [])
        return meter.read(
            state=node.state,
            is_slow=router.is_slow(node),
            connections=len(mine),
            in_flight=sum(len(connection.in_flight) for connection in mine),
            orphans=sum(len(connection.orphans) for connection in mine),
            shards=_shards(node, mine),
        )

    measured = {meter.node: of(meter) for meter in meters.nodes()}
    known = tuple(measured.pop(node) for node in nodes if node in measured)
    return Metrics(
        requests=tuple(each for each in map(RequestMeter.read, meters.requests()) if each.outcomes),
        nodes=known,
        former_nodes=NodeMetrics.together((meters.forgotten, *measured.values())),
        queued=sum(map(len, router.queues)),
        queued_bytes=sum(queue.size for queue in router.queues),
        waiting=len(router.waiting),
        throttled=sum(map(len, router.others)),
        backing_off=len(router.delays),
        prepared=len(executor.preparing),
    )


def _shards(node: Node, connections: Iterable[Connection]) -> tuple[ShardMetrics, ...]:
    """Return what is under way with each shard of a node, by these connections."""
    by_shard: list[list[Connection]] = [[] for _ in range(node.shard_count or 0)]
    for connection in connections:
        if 0 <= connection.shard < len(by_shard):
            by_shard[connection.shard].append(connection)
    return tuple(
        ShardMetrics(
            number,
            len(mine),
            sum(len(connection.in_flight) for connection in mine),
            sum(len(connection.orphans) for connection in mine),
        )
        for number, mine in enumerate(by_shard)
    )
