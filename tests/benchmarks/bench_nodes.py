"""What many nodes cost, on the simulated reactor: routing, a request, memory, and to connect; CPU time.

python -m tests.benchmarks.bench_nodes
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import triocql
from tests.engine import wire
from tests.engine.rings import KEYSPACE, key_of, keyed, know, nodes_of, snapshot_of
from tests.engine.world import INSERT, World
from triocql import _impl
from triocql.metadata.partitioners import MURMUR3

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.peer import PeerLink

COUNTS = (3, 30, 300)
THRICE = {"class": "SimpleStrategy", "replication_factor": "3"}
TOKENS = [MURMUR3.token(key_of(number)) for number in range(5_000)]
IN_FLIGHT = 8
"""A node, so that what arrives from one is as much everywhere."""
WINDOWS = 40
"""How often each place of a window is taken, so that its beginning and its end count as much everywhere."""
MORE = (80, 800)
"""In flight at each of few nodes: as many in all as at 30 and at 300, for what is in flight takes memory."""
ROUNDS = 7


class Cost(NamedTuple):
    """What so many nodes cost.

    Attributes:
        connecting: seconds of CPU until there is a session, with all that the nodes of the simulation do for it.
        routing: microseconds to find the replicas of a partition and to choose one of them.
        request: microseconds of a request, with the little that the simulation does for it.
    """

    connecting: float
    routing: float
    request: float


class Echo:
    """What a node's end of a connection is replaced by: it answers all with nothing, without looking at it.

    It keeps nothing, either: what nodes remember takes memory, the more of it the more nodes there are.
    """

    def __init__(self, link: PeerLink) -> None:
        self._link = link
        self._left = b""
        link.data_received = self.data_received  # type: ignore[method-assign]

    def data_received(self, data: bytes | memoryview) -> None:
        """Answer what is complete (`Link`)."""
        received, at = self._left + bytes(data), 0
        while len(received) >= (begin := at + 9):
            end = begin + int.from_bytes(received[at + 5 : begin], "big")
            if len(received) < end:
                break
            self._link.send(int.from_bytes(received[at + 2 : at + 4], "big"), wire.RESULT, _VOID)
            at = end
        self._left = received[at:]


_VOID = wire.void()


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of CPU that a call takes."""
    before = time.process_time()
    call()
    return time.process_time() - before


def best(call: Callable[[], object]) -> float:
    """Return the seconds of CPU that a call takes in the best of some rounds."""
    gc.collect()
    return min(seconds(call) for _ in range(ROUNDS))


def cost(count: int, in_flight: int = IN_FLIGHT) -> Cost:
    """Measure one number of nodes, with so many requests in flight at each."""
    world, sessions = World(4, count=count), []
    connecting = seconds(lambda: sessions.append(world.call(world.connect().__aenter__)))
    (session,) = sessions
    know(world, session, snapshot_of(nodes_of(session), THRICE, tokens=16))
    statement = keyed(world, session, INSERT)
    parameters = [[number] for number in range(1_000)]  # equally many, which take the same memory everywhere

    def request() -> None:
        total = WINDOWS * in_flight * count
        source = islice(cycle(parameters), total)
        world.call(triocql.execute_concurrent_with_args, session, statement, source, in_flight * count)

    request()  # has the nodes prepare the statement
    for node in world.nodes:
        for link in node.links:
            Echo(link)
    of_requests = best(request) / (WINDOWS * in_flight * count)
    way = session._context.executor.router.turn.routes.keyed(KEYSPACE, None, False, triocql.Consistency.ONE)

    def route() -> None:
        for token in TOKENS:
            way.choose(token)

    of_routing = best(route) / len(TOKENS)
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
    for in_flight in MORE:
        request = cost(COUNTS[0], in_flight).request
        print(f"{COUNTS[0]:4} nodes, {in_flight} in flight at each: request {request:.1f} µs")
    many = COUNTS[1]
    one, two = memory(many, 1), memory(many, 2)
    a_connection = (two - one) / many
    print(
        f"memory: {a_connection / 1024:.1f} KiB a connection, beside the 128 KiB that it receives into; "
        f"{one / many / 1024 - a_connection / 1024:.1f} KiB a node"
    )


if __name__ == "__main__":
    main()
