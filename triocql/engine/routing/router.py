"""Routing as a whole: its parts put together, and called about what happens on the connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from triocql._brief import brief
from triocql.config.groups import PoolOptions
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.requests import Request
from triocql.engine.requests.clock import Clock
from triocql.engine.requests.queue import RequestQueue
from triocql.engine.requests.telling import call
from triocql.engine.routing.backlog import Backlog
from triocql.engine.routing.dispatch import Dispatcher
from triocql.engine.routing.ending import Ending
from triocql.engine.routing.pools import Pools
from triocql.errors import OptionError, ProtocolError
from triocql.metadata.node import Distance, Node
from triocql.metadata.sharding import Sharder
from triocql.metadata.snapshot import Snapshot
from triocql.metadata.tabletstore import Tablets
from triocql.observability.logs import get_logger
from triocql.policies.balancing import BalancingPolicy, DefaultBalancing, default_of
from triocql.policies.balancing.latency import EVERY

logger = get_logger(__name__)

_NEAREST = (Distance.LOCAL, Distance.REMOTE, Distance.IGNORED)

# So many unasked events are ignored.
_MOST_EVENTS = 1000


class Router:
    """Sends requests to the nodes in turn, and queues them when all is full; the `Owner` of all connections.

    Attributes:
        pools: of all nodes.
        tablets: what is known of the tablets of tables.
        queue: what waits for room.
        waiting: what waits for a connection, or for something to be prepared.
        delays: what waits for the time at which it is tried again.
        others: what holds requests for other reasons, until the session ends: `add_queue` adds one.
        turn: the node whose turn it is.
        reading: whether a batch of responses is being given out.
        after_reading: what is put off to its end.
    """

    def __init__(self, clock: Clock, options: PoolOptions, policy: BalancingPolicy | None = None) -> None:
        self.clock = clock
        self.pools = Pools()
        self.tablets = Tablets()
        self.reading = False
        self.after_reading: list[Callable[[], None]] = []
        self._backlog = backlog = Backlog(clock, options, self.pools)
        self._ending = ending = Ending(self.pools, backlog)
        self._policy = DefaultBalancing() if policy is None else policy
        self._policies = [self._policy]
        self._default = default_of(self._policy)
        self._defaults = [] if self._default is None else [self._default]
        self._dispatcher = dispatcher = Dispatcher(self._policy, self.pools, backlog, ending)
        self.queue, self.waiting, self.delays = backlog.queue, backlog.waiting, backlog.delays
        self.tablets.on_change = dispatcher.reroute
        self.turn, self.plan = dispatcher.turn, dispatcher.plan
        self.submit, self.delay = dispatcher.submit, dispatcher.delay
        self.next_connection = dispatcher.next_connection
        self.others, self.add_queue = backlog.others, backlog.others.append
        self._absence, self._apart = backlog.absence, backlog.apart
        self.drain, self.end, self.ended_error = ending.drain, ending.end, ending.error
        self.connections = self.pools.connections
        self.on_drained = ending.on_drained

    @property
    def ending(self) -> Exception | None:
        """The reason for which nothing more is sent; None while there is none."""
        return self._ending.reason

    @property
    def held(self) -> int:
        """How many requests wait, for whatever it is."""
        return sum(map(len, (self.waiting, *self.queues, self.delays, *self.others)))

    @property
    def queues(self) -> tuple[RequestQueue[Request], ...]:
        """All queues of what waits for room."""
        return tuple(self._backlog.queues)

    # --- What those tell who run things for the nodes ------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> None:
        """Let `snapshot` follow: it is what the policy decides by from now on. Each node gets its distance.

        Raises OptionError for options of the policy that are not right, as far as the first nodes can show that.
        """
        self.tablets.follow(snapshot.nodes, snapshot.keyspaces)
        told = [
            [self._distance(policy, node, snapshot) for node in snapshot.nodes] for policy in self._policies
        ]
        for node, *distances in zip(snapshot.nodes, *told, strict=True):
            node.distance = min(distances, key=_NEAREST.index)
        self._useless = [
            policy
            for policy, distances in zip(self._policies, told, strict=True)
            if all(each is Distance.IGNORED for each in distances)
        ]
        for default in self._defaults:
            if missed := default.missed_rack(snapshot):
                logger.warning("no node is preferred: %s", missed)
        self._dispatcher.follow(snapshot)

    def check_use(self) -> None:
        """Raise OptionError if a policy has no use for any node that there is: nothing could ever be asked."""
        if self._useless:
            raise self._absence.unused(self._useless[0])

    def add_policy(self, policy: BalancingPolicy) -> None:
        """Let `policy` decide about some requests, and which nodes there are connections to for them."""
        self._policies.append(policy)
        self._apart[id(policy)] = RequestQueue(self.clock)
        if (default := default_of(policy)) is not None:
            self._defaults.append(default)

    def _distance(self, policy: BalancingPolicy, node: Node, snapshot: Snapshot) -> Distance:
        """Return how far a node is; as far as it was before if the policy fails to tell. A node without connections is
        left out then: no policy has let it in.

        While a session is opened, Ctrl-C and the like are the caller's, who waits for that.
        """
        try:
            return _checked(policy.distance(node, snapshot))
        except BaseException as error:  # of the policy: whoever follows a snapshot has to go on
            if not len(self.pools) and (isinstance(error, OptionError) or not isinstance(error, Exception)):
                raise
            logger.exception("the balancing policy raised in distance(), for %s", node.name)
        return node.distance if any(pool.node is node for pool in self.pools) else Distance.IGNORED

    def add(self, pool: Pool) -> None:
        """Send requests to the node of `pool`, too."""
        self.pools.add(pool)
        self._dispatcher.added(pool)
        if self._defaults:
            statistics = pool.node.statistics
            statistics.due = 0.0
            statistics.measured = partial(self._measured, pool.node)

    def resize(self, pool: Pool, size: int, by: float) -> None:
        """Have `size` connections in `pool`. Those that are too many close once what is in flight on them has ended,
        at `by` at the latest."""
        self.let_go(pool.resize(size), by)

    def divide(self, pool: Pool, sharder: Sharder | None) -> list[Connection]:
        """Have `pool` have the shards that its node has by now; return the connections that are not its any more."""
        stale = pool.divide(sharder)
        self._dispatcher.reroute()
        return stale

    def let_go(self, connections: Iterable[Connection], by: float) -> None:
        """Close connections that are in no pool any more, once what is in flight on them has ended, at `by` at the
        latest."""
        call([partial(connection.drain, by) for connection in connections])

    def remove(self, pool: Pool, by: float) -> None:
        """Send nothing more by `pool`; its connections close as those do that are too many. What waited for it waits
        for other nodes, or fails if they cannot be had either."""
        self.pools.remove(pool)
        self._dispatcher.reroute()
        self.resize(pool, 0, by)
        if self._is_waiting or len(self.waiting):
            self._find_others()
        self._backlog.forget(pool.node)

    @property
    def _is_waiting(self) -> bool:
        """Whether something waits for room."""
        return bool(self.queue.held) or any(queue.held for queue in self._apart.values())

    def _measured(self, node: Node, seconds: float, now: float) -> None:
        node.statistics.due = now + EVERY
        changes = [default.latencies.record(node, seconds, now) for default in self._defaults]
        if any(changes):
            self._dispatcher.rank()

    def is_slow(self, node: Node) -> bool:
        """Whether others are preferred to `node`, as it has taken long to answer lately."""
        return any(node in default.latencies.slow for default in self._defaults)

    def on_connected(self) -> None:
        """Called when a pool got a connection."""
        self._dispatcher.send_waiting()

    def on_dial_failed(self) -> None:
        """Called when a node is not dialled any more for now."""
        self._backlog.give_up()

    # --- What connections tell (`Owner`) -------------------------------------------------------------------

    def on_reading(self) -> None:
        """Called before a batch of responses is given out: what follows from it is put off to its end."""
        self.reading = True

    def on_read(self) -> None:
        """Called after it: send what is queued, then do what was put off."""
        self.reading = False
        # Mostly there is neither; and most sessions have one queue.
        if self.after_reading or self.queue.held or (self._apart and self._is_waiting):
            following, self.after_reading = self.after_reading, []
            call((self.on_room, *following))

    def on_room(self) -> None:
        """Called when there may be room."""
        if self._is_waiting:
            self._dispatcher.send_queued()

    def on_event(self, connection: Connection, body: bytes, flags: int) -> None:
        """Called with an event. Nothing subscribes to any here, so each is the node's mistake: the first one is logged.
        Raises ProtocolError if it goes on and on."""
        if connection.events == 1:
            logger.warning("%s sends events that it was not asked for; they are ignored", connection.name)
        elif connection.events > _MOST_EVENTS:
            raise ProtocolError(
                f"{connection.name} sent {connection.events:,} events that it was not asked for"
            )

    def on_draining(self, connection: Connection) -> None:
        """Called when a connection takes no more requests: it is replaced, unless its node is gone."""
        if self.ending is None and self.pools.has(connection):
            logger.info(
                "a connection to %s takes no more requests and is replaced: %d abandoned ones have no answer",
                connection.name,
                len(connection.orphans),
            )
        self.pools.drain(connection)
        if self._is_waiting:
            self._find_others()

    def on_lost(self, connection: Connection, error: Exception) -> None:
        """Called at the end of a connection: it is replaced, unless its node is gone."""
        if self.ending is None and self.pools.has(connection):
            logger.warning("lost a connection to %s: %s", connection.name, str(error) or repr(error))
        self.pools.discard(connection)
        if self._is_waiting:
            self._find_others()
        self._ending.check()

    def _find_others(self) -> None:
        self._backlog.find_others()
        if self._apart:  # the nodes of one policy may all be gone, while those of others are there
            self._dispatcher.send_queued()


def _checked(distance: object) -> Distance:
    """Return a distance that a policy gave. Raises OptionError for what is none."""
    if not isinstance(distance, Distance):
        raise OptionError(
            f"distance() of the balancing policy returned {brief(distance)}; it has to return triocql.Distance.LOCAL, "
            "REMOTE or IGNORED"
        )
    return distance
