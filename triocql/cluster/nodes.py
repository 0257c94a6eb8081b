"""The pool of each node and the task that fills it, from when the node is known until it is not any more."""

from __future__ import annotations

from functools import partial

from triocql.cluster.connector import Connector
from triocql.cluster.permits import Permits
from triocql.cluster.refiller import DRAIN, PoolRefiller
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.executing.executor import Executor
from triocql.engine.requests.telling import call
from triocql.engine.routing.router import Router
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.metadata.states import Sign

_DIALS = 32
"""How many nodes are dialled at the same time."""


class Nodes:
    """Starts, resizes and stops the pools of nodes, as one snapshot of the cluster follows another.

    Attributes:
        snapshot: the newest one. It is replaced as a whole.
    """

    def __init__(self, connector: Connector, router: Router, executor: Executor) -> None:
        self.snapshot = Snapshot()
        self._connector = connector
        self._router = router
        self._hub = connector.hub
        self._executor = executor
        self._sizes = connector.options.pool.sizes
        self._dials = Permits(connector.reactor, _DIALS)
        self._refillers: dict[Node, PoolRefiller] = {}

    def apply(self, snapshot: Snapshot) -> None:
        """Let `snapshot` follow: dial the nodes that it adds or that have moved, and let go of those that it lacks.

        A node whose distance has changed gets as many connections as that one has. What is in flight on connections
        that go still ends, within a bound; what waited for one of them waits for others, if they can be had.
        """
        self.snapshot = snapshot
        self._router.apply(snapshot)
        self._connector.meters.forget(snapshot.nodes)
        wanted = {node: size for node in snapshot.nodes if (size := self._sizes[node.distance])}
        stopped = [
            refiller for node, refiller in self._refillers.items() if node not in wanted or refiller.has_moved
        ]
        for node in snapshot.nodes:
            self._hub.show(node, Sign.WANTED if node in wanted else Sign.UNWANTED)
        # The new ones first: what waits for those that go finds somebody to wait for.
        for node, size in wanted.items():
            self._keep(node, size)
        call([partial(self._stop, refiller) for refiller in stopped])

    def up(self, node: Node) -> None:
        """The cluster says that `node` is up: what is missing there is dialled now."""
        refiller = self._refillers.get(node)
        if refiller is not None:
            refiller.up()

    def down(self, node: Node) -> None:
        """The cluster says that `node` is down, which nobody believes who has a connection to it."""
        self._hub.show(node, Sign.SAID_DOWN)

    def adopt(self, connection: Connection) -> None:
        """Put a connection that was made before there were any pools into the pool of its node, if it has one."""
        refiller = self._refillers.get(connection.node)
        if refiller is None:
            connection.close()
        else:
            refiller.adopt(connection)

    async def warm_up(self, by: float) -> None:
        """Wait until there is a connection to each local node, or its first dial has failed; until `by` at most.

        Nodes that have none by then are down; what is under way goes on.
        """
        for refiller in tuple(self._refillers.values()):
            if refiller.pool.node.distance is Distance.LOCAL:
                await refiller.tried(by)

    def _keep(self, node: Node, size: int) -> None:
        refiller = self._refillers.get(node)
        if refiller is None or refiller.has_moved:
            self._start(node, size)
        else:
            self._router.resize(refiller.pool, size, self._drained_by())
            refiller.resized()

    def _start(self, node: Node, size: int) -> None:
        options = self._connector.options
        pool = Pool(node, size, options.connection.fill_threshold, options.scylla.connections_per_shard)
        self._router.add(pool)
        refiller = PoolRefiller(self._connector, self._router, self._executor, self._dials, pool)
        self._refillers[node] = refiller
        refiller.start()

    def _stop(self, refiller: PoolRefiller) -> None:
        node = refiller.pool.node
        if self._refillers.get(node) is refiller:
            del self._refillers[node]
        refiller.stop()
        self._router.remove(refiller.pool, self._drained_by())

    def _drained_by(self) -> float:
        return self._router.clock.now() + DRAIN
