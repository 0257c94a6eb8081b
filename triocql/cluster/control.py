"""The control connection: on it a session reads what the cluster is made of, and is told what happens to it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

from triocql.cluster.attempts import NEXT, explained, none_of
from triocql.cluster.backoff import BackOff
from triocql.cluster.clientroutes import EVENT
from triocql.cluster.connector import Connector
from triocql.cluster.events import EventWindow, News, read_events
from triocql.cluster.heartbeat import Heartbeat
from triocql.cluster.nodes import Nodes
from triocql.cluster.query import InternalQueries
from triocql.cluster.tables import Tables
from triocql.cluster.topology import Topology
from triocql.cluster.waiting import Due
from triocql.config.report import told
from triocql.engine.connections.connection import Connection
from triocql.errors import Attempt, ConnectError, Error
from triocql.metadata.events import NodeAdded, NodeMoved, NodeRemoved
from triocql.metadata.membership import Change
from triocql.metadata.node import Distance, Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.observability.logs import get_logger
from triocql.protocol.constants import VERSIONS, Opcode
from triocql.protocol.requests import register
from triocql.protocol.responses import SchemaChange

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.abc import Address

logger = get_logger(__name__)

_EVENTS = ("TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE")
# Seconds between two rounds through all nodes, at least.
_SHORTEST_PAUSE = 0.1
# Seconds between two connections, at least: a node may end each of them as soon as it has told all.
_SHORTEST_LIFE = 0.5
# Seconds after which what is doubtful in a reading is read again.
_SECOND_LOOK = 1.0
# Seconds after which client routes that could not be read are read again.
_ROUTES_AGAIN = 30.0


class AnotherNode(ConnectError):
    """A node that is there where another one is known to be."""


class Watcher(Protocol):
    """Told of what happens to the cluster."""

    def changed(self, changes: Mapping[SchemaChange, float], count: int, *, incomplete: bool) -> None:
        """Called with the events of a window that are about the schema, and when they came; `count` are all events,
        and if they are `incomplete`, there were more."""

    def moved(self) -> None:
        """Called when the control connection is another one: events may have been lost."""

    def nodes_changed(self) -> None:
        """Called when the nodes were read, after the snapshot has followed."""


class Control:
    """A connection to one node at a time, and the task that keeps it; the `Owner` of that connection.

    Requests of users have nothing to do with it: while there is none, they go on with the nodes that are known.

    Attributes:
        connection: the connection; None while there is none.
        since: when it was made or lost, by the loop's clock.
    """

    def __init__(self, connector: Connector) -> None:
        self.connection: Connection | None = None
        self._connector = connector
        self._reactor = connector.reactor
        self._topology = Topology(connector.reactor, connector.options.policies.addresses)
        self._routes = connector.routes
        self._told = told(connector.options)
        self._back_off = BackOff(connector.options)
        self._nodes: Nodes | None = None
        self._watcher: Watcher | None = None
        self._window = EventWindow()
        self._close_window: Callable[[], None] | None = None
        self._removed: set[Address] = set()
        self._present: set[Address] = set()
        self._left: Node | None = None
        self._due = Due(connector.reactor)
        self._read_at = -inf
        self._connected_at = -inf
        self.since = connector.reactor.now()
        self._second_look = False
        self._first = Snapshot(tablets=connector.tablets)
        self._rerouted: frozenset[UUID] = frozenset()
        self._closed = False
        self._cancel: Callable[[], None] | None = None

    async def open(self, nodes: Sequence[Node], deadline: float) -> Snapshot:
        """Return the cluster, as the first of these nodes tells that is reached and does, all of them by one deadline.

        One that lets wait leaves half of the time to the others. Raises ConnectError.
        """
        attempts: list[Attempt] = []
        for node in nodes:
            began = self._reactor.now()
            left = max(0.0, deadline - began)
            by = deadline if node is nodes[-1] else began + left / 2
            try:
                change = await self._connect(node, self._known, by)
            except ConnectError as error:
                attempts.append(Attempt(node, error, self._reactor.now() - began, NEXT))
            else:
                return change.snapshot
        raise none_of(attempts, "no contact point tells what its cluster is made of")

    def start(self, nodes: Nodes, watcher: Watcher) -> None:
        """Keep the connection from now on, and have `nodes` follow what it tells."""
        self._nodes = nodes
        self._watcher = watcher
        self._connector.check = self._check_node
        self._first.tablets.on_unknown = self.look
        self._cancel = self._reactor.spawn(self.run)

    def close(self) -> None:
        """End the task and the connection. Synchronous and idempotent."""
        self._closed = True
        if self._cancel is not None:
            self._cancel()
        if self.connection is not None:
            self.connection.close()

    async def run(self) -> None:
        """Read what is due, and go to another node whenever the connection is lost."""
        while not self._closed:
            if not self._due.has_come:
                await self._due.pause()
            elif self.connection is None:
                await self._reconnect()
            else:
                await self._refresh(self.connection)

    # --- Reading -------------------------------------------------------------------------------------------

    async def _refresh(self, connection: Connection) -> None:
        """Read the cluster anew. A connection on which that fails is given up: another node may do better."""
        self._due.when = inf
        expected = self._present, self._removed
        self._present, self._removed = set(), set()
        try:
            await self._read_routes(connection, everything=False)
            self._follow(await self._read(connection, self._known, frozenset(expected[1])))
            self._check(*expected)
        except Error as error:
            if not self._closed:
                logger.warning("%s does not tell what its cluster is made of: %s", connection.name, error)
            connection.abort(error)

    async def _read(
        self,
        connection: Connection,
        known: Snapshot,
        removed: frozenset[Address] = frozenset(),
        by: float = inf,
    ) -> Change:
        self._read_at = self._reactor.now()
        tables = self._tables(connection, by)
        facts = await self._topology.read(tables, known)
        # What is known of keyspaces may be newer than this reading.
        return self._topology.follow(self._known, facts, tables, removed)

    async def _read_routes(self, connection: Connection, by: float = inf, *, everything: bool) -> None:
        """Read by which proxies nodes are reached, if they are."""
        routes = self._routes
        if routes is not None:
            self._rerouted |= await routes.follow(self._tables(connection, by), everything=everything)
            if routes.is_stale:
                self._due.by(self._reactor.now() + _ROUTES_AGAIN)

    def _tables(self, connection: Connection, by: float = inf) -> Tables:
        return Tables(self._reactor, connection, self._connector.options, by)

    def _check(self, present: set[Address], removed: set[Address]) -> None:
        """Look once more, later, if the tables do not say yet what events have said."""
        told = {node.told for node in self._known.nodes}
        if self._second_look or (present <= told and not removed & told):
            self._second_look = False
            return
        self._second_look, self._removed = True, removed
        self._due.by(self._reactor.now() + _SECOND_LOOK)

    def _follow(self, change: Change) -> None:
        """Have pools follow what was read."""
        if self._closed:
            return
        nodes = self._nodes
        assert nodes is not None, "it was started"
        former = nodes.snapshot
        nodes.apply(change.snapshot)
        self._publish(former, change)
        if self._watcher is not None:
            self._watcher.nodes_changed()
        rerouted, self._rerouted = self._rerouted, frozenset()
        for node in change.snapshot.nodes:
            if node in change.upgraded or node.host_id in rerouted:
                nodes.up(node)
        if change.doubted:
            self._due.by(self._reactor.now() + _SECOND_LOOK)

    def _publish(self, former: Snapshot, change: Change) -> None:
        """Tell who listens which nodes are new, gone, or elsewhere."""
        hub = self._connector.hub
        if not hub.listeners:
            return
        added, removed = change.snapshot.since(former)
        for kind, nodes in ((NodeAdded, added), (NodeRemoved, removed)):
            for node in nodes:
                hub.publish(kind(node))
        for node, address in change.moved:
            hub.publish(NodeMoved(node, address))

    @property
    def _known(self) -> Snapshot:
        return self._first if self._nodes is None else self._nodes.snapshot

    @property
    def _timeout(self) -> float:
        return self._connector.options.connection.connect_timeout

    async def _check_node(self, connection: Connection) -> None:
        """Raise unless a connection leads to the node that it is for (`Connector.check`)."""
        node = connection.node
        host_id = None if node.host_id is None else connection.features.host_id
        if host_id is None:
            host_id = await self._topology.who(self._tables(connection), self._known)
        if node.host_id in (None, host_id):
            return
        # Not at once each time: where a node has another identity whenever it is asked, that would never end.
        self._due.by(max(self._reactor.now(), self._read_at + _SECOND_LOOK))
        if node.told is not None and node.address != node.told:
            # A name that stands for several nodes.
            self._topology.forget_address(node)
            if self._nodes is not None:
                self._nodes.apply(self._known)
        raise AnotherNode(f"it is another node: its host_id is {host_id}, not {node.host_id}")

    def look(self) -> None:
        """Have the cluster read anew, soon: a node is heard of that is not known."""
        self._due.by(max(self._reactor.now(), self._read_at + _SECOND_LOOK))

    # --- Connecting ----------------------------------------------------------------------------------------

    async def _reconnect(self) -> None:
        """Go through all nodes until one tells of the cluster; if none does, wait before the next round."""
        self._due.when = inf
        failure: ConnectError | None = None
        nodes = deque(self._candidates())
        while nodes:
            node = nodes.popleft()
            try:
                change = await self._connect(node, self._known)
            except ConnectError as error:
                failure = error
                if isinstance(error, AnotherNode):  # whoever took its place may be all that is left
                    nodes.append(Node(node.address))
            else:
                logger.info("the control connection is one to %s now", node.name)
                self._back_off.reset()
                self._follow(change)
                if self._watcher is not None:
                    self._watcher.moved()
                self._tell_up(change.snapshot, node)
                return
        pause = max(_SHORTEST_PAUSE, self._back_off.next())
        self._due.when = self._reactor.now() + pause
        logger.warning("no node takes the control connection, trying again in %.1f s: %s", pause, failure)

    async def _connect(self, node: Node, known: Snapshot, by: float = inf) -> Change:
        """Make the control connection one to `node`, and read the cluster from it, `by` that time at the latest.

        Each step has the connect timeout, too. Raises ConnectError.
        """
        connection = await self._connector.open(node, None, by, owner=self, told=self._told)
        try:
            await self._register(connection, by)
            await self._read_routes(connection, by, everything=True)
            change = await self._read(connection, known, by=by)
        except BaseException as error:
            connection.abort(error if isinstance(error, Exception) else Error("it was given up"))
            if isinstance(error, Error):
                raise explained(node, error) from error
            raise
        self.connection = connection
        self._connected_at = self.since = self._reactor.now()
        if self._closed:  # on Trio, a task that was cancelled takes one step more
            connection.close()
        else:
            self._reactor.spawn(Heartbeat(self._reactor, connection, self._connector.options.connection).run)
        return change

    async def _register(self, connection: Connection, by: float) -> None:
        deadline = min(by, self._reactor.now() + self._timeout)
        queries = InternalQueries(self._reactor, connection, deadline, self._timeout)
        events = _EVENTS if self._routes is None else (*_EVENTS, EVENT)
        await queries.ask(Opcode.REGISTER, register(events))

    def _candidates(self) -> Iterator[Node]:
        """Give the nodes to be tried: those that are up, then the others, then the contact points as they are now."""
        nodes = list(self._known.nodes)
        random.shuffle(nodes)  # many sessions lose the same node at once
        yield from sorted(nodes, key=self._rank)
        known = {node.address for node in nodes}
        for address in self._connector.options.contact_points:
            if address not in known:
                yield Node(address)

    def _rank(self, node: Node) -> tuple[bool, bool, bool]:
        return node is self._left, node.state is not NodeState.UP, node.distance is not Distance.LOCAL

    def _tell_up(self, snapshot: Snapshot, node: Node) -> None:
        """Have a node dialled that can be reached, as was just seen."""
        if self._nodes is not None and node in snapshot.nodes and node.state is not NodeState.UP:
            self._nodes.up(node)

    # --- Events --------------------------------------------------------------------------------------------

    def _watch_window(self) -> None:
        self._close_window = self._reactor.call_at(self._window.due, self._window_due)

    def _window_due(self) -> None:
        """Close the window, unless more events have come since this was asked for."""
        self._close_window = None
        if self._closed or self._nodes is None or self._window.due == inf:
            return
        if self._reactor.now() < self._window.due:
            self._watch_window()
        else:
            self.read_events()

    def read_events(self) -> None:
        """Look at the events that have come."""
        if self._closed or self._nodes is None or self._window.due == inf:
            return
        news = read_events(self._window.take(), self._connector.version or VERSIONS[0])
        if news.problems:
            logger.warning("events that cannot be read are ignored, such as one: %s", news.problems[0])
        self._take(news, self._nodes)

    def _take(self, news: News, nodes: Nodes) -> None:
        """Do at once what events of known nodes ask for, and have the tables read if they may say more."""
        if self._watcher is not None:
            self._watcher.changed(news.schema, news.count, incomplete=news.incomplete)
        for address, up in news.up.items():
            node = nodes.snapshot.node_told(address)
            if node is None:
                news.present.update([address] if up else [])
            elif up:
                nodes.up(node)
            else:
                nodes.down(node)
        if self._routes is not None and self._routes.told(news.routes, incomplete=news.incomplete):
            self._due.by(self._reactor.now())
        if news.concerns_nodes:
            self._present = (self._present | news.present) - news.removed
            self._removed = (self._removed | news.removed) - news.present
            self._due.by(self._reactor.now())

    # --- What the connection tells (`Owner`) ---------------------------------------------------------------

    def on_reading(self) -> None:
        """Called before answers are given out."""

    def on_read(self) -> None:
        """Called after that."""

    def on_room(self) -> None:
        """Called when stream ids became free."""

    def on_event(self, connection: Connection, body: bytes, flags: int) -> None:
        """Called with an event: it is looked at when its window closes."""
        self._window.add(flags, body, self._reactor.now())
        if self._close_window is None:
            self._watch_window()

    def on_draining(self, connection: Connection) -> None:
        """Called when too many requests were given up: it is replaced, and what it has still ends."""
        self._gone(connection)

    def on_lost(self, connection: Connection, error: Exception) -> None:
        """Called at the end of the connection."""
        if connection is self.connection and not self._closed:
            logger.info("lost the control connection to %s: %s", connection.name, str(error) or repr(error))
        self._gone(connection)

    def _gone(self, connection: Connection) -> None:
        if connection is self.connection:
            self.connection = None
            self._left = connection.node
            self.since = self._reactor.now()
            self._due.by(max(self._reactor.now(), self._connected_at + _SHORTEST_LIFE))
