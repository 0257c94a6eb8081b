"""One connection, from dialling to ready: TLS, protocol version, compression, authentication, keyspace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from math import inf

from triocql import errors
from triocql.abc import Address, Link, Reactor, Transport
from triocql.cluster.hub import EventHub
from triocql.cluster.query import Answer, InternalQueries
from triocql.cluster.workers import Workers
from triocql.config.options import Options
from triocql.engine.connections.connection import Connection, State
from triocql.engine.contracts import Owner
from triocql.engine.requests.clock import Clock
from triocql.metadata.node import Node, NodeState
from triocql.observability.logs import get_logger
from triocql.observability.meters import Meters
from triocql.protocol.constants import V4, VERSIONS, Opcode
from triocql.protocol.framing import Framing
from triocql.protocol.handshake import Handshake, Request, VersionRefused
from triocql.protocol.login import Login

logger = get_logger(__name__)


class Connector:
    """Opens connections to any node with the options of one session.

    Attributes:
        meters: count what goes on.
        version: the protocol version; fixed once the first connection is made, so that all are alike.
        hub: told of what happens to nodes and connections.
        check: raises ConnectError, or another error, unless a new connection leads to the node that it is for.
    """

    def __init__(
        self, reactor: Reactor, clock: Clock, options: Options, owner: Owner, meters: Meters
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.meters = meters
        self.options = options
        self.owner = owner
        self.version = options.connection.protocol_version
        self.workers = Workers(reactor)
        self.hub = EventHub()
        self.check: Callable[[Connection], Awaitable[None]] | None = None
        self._warned = False

    async def open(
        self, node: Node, keyspace: str | None, by: float = inf, owner: Owner | None = None
    ) -> Connection:
        """Return a connection that is ready for requests, within the connect timeout, and `by` that time at the latest.

        Its owner is the session's unless given. Raises ConnectError and its kinds.
        """
        deadline = min(by, self.clock.now() + self.options.connection.connect_timeout)
        # Protocol v5 has no Snappy.
        newest = V4 if self.options.connection.compression == "snappy" else VERSIONS[0]
        version = self.version or newest
        while True:
            try:
                connection = await _Opening(self, node, owner or self.owner, version, deadline).run(keyspace)
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

    def warn_of_secret(self, address: Address) -> None:
        """Log, once a session, that a password or the like crosses a network in the open, if that is so."""
        if self.options.ssl_context is None and not self._warned and not _is_local(address):
            self._warned = True
            logger.warning(
                "the credentials are sent to %s without TLS, readable for everybody on the way: set ssl_context=",
                str(address),
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

    def __init__(self, connector: Connector, node: Node, owner: Owner, version: int, deadline: float) -> None:
        limits = connector.options.connection
        self._connector = connector
        self._address = node.address
        self._deadline = deadline
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
        """Whether other connections lead to the node already, by an address that is nobody else's."""
        node = self._connection.node
        return node.state is NodeState.UP and node.address == node.told

    async def _dial(self) -> None:
        timeout = max(0.0, self._deadline - self._connector.clock.now())
        self._transport = await self._connector.reactor.connect(
            self._address,
            self._link(),
            timeout=timeout,
            socket_options=self._connector.options.connection.of_sockets,
        )
        if self._connector.options.ssl_context is not None:
            self.step = "the TLS handshake"

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
        handshake = Handshake(self._wire.version, login, compression=options.connection.compression)
        message: Request | None = handshake.begin()
        while message is not None:
            if message.opcode == Opcode.AUTH_RESPONSE and login.sends_secret:
                self._connector.warn_of_secret(self._address)
            if self._connection.is_connected:
                self.step = Opcode(message.opcode).name
            answer = await self._queries.exchange(message.opcode, message.body)
            message = await self._receive(handshake, answer)
        self._connection.features = handshake.features

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
