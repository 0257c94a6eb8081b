"""The engine of a session and the tasks that keep its connections, opened and closed as one."""

from __future__ import annotations

from ipaddress import ip_address

from triocql.abc import Address, Reactor
from triocql.cluster.connector import Connector
from triocql.cluster.contacts import Contacts
from triocql.cluster.control import Control
from triocql.cluster.health import HealthReader
from triocql.cluster.hub import Listener
from triocql.cluster.measuring import read
from triocql.cluster.nodes import Nodes
from triocql.cluster.pulse import Pulse
from triocql.cluster.schema import Schema
from triocql.cluster.waiting import nothing, until
from triocql.codecs.registry import Registry
from triocql.config.options import Options
from triocql.engine.executing.executor import Executor
from triocql.engine.executing.slowlog import SlowLog
from triocql.engine.requests.clock import Clock
from triocql.engine.routing.router import Router
from triocql.errors import InternalError, SessionClosed
from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot
from triocql.observability.health import Health
from triocql.observability.logs import get_logger
from triocql.observability.meters import Meters
from triocql.observability.metrics import Metrics
from triocql.reactors.forks import check_process, this_process

logger = get_logger(__name__)

_MOST_TOLD = 20


class Cluster:
    """The engine of one session on one reactor, which has to be entered before and left after it.

    Attributes:
        hub: the events of the session.
        meters: what is counted.
    """

    def __init__(self, reactor: Reactor, options: Options, registry: Registry) -> None:
        self.reactor = reactor
        self.options = options
        self.registry = registry
        self.clock = Clock(reactor)
        self.router = Router(self.clock, options.pool, options.balancing_policy)
        self.meters = Meters(self.clock.moment, self._slow_log())
        self._connector = Connector(
            reactor, self.clock, options, self.router, self.meters, self.router.tablets
        )
        self.hub = self._connector.hub
        self._control = Control(self._connector)
        self._pulse = Pulse(reactor, self.clock, options.connection)
        self._health = HealthReader(self.router, self._control, self._pulse)
        self._executor: Executor | None = None
        self._nodes: Nodes | None = None
        self._schema: Schema | None = None
        self._process = this_process()
        reactor.on_bug = self._bug

    def _slow_log(self) -> SlowLog | None:
        seconds, shows_values = self.options.slow_request, self.options.slow_request_values
        if seconds is None:
            return None
        return SlowLog(seconds, shows_values=shows_values, registry=self.registry)

    @property
    def executor(self) -> Executor:
        """The executor, which starts requests; there once `open` has returned."""
        assert self._executor is not None
        return self._executor

    @property
    def nodes(self) -> Nodes:
        """The pools and tasks of the nodes; there once `open` has returned."""
        assert self._nodes is not None
        return self._nodes

    @property
    def schema(self) -> Schema:
        """What is done about the schema; there once `open` has returned."""
        assert self._schema is not None
        return self._schema

    def metrics(self) -> Metrics:
        """Return what was counted so far, and what is under way. Raises UsageError in the child of a fork."""
        check_process(self._process)
        return read(self.meters, self.executor, self.nodes.snapshot.nodes)

    def health(self) -> Health:
        """Return what the session can do now, as far as is known. Raises UsageError in the child of a fork."""
        check_process(self._process)
        agreed = self.schema.agreement.latest
        return self._health.read(self.nodes.snapshot, self.reactor.now(), schema_agreed=agreed)

    def listen(self) -> Listener:
        """Return who gets the events from now on. Raises UsageError in the child of a fork, where there are none."""
        check_process(self._process)
        return self.hub.listen(self.reactor)

    async def open(self) -> None:
        """Connect to the first contact point that answers, read what its cluster is made of, and connect to its nodes,
        within the connect timeout.

        From then on connections to them are kept. Nodes that cannot be reached by then are down, and dialled again
        later. Raises ConnectError with every attempt; the error itself if there was one contact point; and OptionError
        if the balancing policy has no use for any node.
        """
        self._pulse.beat()
        deadline = self.clock.now() + self.options.connection.connect_timeout
        contact_points = tuple(map(Node, self.options.contact_points))
        try:
            first = await Contacts(self._connector, contact_points, deadline).connect()
            version = first.framing.version
            self._executor = Executor(self.router, self.options, self.registry, version, self.meters)
            self._nodes = Nodes(self._connector, self.router, self._executor)
            try:
                others = (node for node in contact_points if node is not first.node)
                snapshot = await self._control.open((first.node, *others), deadline)
                self._nodes.apply(snapshot)
                if self._connector.routes is None:
                    _tell_unknown(snapshot, self.options.contact_points)
                self.router.check_use()
            except BaseException:
                first.abort(_closed())
                raise
            self._nodes.adopt(first)
            self._schema = Schema(
                self.reactor, self.options, self.router, self._control, self._nodes, self.hub
            )
            self._control.start(self._nodes, self._schema)
            await self._schema.refresh.load(deadline)
            self._schema.loader.start()
            await self._nodes.warm_up(deadline)
            await self._schema.loader.loaded(deadline)
            logger.info("opened a session with %s", self.router.pools.names)
        except BaseException:
            self.close()
            raise

    async def leave(self, seconds: float) -> None:
        """Start nothing more, wait `seconds` at most for what is in flight or on its way out, and leave the reactor."""
        try:
            end = self.clock.now() + seconds
            await self._drained(seconds)
        except BaseException as error:
            self.close()
            await self.reactor.__aexit__(type(error), error, error.__traceback__)
            raise
        self.close()
        if seconds <= 0:
            self.reactor.drop()
        cancel = self.reactor.call_at(end, self.reactor.drop)
        try:
            await self.reactor.__aexit__(None, None, None)
        finally:
            cancel()

    def close(self) -> None:
        """Fail what is under way with SessionClosed, and close every connection. Synchronous and idempotent."""
        self._end(_closed())

    async def _drained(self, seconds: float) -> None:
        self._control.close()
        self.router.drain(_closed())
        if seconds <= 0 or not self.router.connections():
            return
        waiter = self.reactor.waiter(nothing)
        self.router.on_drained.append(lambda: waiter.resolve(None))
        await until(self.reactor, waiter, self.clock.now() + seconds, None)

    def _end(self, reason: Exception) -> None:
        self._pulse.stop()
        self._control.close()
        if self._schema is not None:
            self._schema.close()
        self.router.end(reason)
        self.hub.end()
        self.clock.close()

    def _bug(self, error: BaseException) -> None:
        """A background task failed with a bug: every later call says so."""
        if self.router.ending is None:
            logger.error("the session ends because of a bug: %r", error, exc_info=error)
        if not isinstance(error, Exception):
            # SystemExit, say, of code that was given: it ends the session, and not those who use it.
            reason = InternalError(f"a task of the session ended with {error!r}")
            reason.__cause__ = error
            error = reason
        self._end(error)


def _tell_unknown(snapshot: Snapshot, contact_points: tuple[Address, ...]) -> None:
    """Log the contact points that are no node's address: they serve only where no node can be reached.

    A name may stand for any of the nodes, and a socket has no address to compare.
    """
    known = {address for node in snapshot.nodes for address in (node.address, node.told)}
    unknown = [each for each in contact_points if each not in known and _is_literal(each)]
    if unknown:
        logger.warning(
            "contact points that are none of the cluster's nodes are left out: %s",
            ", ".join(map(str, unknown[:_MOST_TOLD])),
        )


def _is_literal(address: Address) -> bool:
    """Return whether `address` is a number, not a name."""
    try:
        ip_address(address.host)
    except ValueError:
        return False
    return True


def _closed() -> SessionClosed:
    return SessionClosed("the session is closed")
