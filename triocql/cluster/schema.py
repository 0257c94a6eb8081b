"""What a session does about the schema of its cluster: has all nodes agree on it, and keeps what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.cluster.agreement import Agreement, versions_agree
from triocql.cluster.changes import SchemaChanges
from triocql.cluster.loading import Loader
from triocql.cluster.refresh import Refresh
from triocql.cluster.tables import NoSuchTable, Tables
from triocql.codecs.registry import Registry
from triocql.engine.connections.connection import State
from triocql.errors import ConnectionLost, Error
from triocql.metadata.schema.scope import Scope
from triocql.metadata.schema.systemtables import OF_ALL, OF_SCYLLA
from triocql.metadata.tabletrows import TabletRows
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triocql.abc import Reactor
    from triocql.cluster.control import Control
    from triocql.cluster.hub import EventHub
    from triocql.cluster.nodes import Nodes
    from triocql.config.options import Options
    from triocql.engine.connections.connection import Connection
    from triocql.engine.routing.router import Router
    from triocql.metadata.node import Node
    from triocql.metadata.schema import Keyspace, Rows
    from triocql.metadata.tablethints import Hint
    from triocql.protocol.responses import SchemaChange

    Keyspaces = Mapping[str, Keyspace]

logger = get_logger(__name__)

_KEYSPACES = "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces"
_ALL = ("SELECT * FROM system_schema.keyspaces", "SELECT * FROM system_schema.scylla_keyspaces")
_LOCAL = "SELECT schema_version FROM system.local WHERE key='local'"
_PEERS = "SELECT host_id, schema_version FROM system.peers"
_PEERS_V2 = f"{_PEERS}_v2"


class Schema:
    """The agreement and the refresh of one session.

    Whoever keeps the control connection tells of what happens: `changed`, `moved`, `nodes_changed`.

    Attributes:
        agreement: waits for all nodes to have the same schema.
        refresh: keeps keyspaces, ring and replicas.
        loader: keeps what is in the keyspaces.
        changes: tells of changes.
    """

    def __init__(
        self,
        reactor: Reactor,
        options: Options,
        router: Router,
        control: Control,
        nodes: Nodes,
        hub: EventHub,
    ) -> None:
        self.agreement = Agreement(reactor, self._look)
        self.changes = SchemaChanges(hub, nodes)
        self.refresh = Refresh(reactor, nodes, self._read_keyspaces, self._keyspaces_changed)
        self.loader = Loader(
            reactor,
            nodes,
            self.refresh,
            self._read_all,
            self.changes,
            options.schema_keyspaces,
            options.connection.connect_timeout,
            self._give_up,
        )
        self._reactor = reactor
        self._registry = Registry()
        self._tablets = router.tablets
        self._bound = options.schema_agreement_timeout
        self._options = options
        self._router = router
        self._control = control
        self._nodes = nodes
        self._failed: Node | None = None
        self._makers: list[Node | None] = []
        self._peers = _PEERS_V2

    def close(self) -> None:
        """Let nobody wait any more. Synchronous and idempotent."""
        self.agreement.close()
        self.refresh.close()
        self.loader.close()

    async def agreed(self, seconds: float) -> bool:
        """Wait until all nodes have the same schema, and the snapshot has what is told of it; so long at most."""
        end = self._reactor.now() + seconds
        agreed = await self.agreement.wait(seconds)
        await self.read_told(max(0.0, end - self._reactor.now()))
        return agreed

    async def read_told(self, seconds: float) -> None:
        """Wait until the snapshot has what events have told up to now; so long at most. Nothing is asked otherwise."""
        self._control.read_events()
        await self.loader.read_told(seconds)

    async def read(self, keyspace: str | None, table: str | None) -> Error | None:
        """Read a table, a keyspace or all of them anew, and from now on whenever they change; return why that was not
        possible."""
        scope = Scope(everything=keyspace is None)
        if keyspace is not None and table is not None:
            scope.add_table(keyspace, table)
        elif keyspace is not None:
            scope.add_keyspace(keyspace)
        if keyspace is not None or not self.loader.wants_some:
            self.loader.want(keyspace)
        return await self.loader.read(scope)

    async def read_tablets(self, table_id: UUID, seconds: float) -> list[Hint]:
        """Return where all tablets of a table are, as the node tells that has the control connection; so long at most.
        [] if it does not, as to those who may not read that. Raises nothing of its own."""
        read = TabletRows(table_id)
        by = self._reactor.now() + seconds
        try:
            while read.wanted is not None:
                tables = self._tables()
                tables.by = by
                read.take(await tables.read(read.text))
        except Error as error:
            logger.debug("the tablets of the table %s are not told: %s", table_id, error)
        return read.hints

    async def settle(self, change: SchemaChange, maker: Node | None) -> bool | None:
        """Wait, after a statement of this session's own has changed the schema, until requests that follow find it
        everywhere, and the snapshot has it. Return whether all nodes agree, None if that is not to be waited for.
        Raises nothing of its own.

        Args:
            change: the change.
            maker: the node that has made it. Any other one may not have heard of it yet, and find that all agree still.
        """
        self._forget_tablets(change)
        if self._bound == 0:
            if change.target == "KEYSPACE":
                self.refresh.moved()
            self.loader.noticed(change)
            return None
        end = self._reactor.now() + self._bound
        self._makers.append(maker)
        try:
            agreed = await self.agreement.wait(self._bound)
        finally:
            self._makers.remove(maker)
        await self.loader.read_own(change, end - self._reactor.now())
        return agreed

    # --- What the control connection tells -----------------------------------------------------------------

    def changed(self, changes: Mapping[SchemaChange, float], count: int, *, incomplete: bool) -> None:
        """Events tell of changes of the schema, whoever has made them; if they are `incomplete`, of others, too."""
        for change in changes:
            self._forget_tablets(change)
        if incomplete:
            self._tablets.forget_unwatched()
        if incomplete or changes:
            self.loader.told(changes, count, incomplete=incomplete)
            self.agreement.wake()

    def moved(self) -> None:
        """The control connection is one to another node: events may have been lost."""
        self._peers = _PEERS_V2
        self._tablets.forget_unwatched()
        self.refresh.moved()
        self.loader.moved()
        self.agreement.wake()

    def nodes_changed(self) -> None:
        """There are other nodes than before, or other tokens."""
        self._tablets.nodes_read()
        self.refresh.nodes_changed()
        self.agreement.wake()

    def _forget_tablets(self, change: SchemaChange) -> None:
        """Forget where the tablets are of what is not as it was."""
        if change.target == "KEYSPACE":
            self._tablets.forget(change.keyspace)
        elif change.target == "TABLE":
            self._tablets.forget(change.keyspace, change.name)

    def _keyspaces_changed(self, before: Keyspaces, after: Keyspaces) -> None:
        self.changes.replaced(before, after)
        self.loader.keyspaces_changed()

    # --- What is asked -------------------------------------------------------------------------------------

    async def _read_keyspaces(self) -> Rows:
        """Read what keyspaces are by themselves; of ScyllaDB's, that is in two tables, of which older ones lack one."""
        tables = self._tables()
        if not tables.connection.features.is_scylla:
            return {OF_ALL: await tables.read(_KEYSPACES)}
        heads, more = await tables.read_all(_ALL)
        if isinstance(heads, NoSuchTable):
            raise heads
        return {OF_ALL: heads} if isinstance(more, NoSuchTable) else {OF_ALL: heads, OF_SCYLLA: more}

    async def _read_all(self, texts: Sequence[str]) -> list[list[dict[str, Any]] | NoSuchTable]:
        return await self._tables().read_all(texts)

    def _tables(self) -> Tables:
        connection = self._control.connection
        if connection is None:
            raise ConnectionLost("there is no control connection now")
        return self._tables_on(connection)

    def _tables_on(self, connection: Connection) -> Tables:
        return Tables(self._reactor, connection, self._options, registry=self._registry)

    def _give_up(self, error: Error) -> None:
        """Have the control connection be one to another node, if there is one: this one does not answer."""
        connection = self._control.connection
        if connection is not None and len(self._nodes.snapshot.nodes) > 1:
            connection.abort(error)

    async def _look(self) -> bool:
        """Return whether the nodes have the same schema, by what each of those tells that have made a change of it."""
        for maker in dict.fromkeys(self._makers) or (None,):
            if not await self._look_at(maker):
                return False
        return True

    async def _look_at(self, maker: Node | None) -> bool:
        """Return it by what a node tells: after a failure, another one."""
        connection = next(self._askable(maker), None)
        if connection is None:
            raise ConnectionLost("there is no connection now")
        try:
            tables = self._tables_on(connection)
            local = [row.get("schema_version") for row in await tables.read(_LOCAL)]
            peers = await self._read_peers(tables)
        except Error:
            self._failed = connection.node
            raise
        self._failed = None
        told = [(_uuid(row.get("host_id")), _uuid(row.get("schema_version"))) for row in peers]
        return versions_agree(_uuid(local[0] if local else None), told, self._nodes.snapshot.nodes)

    def _askable(self, maker: Node | None) -> Iterator[Connection]:
        """Give the connections that can be asked, the best one first: those to the maker of a change."""
        control = self._control.connection
        every = [*self._router.connections()] if control is None else [control, *self._router.connections()]
        usable = [each for each in every if each.state is State.OPEN and each.free]
        usable.sort(key=lambda each: each.node is not maker)
        yield from (each for each in usable if each.node is not self._failed)
        yield from usable

    async def _read_peers(self, tables: Tables) -> list[dict[str, Any]]:
        if tables.connection.features.is_scylla:
            return await tables.read(_PEERS)
        try:
            return await tables.read(self._peers)
        except NoSuchTable:
            if self._peers == _PEERS:
                raise
            self._peers = _PEERS
            return await tables.read(_PEERS)


def _uuid(value: object) -> UUID | None:
    return value if isinstance(value, UUID) else None
