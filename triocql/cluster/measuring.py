"""The metrics of a session, put together of its meters and of what it has under way.

Any thread may do so: nothing is waited for or changed, and what others may change meanwhile is copied first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.observability.meters import RequestMeter
from triocql.observability.metrics import Metrics, NodeMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.engine.connections.connection import Connection
    from triocql.engine.executing.executor import Executor
    from triocql.metadata.node import Node
    from triocql.observability.meters import Meters, NodeMeter


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
