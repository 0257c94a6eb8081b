"""One connection, from dialling to ready: TLS, protocol version, compression, authentication, keyspace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from math import inf
from uuid import uuid4

from triocql import errors
from triocql.abc import Address, Link, LocalPortUnavailable, Reactor, Transport
from triocql.cluster.clientroutes import ProxyRoutes
from triocql.cluster.hub import EventHub
from triocql.cluster.query import Answer, InternalQueries
from triocql.cluster.ways import NoLocalPort, Way
from triocql.cluster.workers import Workers
from triocql.config.options import Options
from triocql.engine.connections.connection import Connection, State
from triocql.engine.contracts import Owner
from triocql.engine.requests.clock import Clock
from triocql.metadata.node import Node, NodeState
from triocql.metadata.sharding import Sharder
from triocql.metadata.tabletstore import Tablets
from triocql.observability.logs import get_logger
from triocql.observability.meters import Meters
from triocql.protocol.constants import V4, VERSIONS, Opcode
from triocql.protocol.framing import Framing
from triocql.protocol.handshake import Handshake, Request, VersionRefused
from triocql.protocol.login import Login
from triocql.protocol.scylla import Sharding

logger = get_logger(__name__)

_MOST_SHARDS = 1024
"""How many shards of a node get connections of their own at most."""


class Connector:
    """Opens connections to any node with the options of one session.

    Attributes:
        meters: count what goes on.
        tablets: what is known of tablets: told once a node says that it tells of them.
        version: the protocol version; fixed once the first connection is made, so that all are alike.
        told: what each STARTUP tells those who watch over the nodes.
        routes: where nodes are dialled that are reached by proxies; None if they are not.
        hub: told of what happens to nodes and connections.
        check: raises ConnectError, or another error, unless a new connection leads to the node that it is for.
    """

    def __init__(
        self,
        reactor: Reactor,
        clock: Clock,
        options: Options,
        owner: Owner,
        meters: Meters,
        tablets: Tablets,
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.meters = meters
        self.tablets = tablets
        self.options = options
        self.owner = owner
        self.version = options.connection.protocol_version
        self.workers = Workers(reactor)
        self.hub = EventHub()
        self.routes = None if options.scylla.client_routes is None else ProxyRoutes(options)
        self.check: Callable[[Connection], Awaitable[None]] | None = None
        # As long as the session: what is on a node by it can be told from all else there.
        self.told = {**options.client.startup, "SESSION_ID": str(uuid4())}
        self._warned = False
        self._unreadable: set[str] = set()

    async def open(
        self,
        node: Node,
        keyspace: str | None,
        by: float = inf,
        owner: Owner | None = None,
        told: Mapping[str, str] = {},
        way: Way | None = None,
    ) -> Connection:
        """Return a connection that is ready for requests, within the connect timeout, and `by` that time at the latest.

        Its owner is the session's unless given; its STARTUP tells more than others, if that is; the way to it is the
        address of the node unless given. Raises ConnectError and its kinds.
        """
        told = {**told, **self.told}
        way = self._by_proxy(node, way) if self.routes is not None else way or Way(node.address)
        deadline = min(by, self.clock.now() + self.options.connection.connect_timeout)
        # Protocol v5 has no Snappy.
        newest = V4 if self.options.connection.compression == "snappy" else VERSIONS[0]
        version = self.version or newest
        while True:
            try:
                opening = _Opening(self, node, way, owner or self.owner, version, deadline, told)
                connection = await opening.run(keyspace)
            except VersionRefused as refused:
                lower = refused.next_version
                if self.version is not None or lower is None:
                    raise self._unsupported(node, refused) from refused
                logger.info("%s refuses protocol v%d, trying v%d", node.name, version, lower)
                version = lower
            else:
                if self.version is None:
                    logger.info("agreed on protocol v%d with %s", version, node.name)
                self.version = version
                return connection

    def _by_proxy(self, node: Node, way: Way | None) -> Way:
        """Return the way to a node that leads there by its proxy. Raises NoRoute."""
        assert self.routes is not None, "there are proxies"
        address = self.routes.address_of(node)
        return Way(address) if way is None else way._replace(address=address._replace(port=way.address.port))

    def warn_of_secret(self, address: Address) -> None:
        """Log, once a session, that a password or the like crosses a network in the open, if that is so."""
        if self.options.ssl_context is None and not self._warned and not _is_local(address):
            self._warned = True
            logger.warning(
                "the credentials are sent to %s without TLS, readable for everybody on the way: set ssl_context=",
                str(address),
            )

    def warn_of_faults(self, node: Node, faults: Mapping[str, str]) -> None:
        """Log why extensions of the protocol are not used, each of them once a session."""
        for name in faults.keys() - self._unreadable:
            self._unreadable.add(name)
            logger.warning(
                "%s offers what cannot be used, and is taken as if it did not: %s", node.name, faults[name]
            )

    def _unsupported(self, node: Node, refused: VersionRefused) -> errors.UnsupportedVersion:
        forced = self.options.connection.protocol_version is not None
        hint = "; leave protocol_version= out to use the newest that the node speaks" if forced else ""
        return errors.UnsupportedVersion(f"{node.name}: {refused}{hint}")


def _is_local(address: Address) -> bool:
    """Return whether what is sent to `address` stays on this machine, as far as its name tells."""
    if address.is_unix or address.host == "localhost":
        return True
    try:
        return ip_address(address.host).is_loopback
    except ValueError:
        return False


class _Opening:
    """One attempt to open a connection with one protocol version; `step` is what it is doing."""

    def __init__(
        self,
        connector: Connector,
        node: Node,
        way: Way,
        owner: Owner,
        version: int,
        deadline: float,
        told: Mapping[str, str],
    ) -> None:
        limits = connector.options.connection
        self._connector = connector
        self._way = way
        self._address = way.address
        self._deadline = deadline
        self._told = told
        self._wire = Framing(version, max_frame=limits.max_frame)
        self._wire.use_compression(limits.compression)
        meter = connector.meters.node(node)
        self._connection = Connection(node, self._wire, connector.clock, limits, owner, meter)
        self._queries = InternalQueries(connector.reactor, self._connection, deadline, limits.connect_timeout)
        self._transport: Transport | None = None
        self.step = "dialling"

    async def run(self, keyspace: str | None) -> Connection:
        try:
            await self._dial()
            await self._shake_hands()
            if self._connector.check is not None and not self._is_sure:
                self.step = "asking which node it is"
                await self._connector.check(self._connection)
            if keyspace is not None:
                self.step = "USE"
                await self._queries.use(keyspace)
            self._check_open()
        except BaseException as error:
            cause = self._connection.error or error
            self._connection.abort(errors.ConnectError("the connection was given up before it was ready"))
            if self._transport is not None:
                self._transport.abort()
            if isinstance(error, Exception) and not isinstance(error, VersionRefused):
                raise self._explain(error, cause) from cause
            raise
        return self._connection

    @property
    def _is_sure(self) -> bool:
        """Whether other connections lead to the node already, by an address that is nobody else's, and it does not say
        itself which node it is.
        """
        node = self._connection.node
        if self._connection.features.host_id is not None:
            return False
        return node.state is NodeState.UP and node.address == node.told

    async def _dial(self) -> None:
        for local_port in self._way.local_ports:
            try:
                self._transport = await self._connect(local_port)
            except LocalPortUnavailable as error:
                if local_port == self._way.local_ports[-1]:
                    raise NoLocalPort(f"no local port could be had, of which {error}") from error
            else:
                break
        if self._connector.options.ssl_context is not None:
            self.step = "the TLS handshake"

    async def _connect(self, local_port: int | None) -> Transport:
        return await self._connector.reactor.connect(
            self._address,
            self._link(),
            timeout=max(0.0, self._deadline - self._connector.clock.now()),
            local_port=local_port,
            socket_options=self._connector.options.connection.of_sockets,
            at_random=self._connector.routes is not None,  # the addresses of a proxy share its load
        )

    def _link(self) -> Link:
        """Return the connection, within TLS if that is asked for."""
        context = self._connector.options.ssl_context
        if context is None:
            return self._connection
        from triocql.protocol.tls import TlsLink  # not at the top: ssl takes its time to import

        # What is sent before the handshake is done waits for its end.
        return TlsLink(self._connection, context, self._server_name(), on_failed=self._connection.abort)

    def _server_name(self) -> str | None:
        """Return the name that the certificate has to be for."""
        if self._connector.options.server_hostname is not None or self._address.is_unix:
            return self._connector.options.server_hostname
        return self._address.host

    async def _shake_hands(self) -> None:
        options = self._connector.options
        login = Login(options.auth, self._address)
        handshake = Handshake(
            self._wire.version,
            login,
            compression=options.connection.compression,
            told=self._told,
            tablets_v2=options.scylla.tablets_v2,
        )
        message: Request | None = handshake.begin()
        while message is not None:
            if message.opcode == Opcode.AUTH_RESPONSE and login.sends_secret:
                self._connector.warn_of_secret(self._address)
            if self._connection.is_connected:
                self.step = Opcode(message.opcode).name
            answer = await self._queries.exchange(message.opcode, message.body)
            message = await self._receive(handshake, answer)
        self._connection.agree(handshake.features)
        if handshake.features.tablets:
            self._connector.tablets.activate()
        self._connector.warn_of_faults(self._connection.node, handshake.features.faults)
        self._find_shard(handshake.features.sharding)

    def _find_shard(self, sharding: Sharding | None) -> None:
        """Note which shard the connection leads to, if shards are to be used."""
        if sharding is None or not self._connector.options.scylla.shard_awareness:
            return
        if sharding.shard_count > _MOST_SHARDS:
            why = f"{sharding.shard_count:,} shards, more than the {_MOST_SHARDS:,} that can have connections each"
            self._connector.warn_of_faults(self._connection.node, {"shards": why})
            return
        self._connection.sharder = Sharder(sharding.shard_count, sharding.ignore_msb)
        self._connection.shard = sharding.shard

    async def _receive(self, handshake: Handshake, answer: Answer) -> Request | None:
        """Have the handshake receive an answer, in a thread if the authenticator wants one."""
        if not handshake.blocks(answer[0]):
            return handshake.receive(*answer)
        self.step = "the authenticator"
        return await self._connector.workers.run(lambda: handshake.receive(*answer), self._deadline)

    def _check_open(self) -> None:
        """Raise ConnectionLost if the connection has ended since its last answer came."""
        if self._connection.state is not State.OPEN:
            raise self._connection.lost_error()

    def _explain(self, error: Exception, cause: BaseException) -> errors.ConnectError:
        """Return the error for users: the node, the step, and what is behind it."""
        where = f"{self._address}, {self.step}"
        if isinstance(error, (TimeoutError, errors.RequestTimeout)):
            timeout = self._connector.options.connection.connect_timeout
            return errors.ConnectTimeout(f"{where}: not done within the connect timeout of {timeout:g} s")
        if isinstance(cause, errors.ConnectError):
            explained = type(cause)(f"{where}: {cause}")
        else:
            reason = str(cause) or type(cause).__name__
            explained = errors.ConnectError(f"{where}: {reason}{self._tls_hint(cause)}")
        if isinstance(cause, errors.Error):
            explained.is_transient = cause.is_transient
        return explained

    def _tls_hint(self, cause: BaseException) -> str:
        """Return what to try when a node hangs up on our first message: one that expects TLS does."""
        first = self.step == Opcode.OPTIONS.name and self._connector.options.ssl_context is None
        if first and isinstance(cause, ConnectionResetError):
            return "; if its port speaks TLS, set ssl_context="
        return ""
