"""The test server: nodes, rules, the log, and where all of it runs."""

from __future__ import annotations

import errno
import ipaddress
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from triocql.abc import Address, Link
from triocql.protocol.tls import TlsLink
from triocql.testing.cassandra._topology import Topology, places, tokens
from triocql.testing.simulated import SimulatedReactor

from . import usual
from .announcing import Announcing
from .auth import Authenticator, Passwords
from .clientroutes import ClientRoutes
from .connection import ServerConnection
from .encoder import Opcode
from .faults import Fault
from .framing import Frame
from .hosts import Host, LoopHost, NoHost, SimulatedHost, ThreadHost
from .log import DEFAULT_BYTES, Execution, ExecutionLog, Query
from .node import Edit, ServerNode
from .performance import Performance
from .placement import Placement
from .priming import Rule, Rules
from .requests import Request, parse
from .schema import Schema, Table
from .scylla.settings import Scylla, kinds_of
from .scylla.tablets import Replica, ServedTablets
from .scyllatables import SCYLLA_TABLES
from .systemtables import TABLES
from .tables import ServedTable
from .wire import BadRequest

T = TypeVar("T")
_MOST_TRIES = 20


class CqlServer(Announcing):
    """A cluster of nodes that speak CQL and answer as they are told, for tests without a database.

    It runs in the event loop of the test (``async with``, on Trio or asyncio; virtual clocks work), in a thread
    (``with``), or on a simulated reactor (`run_on`)::

        schema = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"
        async with CqlServer(schema=schema) as server:
            server.when("SELECT name FROM shop.users WHERE id = ?").then(rows({"name": "text"}, [["Ann"]]))
            async with triocql.connect(server.contact_points) as session:
                assert (await session.execute("SELECT name FROM shop.users WHERE id = ?", [7])).scalar() == "Ann"
            server.log.assert_executed("SELECT name FROM shop.users WHERE id = ?", times=1, values=[7])

    By itself it answers the handshake, ``system`` and ``system_schema`` tables, USE, and CREATE, ALTER and DROP of
    keyspaces, tables, types and the like; PREPARE too, of queries that a rule is about. What nobody has said how to
    answer is an error that says so, or is echoed.

    Args:
        nodes: how many nodes, all in one data centre; one unless given.
        topology: nodes by data centre and rack in place of `nodes`: ``{"dc1": {"rack1": 2, "rack2": 1}}``.
        num_tokens: tokens a node.
        scylla: has the nodes be of ScyllaDB: what each is like, or a sequence of that, with None for one of Cassandra.
        versions: the protocol versions that the nodes speak, those of ScyllaDB only 3 and 4.
        compression: what they offer; "snappy" needs cramjam.
        schema: statements that declare keyspaces, tables and types.
        users: user names and passwords; without any, no authentication is asked for.
        authenticator: authentication of any other kind, in place of `users`.
        ssl_context: has the nodes speak TLS.
        unprimed: "fail" or "echo" what no rule is about.
        host: the address of the first node; the following nodes have the following addresses.
        port: of all nodes; a free one if 0.
        name: the cluster's name.
        log_bytes: how many bytes of requests the log keeps.

    Attributes:
        nodes: the nodes (`ServerNode`): stop, start, pause, move or replace them.
        log: what they were asked (`ExecutionLog`).
        schema: the schema (`Schema`).
        rules: the rules, to remove some or all.
        edits: what `edit` has changed, by table.
        client_routes: the proxies by which clients reach nodes of ScyllaDB (`ClientRoutes`).

    Raises:
        LauncherError: `nodes` or `topology` make no cluster.
        ValueError: `scylla` is not about as many nodes.
        OSError: an address cannot be bound, when it starts.
    """

    partitioner = "org.apache.cassandra.dht.Murmur3Partitioner"

    def __init__(
        self,
        nodes: int | None = None,
        *,
        topology: Topology | None = None,
        num_tokens: int = 1,
        scylla: Scylla | Sequence[Scylla | None] | None = None,
        versions: Sequence[int] = (3, 4, 5),
        compression: Sequence[str] = ("lz4", "snappy"),
        schema: str = "",
        users: Mapping[str, str] | None = None,
        authenticator: Authenticator | None = None,
        ssl_context: ssl.SSLContext | None = None,
        unprimed: Literal["fail", "echo"] = "fail",
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "test server",
        log_bytes: int = DEFAULT_BYTES,
    ) -> None:
        if unprimed not in ("fail", "echo"):
            raise ValueError(f"unprimed={unprimed!r}: it can be 'fail' or 'echo'")
        if unknown := set(versions) - {3, 4, 5}:
            raise ValueError(f"versions={versions!r}: the test server does not speak {sorted(unknown)}")
        self.name = name
        self.versions = tuple(versions)
        self.compression = tuple(compression)
        self.authenticator = Passwords(users) if users is not None else authenticator
        self.ssl_context = ssl_context
        self.echo = unprimed == "echo"
        self.schema = Schema()
        self.schema.execute(schema)
        self.rules = Rules()
        self.edits: dict[str, Edit | None] = {}
        self.log = ExecutionLog(log_bytes)
        self.host = NoHost()
        self._connections = 0
        self._port = port
        layout = places(nodes, topology)
        kinds = kinds_of(scylla, len(layout))
        first = ipaddress.ip_address(host)
        self.nodes = [
            ServerNode(
                self,
                index,
                Address(str(first + index), port),
                place.dc,
                place.rack,
                tokens(layout, index, num_tokens),
                kinds[index],
            )
            for index, place in enumerate(layout)
        ]
        self.client_routes = ClientRoutes(self.send_event)
        self._placement = Placement(self.nodes, self.schema)

    # --- Running -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> CqlServer:
        self._loop_host = await LoopHost().__aenter__()
        try:
            self._start(self._loop_host)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, *error: Any) -> None:
        try:
            self._stop_listening()
        finally:
            await self._loop_host.__aexit__(*error)
            self.host = NoHost()

    def __enter__(self) -> CqlServer:
        self._thread_host = ThreadHost().__enter__()
        try:
            self._start(self._thread_host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._stop_listening()
        finally:
            self._thread_host.__exit__()
            self.host = NoHost()

    def run_on(self, reactor: SimulatedReactor) -> CqlServer:
        """Run on a simulated reactor, until its end."""
        self._start(SimulatedHost(reactor))
        return self

    def _start(self, host: Host) -> None:
        self.host = host
        for tries_left in reversed(range(1 if self._port else _MOST_TRIES)):
            try:
                self._listen_on(self._port)
            except OSError as error:  # the port that the first node got is taken on another host
                self._stop_listening()
                if error.errno != errno.EADDRINUSE or not tries_left:
                    raise
            else:
                return

    def _listen_on(self, port: int) -> None:
        """Have all nodes listen on a port; if it is 0, on the one that the first node gets."""
        for node in self.nodes:
            node.address = Address(node.address.host, port)
            node.start()
            port = node.address.port

    def _stop_listening(self) -> None:
        for node in self.nodes:
            node.refuse()

    @property
    def contact_points(self) -> list[str]:
        """The addresses of all nodes as ``host:port``."""
        return [node.contact_point for node in self.nodes]

    @property
    def port(self) -> int:
        """The port of the first node."""
        return self.nodes[0].address.port

    @property
    def members(self) -> list[ServerNode]:
        """The nodes that the system tables list."""
        return [node for node in self.nodes if node.member]

    @property
    def connections(self) -> list[ServerConnection]:
        """All connections that are open, those of the first node first."""
        return [connection for node in self.nodes for connection in node.connections]

    # --- Priming -------------------------------------------------------------------------------------------

    def when(
        self,
        query: Query | None = None,
        *,
        prepared: bool | None = None,
        opcode: int | None = None,
        consistency: int | None = None,
        node: int | None = None,
        connection: int | None = None,
        nth: int | None = None,
        times: int | None = None,
        match: Callable[[Request], bool] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Rule:
        """Begin a rule: which requests it is about. `Rule.then` says what they get.

        All conditions have to be met. Of the rules that a request meets, the newest answers it. Without `opcode`, a
        rule is about queries, prepared statements and batches; without `query` too, only about those of users.

        Args:
            query: the whole text, spacing aside, or a pattern to be found in it; of a batch, one of its statements.
            prepared: True for prepared statements only, False for plain queries only.
            opcode: an `Opcode`: the handshake and PREPARE, for example.
            consistency: a `Consistency`.
            node: the index of the node.
            connection: the number of the connection, counted over all nodes from 0.
            nth: only the n-th request that meets the rest, from 1.
            times: how many requests it answers; then it is as if it were not there.
            match: any other condition.
            parameters: the names and types of the bind markers, where they cannot be told from the schema:
                ``{"id": "int"}``.
        """
        return self.rules.add(
            Rule(
                query,
                prepared=prepared,
                opcode=opcode,
                consistency=consistency,
                node=node,
                connection=connection,
                nth=nth,
                times=times,
                match=match,
                parameters=parameters,
            )
        )

    def serve_table(self, name: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> ServedTable:
        """Have a table of the schema answer with rows of its own: by ranges of tokens, and in pages.

        Args:
            name: the table with its keyspace, as statements write it: ``"shop.users"``.
            rows: each a sequence of values in the order of the columns, or a mapping by column.

        >>> server = CqlServer(schema="CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)")
        >>> len(server.serve_table("shop.users", [[7, "Ann"], {"id": 8}]).rows)
        2
        """
        table = ServedTable(self.schema, name, rows)
        table.rule = self.when(table.about).then(table.step)
        return table

    def edit(self, table: str, change: Edit | None) -> None:
        """Have the nodes tell other rows of a system table than the truth.

        Args:
            table: its name: ``"system.peers_v2"``.
            change: takes the node that is asked and the rows, as mappings by column, and returns what to tell; None
                has the table not exist.

        Raises:
            ValueError: there is no such table.

        >>> server = CqlServer(2)
        >>> server.edit("system.peers", lambda node, rows: [{**row, "host_id": None} for row in rows])
        """
        known = {**TABLES, **SCYLLA_TABLES}
        if table not in known:
            raise ValueError(f"edit({table!r}): the system tables are {', '.join(known)}")
        self.edits[table] = change

    # --- ScyllaDB ------------------------------------------------------------------------------------------

    def tablets(self, table: str) -> ServedTablets:
        """Return the tablets of a table, to look at or to change.

        A keyspace has tablets if it was created so: ``WITH replication = {...} AND tablets = {'initial': 8}``.

        Raises:
            ValueError: the table is not there, or its keyspace has none.
        """
        return self._placement.tablets(table)

    def replicas(self, table: str, token: int) -> list[Replica]:
        """Return the index of the node and the shard of each replica of a token, by tablets or by the ring.

        Raises:
            ValueError: there is no such table.
        """
        return self._placement.replicas(table, token)

    def all_tablets(self) -> Iterator[tuple[Table, ServedTablets]]:
        """Go through all tables and views that have tablets."""
        return self._placement.all_tablets()

    # --- What nodes and steps ask --------------------------------------------------------------------------

    def call(self, fn: Callable[[], T]) -> T:
        """Call `fn` where the server runs: at once, or in its thread."""
        return self.host.call(fn)

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` after so many seconds of the server's clock."""
        return self.host.call_later(seconds, fn)

    def next_connection(self) -> int:
        """Return the number of a new connection."""
        self._connections += 1
        return self._connections - 1

    def wrap(self, connection: ServerConnection) -> Link:
        """Return the connection, within TLS if the server speaks it at that port."""
        if self.ssl_context is None or not connection.tls:
            return connection

        def failed(error: Exception) -> None:
            connection.connection_lost(error)

        return TlsLink(connection, self.ssl_context, None, on_failed=failed, server_side=True)

    def take(self, node: ServerNode, connection: ServerConnection, frame: Frame) -> None:
        """Log a request, and answer it by a rule or as usual. Raises BadRequest if it is not a valid one."""
        try:
            request = parse(node, connection, frame)
        except BadRequest as problem:
            self.log.malformed.append(str(problem))
            raise
        if request.opcode == Opcode.STARTUP:
            connection.options = dict(request.options)
        system = usual.is_system(request)
        entry = Execution(request, self.host.now(), node.index, connection.number, system)
        if node.scylla is not None:
            self._placement.locate(entry)
        self.log.add(entry)
        self._answer(request, entry, None, ())

    def _answer(
        self, request: Request, entry: Execution, below: Rule | None, faults: Sequence[Fault]
    ) -> None:
        """Have the newest rule below one answer, or the node by itself; `faults` apply in any case."""
        rule = None if usual.is_premature(request) else self.rules.find(request, entry.system, below)
        steps = (partial(usual.answer, self.rules),) if rule is None else rule.steps

        def fall_back(more: Sequence[Fault]) -> None:
            self._answer(request, entry, rule, more)

        Performance(request, entry, (*steps, *faults), fall_back, self._placement.hint).resume()
