"""The pool of each node and the task that fills it, from when the node is known until it is not any more."""

from __future__ import annotations

from collections.abc import Callable

from triocql.cluster.connector import Connector
from triocql.cluster.refiller import PoolRefiller
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.requests.telling import call
from triocql.engine.routing.keyspaces import Keyspaces
from triocql.engine.routing.router import Router
from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot


class Nodes:
    """Starts and stops the pools of nodes, as one snapshot of the cluster follows another.

    Attributes:
        snapshot: the newest one. It is replaced as a whole.
    """

    def __init__(self, connector: Connector, router: Router, keyspaces: Keyspaces) -> None:
        self.snapshot = Snapshot()
        self._connector = connector
        self._router = router
        self._keyspaces = keyspaces
        self._refillers: dict[Node, PoolRefiller] = {}

    def apply(self, snapshot: Snapshot) -> None:
        """Let `snapshot` follow: dial the nodes that it adds, and let go of those that it lacks.

        What is in flight on those still ends; what waited for one of them waits for the others, if they can be had.
        """
        added, removed = snapshot.since(self.snapshot)
        self.snapshot = snapshot
        # The new ones first: what waits for those that go finds somebody to wait for.
        for node in added:
            self._start(node)
        call([self._stopping(node) for node in removed])

    def adopt(self, connection: Connection) -> None:
        """Put a connection that was made before there were any pools into the pool of its node."""
        self._refillers[connection.node].adopt(connection)

    def _start(self, node: Node) -> None:
        options = self._connector.options
        pool = Pool(node, options.pool.connections_local, options.connection.fill_threshold)
        self._router.add(pool)
        refiller = PoolRefiller(self._connector, self._router, self._keyspaces, pool)
        self._refillers[node] = refiller
        refiller.start()

    def _stopping(self, node: Node) -> Callable[[], None]:
        refiller = self._refillers.pop(node)

        def stop() -> None:
            refiller.stop()
            self._router.remove(refiller.pool)

        return stop
