"""One node: what it is, whom it talks to, and the faults that befall it as a whole."""

from __future__ import annotations

import copy
import ssl
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from triocql.abc import Address, Link

from .auth import Authenticator
from .connection import ServerConnection, Surroundings
from .doors import Accepted, Door, TlsStranger
from .framing import Frame
from .hosts import Host
from .outgoing import Ending
from .schema import Change, Schema, Table
from .scylla import settings
from .scylla.settings import Scylla, ShardPort, check_shard_port
from .scylla.shards import Occupancy
from .scylla.tablets import ServedTablets
from .statements import Statement

Row = dict[str, Any]

Edit = Callable[["ServerNode", list[Row]], list[Row]]
"""Changes the rows that a node tells."""


class Routes(Protocol):
    """The routes of clients, as nodes tell of them."""

    rows: list[Row]


class Cluster(Surroundings, Protocol):
    """A `CqlServer`, as its nodes see it, and all that answers for them."""

    name: str
    partitioner: str
    versions: tuple[int, ...]
    compression: tuple[str, ...]
    authenticator: Authenticator | None
    ssl_context: ssl.SSLContext | None
    echo: bool
    schema: Schema
    edits: dict[str, Edit | None]
    host: Host

    @property
    def client_routes(self) -> Routes:
        """The routes of clients."""

    @property
    def members(self) -> list[ServerNode]:
        """The nodes that the system tables list."""

    def all_tablets(self) -> Iterator[tuple[Table, ServedTablets]]:
        """Go through all tables and views that have tablets."""

    def next_connection(self) -> int:
        """Return the number of a new connection."""

    def take(self, node: ServerNode, connection: ServerConnection, frame: Frame) -> None:
        """Log a request to a node, and answer it. Raises BadRequest if it is not a valid one."""

    def announce_schema(self, *changes: Change) -> None:
        """Send events about changes of the schema."""


