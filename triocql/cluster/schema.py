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
    from triocql.metadata.schema import Keyspace
    from triocql.protocol.responses import SchemaChange

    Keyspaces = Mapping[str, Keyspace]

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
        timeout = options.connection.connect_timeout
        self.agreement = Agreement(reactor, self._look)
        self.changes = SchemaChanges(hub, nodes)
        self.refresh = Refresh(reactor, nodes, self._read, self._keyspaces_changed)
        self.loader = Loader(
            reactor,
            nodes,
            self.refresh,
            self._read_all,
            self.changes,
            options.schema_keyspaces,
            timeout,
            self._give_up,
        )
        self._reactor = reactor
        self._registry = Registry()
        self._bound = options.schema_agreement_timeout
        self._timeout = timeout
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
        self._control.read_events()
        await self.loader.read_told(max(0.0, end - self._reactor.now()))
        return agreed

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

    async def settle(self, change: SchemaChange, maker: Node | None) -> bool | None:
        """Wait, after a statement of this session's own has changed the schema, until requests that follow find it
        everywhere, and the snapshot has it. Return whether all nodes agree, None if that is not to be waited for.
        Raises nothing of its own.

        Args:
            change: the change.
            maker: the node that has made it. Any other one may not have heard of it yet, and find that all agree still.
        """
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
        if incomplete or changes:
            self.loader.told(changes, count, incomplete=incomplete)
            self.agreement.wake()

    def moved(self) -> None:
        """The control connection is one to another node: events may have been lost."""
        self._peers = _PEERS_V2
        self.refresh.moved()
        self.loader.moved()
        self.agreement.wake()

    def nodes_changed(self) -> None:
        """There are other nodes than before, or other tokens."""
        self.refresh.nodes_changed()
        self.agreement.wake()

    def _keyspaces_changed(self, before: Keyspaces, after: Keyspaces) -> None:
        self.changes.replaced(before, after)
        self.loader.keyspaces_changed()

    # --- What is asked -------------------------------------------------------------------------------------

    async def _read(self, text: str) -> list[dict[str, Any]]:
        return await self._tables().read(text)

    async def _read_all(self, texts: Sequence[str]) -> list[list[dict[str, Any]] | NoSuchTable]:
        return await self._tables().read_all(texts)

    def _tables(self) -> Tables:
        connection = self._control.connection
        if connection is None:
            raise ConnectionLost("there is no control connection now")
        return Tables(self._reactor, connection, self._timeout, registry=self._registry)

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
            tables = Tables(self._reactor, connection, self._timeout, registry=self._registry)
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
        try:
            return await tables.read(self._peers)
        except NoSuchTable:
            if self._peers == _PEERS:
                raise
            self._peers = _PEERS
            return await tables.read(_PEERS)


def _uuid(value: object) -> UUID | None:
    return value if isinstance(value, UUID) else None
