"""What many nodes cost, on the simulated reactor: routing, a request, memory, and to connect; CPU time.

python -m tests.benchmarks.bench_nodes
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, NamedTuple

import triocql
from tests.engine.rings import KEYSPACE, key_of, keyed, know, nodes_of, snapshot_of
from tests.engine.world import INSERT, World
from triocql import _impl

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = (3, 30, 300)
THRICE = {"class": "SimpleStrategy", "replication_factor": "3"}
KEYS = [key_of(number) for number in range(5_000)]
IN_FLIGHT = 8
"""A node, so that what arrives from one is as much everywhere."""
ROUNDS = 7


class Cost(NamedTuple):
    """What so many nodes cost.

    Attributes:
        connecting: seconds of CPU until there is a session, with all that the nodes of the simulation do for it.
        routing: microseconds to find the replicas of a partition and to choose one of them.
        request: microseconds of a request, with all that the node of the simulation does for it.
    """

    connecting: float
    routing: float
    request: float


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of CPU that a call takes."""
    before = time.process_time()
    call()
    return time.process_time() - before


def best(call: Callable[[], object]) -> float:
    """Return the seconds of CPU that a call takes in the best of some rounds."""
    gc.collect()
    return min(seconds(call) for _ in range(ROUNDS))


def cost(count: int) -> Cost:
    """Measure one number of nodes."""
    world, sessions = World(count=count), []
    connecting = seconds(lambda: sessions.append(world.call(world.connect().__aenter__)))
    (session,) = sessions
    snapshot = know(world, session, snapshot_of(nodes_of(session), THRICE, tokens=16))
    statement = keyed(world, session, INSERT)
    parameters = [[number] for number in range(3_000 * (1 + count // 100))]

    def request() -> None:
        world.call(triocql.execute_concurrent_with_args, session, statement, parameters, IN_FLIGHT * count)

    of_requests = best(request) / len(parameters)  # the first round has the nodes prepare the statement
    routes = session._context.executor.router.turn.routes
    replicas = snapshot.replica_map(KEYSPACE)
    assert replicas is not None

    def route() -> None:
        for key in KEYS:
            routes.choose(replicas.replicas(key), False)

    of_routing = best(route) / len(KEYS)
    world.call(session.aclose)
    return Cost(connecting, of_routing * 1e6, of_requests * 1e6)


def memory(count: int, connections: int) -> int:
    """Return the bytes that the driver has, and not the nodes, with so many connections to each of so many."""
    world = World(count=count, connections_local=connections)
    gc.collect()
    tracemalloc.start()
    session: Any = world.call(world._open)
    gc.collect()
    taken = tracemalloc.take_snapshot()
    tracemalloc.stop()
    world.call(session.aclose)
    driver = taken.filter_traces(
        [tracemalloc.Filter(True, "*/triocql/*"), tracemalloc.Filter(False, "*/triocql/testing/*")]
    )
    return sum(statistic.size for statistic in driver.statistics("filename"))


def main() -> None:
    """Measure, and print."""
    print(f"{_impl.impl}; 3 replicas, {IN_FLIGHT} requests in flight a node")
    costs = {count: cost(count) for count in COUNTS}
    few = costs[COUNTS[0]]
    for count, each in costs.items():
        print(
            f"{count:4} nodes: connect {each.connecting:5.2f} s, "
            f"look-up and choice {each.routing:.3f} µs ({each.routing / few.routing:.2f}), "
            f"request {each.request:.1f} µs ({each.request / few.request:.2f})"
        )
    many = COUNTS[1]
    one, two = memory(many, 1), memory(many, 2)
    a_connection = (two - one) / many
    print(
        f"memory: {a_connection / 1024:.1f} KiB a connection, beside the 128 KiB that it receives into; "
        f"{one / many / 1024 - a_connection / 1024:.1f} KiB a node"
    )


if __name__ == "__main__":
    main()