class ServerNode:
    """A node of a `CqlServer`. Attributes may be changed at any time; the system tables follow.

    Attributes:
        index: its number, from 0.
        address: where it listens, or will listen when it is started again.
        host_id: its identity.
        data_center, rack, tokens, release_version: what its tables say.
        versions: the protocol versions that it speaks.
        schema_version: what it says of the schema's version; None for that of all nodes.
        member: whether the tables of the other nodes list it.
        hang_up: whether it closes connections as soon as it has taken them.
        listening: whether it takes connections.
        connections: those that are open, the oldest first.
        accepted: all connections that it ever took (`Accepted`), in order.
        scylla: what makes it a node of ScyllaDB, None for one of Cassandra.
    """

    def __init__(
        self,
        server: Cluster,
        index: int,
        address: Address,
        data_center: str,
        rack: str,
        tokens: Sequence[int],
        scylla: Scylla | None = None,
    ) -> None:
        self.server = server
        self.index = index
        self.scylla = copy.copy(scylla)
        self.host_id: UUID = uuid.uuid4()
        self.data_center = data_center
        self.rack = rack
        self.tokens = list(tokens)
        self.release_version = "5.0.2" if scylla is None else settings.RELEASE_VERSION
        self.versions: tuple[int, ...] = server.versions
        if scylla is not None:
            self.versions = settings.spoken(server.versions)
        self.schema_version: UUID | None = None
        self.member = True
        self.hang_up = False
        self.connections: list[ServerConnection] = []
        self.accepted: list[Accepted] = []
        self._prepared: dict[bytes, Statement] = {}
        self._door = Door(address)
        self._shard_aware = Door(Address(address.host, 0), "shard-aware", tls=False, usual=19042)
        self._shard_aware_tls = Door(Address(address.host, 0), "shard-aware", usual=19142)
        self._others: list[Door] = []
        self._occupancy = Occupancy()
        self._paused = False
        self._black_hole = False

    @property
    def address(self) -> Address:
        """Where it listens, or will listen when it is started again."""
        return self._door.address

    @address.setter
    def address(self, address: Address) -> None:
        self._door.address = address

    @property
    def contact_point(self) -> str:
        """Its address as ``host:port``."""
        return str(self.address)

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        return self._door.is_open

    # --- The whole node --------------------------------------------------------------------------------------

    def stop(self, *, how: Ending = "reset") -> None:
        """Go away as a killed process does, or with `how="close"` in good order; prepared statements are forgotten."""

        def stopping() -> None:
            self._refuse()
            self.forget_prepared()
            for connection in list(self.connections):
                connection.drop(how)

        self.server.call(stopping)

    def start(self) -> None:
        """Listen at `address`, at first or again."""
        self.server.call(self._listen)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def refuse(self) -> None:
        """Refuse new connections until `start`; those that are open go on."""
        self.server.call(self._refuse)

    def pause(self) -> None:
        """Do nothing, as a process that was stopped by a signal: connections are made, but not answered."""
        self._set_paused(True)

    def resume(self) -> None:
        """Go on after `pause`, with what came in meanwhile."""
        self._set_paused(False)

    def black_hole(self) -> None:
        """Lose, from now on, whatever comes in, on the connections that are open and on new ones, until `heal`."""

        def vanish() -> None:
            self._black_hole = True
            for connection in self.connections:
                connection.black_hole()

        self.server.call(vanish)

    def heal(self) -> None:
        """Answer new connections again after `black_hole`; those lost in it remain lost."""
        self._black_hole = False

    def move(self, address: Address | str) -> None:
        """Stop, and start at another address with the same host_id. A string is a host; the port remains then."""
        self.stop()
        self.address = address if isinstance(address, Address) else Address(address, self.address.port)
        self.start()

    def replace(self) -> None:
        """Restart as another node at the same address: with another host_id."""
        self.stop()
        self.host_id = uuid.uuid4()
        self.start()

    def forget_prepared(self) -> None:
        """Forget all prepared statements."""
        self._prepared.clear()

    # --- Shards ----------------------------------------------------------------------------------------------

    @property
    def shard_aware_port(self) -> int | None:
        """The port without TLS where a client chooses its shard; None if the node has none."""
        return self._shard_aware.address.port or None

    @property
    def shard_aware_tls_port(self) -> int | None:
        """The port with TLS where a client chooses its shard; None if the node has none."""
        return self._shard_aware_tls.address.port or None

    def set_shard_port(self, behaviour: ShardPort) -> None:
        """Have the shard-aware ports do something else from now on (`Scylla.shard_port`). Raises ValueError for what
        they cannot do.
        """
        check_shard_port(behaviour)

        def change() -> None:
            self._as_scylla().shard_port = behaviour
            if self.listening:
                self._open_shard_aware()

        self.server.call(change)

    def reshard(self, shards: int, ignore_msb: int | None = None) -> None:
        """Restart with other shards."""
        scylla = self._as_scylla()
        self.stop()
        scylla.shards = shards
        scylla.ignore_msb = scylla.ignore_msb if ignore_msb is None else ignore_msb
        self.start()

    def on_shard(self, shard: int) -> list[ServerConnection]:
        """Return the connections that are open on a shard."""
        return [connection for connection in self.connections if connection.shard == shard]

    def listen_at(self, address: Address) -> Address:
        """Listen at another address, too, as if a proxy stood there, while the node runs; return it with its port."""
        door = Door(address)
        self.server.call(lambda: door.open(self.server.host, self._accept))
        self._others.append(door)
        return door.address

    def _as_scylla(self) -> Scylla:
        if self.scylla is None:
            raise ValueError(f"{self} has no shards: it is no node of ScyllaDB (CqlServer(scylla=Scylla()))")
        return self.scylla

    def _open_shard_aware(self) -> None:
        """Open the doors of the shard-aware ports that there are, and close those that refuse."""
        scylla = self.scylla
        if scylla is None or not scylla.shard_aware:
            return
        for door in (self._shard_aware, self._shard_aware_tls):
            door.address = Address(self.address.host, door.address.port)
            if not door.tls or self.server.ssl_context is not None:
                door.open(self.server.host, self._accept)  # one that refuses has a port, too
            if scylla.shard_port == "refuse":
                door.close()

    # --- What its connections ask ----------------------------------------------------------------------------

    def _accept(self, door: Door, reset: Callable[[], None], peer_port: int) -> Link:
        """Make the link of a new connection; `reset` breaks its transport."""
        accepted = Accepted(
            self.server.next_connection(),
            self.server.host.now(),
            door.address.port,
            peer_port,
            self._shard_for(door, peer_port),
            door.kind == "shard-aware",
            door.tls,
        )
        self.accepted.append(accepted)
        behaviour = self.scylla.shard_port if self.scylla is not None and accepted.shard_aware else "open"
        if behaviour == "tls":
            return TlsStranger()
        connection = ServerConnection(self, accepted, reset)
        self.connections.append(connection)
        self._occupancy.add(accepted.shard)
        if self._paused:
            connection.freeze()
        if self._black_hole or behaviour == "black_hole":
            connection.black_hole()
        if self.hang_up:
            connection.hang_up()
        return connection.tap

    def _shard_for(self, door: Door, peer_port: int) -> int:
        """Return the shard that a new connection gets to: the one chosen by the port, or that with the fewest."""
        scylla = self.scylla
        if scylla is None:
            return -1
        if door.kind == "shard-aware":
            return self._occupancy.chosen(peer_port + scylla.nat, scylla.shards, scylla.misplace)
        return self._occupancy.least_loaded(scylla.shards, scylla.load)

    def remember(self, statement: Statement) -> None:
        """Keep a prepared statement."""
        self._prepared[statement.id] = statement

    def statement(self, id_: bytes) -> Statement | None:
        """Return a prepared statement."""
        return self._prepared.get(id_)

    def prepared_text(self, id_: bytes) -> str:
        """Return the text of a prepared statement, "" if it is not known."""
        return self._prepared[id_].text if id_ in self._prepared else ""

    def take(self, connection: ServerConnection, frame: Frame) -> None:
        """Answer a request. Raises BadRequest if it is not a valid one."""
        self.server.take(self, connection, frame)

    def lost(self, connection: ServerConnection) -> None:
        """Called when a connection has ended."""
        self.connections.remove(connection)
        self._occupancy.remove(connection.shard)

    # --- Within ------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for door in (self._door, *self._others):
            door.open(self.server.host, self._accept)
        self._open_shard_aware()

    def _refuse(self) -> None:
        for door in (self._door, self._shard_aware, self._shard_aware_tls, *self._others):
            door.close()

    def _set_paused(self, paused: bool) -> None:
        def change() -> None:
            self._paused = paused
            for connection in list(self.connections):
                if paused:
                    connection.freeze()
                else:
                    connection.thaw()

        self.server.call(change)

    def __repr__(self) -> str:
        return f"<ServerNode {self.index} at {self.address}, {self.data_center}/{self.rack}>"
