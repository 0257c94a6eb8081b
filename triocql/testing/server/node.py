"""One node: what it is, whom it talks to, and the faults that befall it as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from triocql.abc import Address, Link

from .auth import Authenticator
from .connection import ServerConnection, Surroundings
from .framing import Frame
from .hosts import Host, Listener
from .outgoing import Ending
from .schema import Change, Schema
from .statements import Statement

Row = dict[str, Any]

Edit = Callable[["ServerNode", list[Row]], list[Row]]
"""Changes the rows that a node tells."""


class Cluster(Surroundings, Protocol):
    """A `CqlServer`, as its nodes see it, and all that answers for them."""

    name: str
    partitioner: str
    versions: tuple[int, ...]
    compression: tuple[str, ...]
    authenticator: Authenticator | None
    echo: bool
    schema: Schema
    edits: dict[str, Edit | None]
    host: Host

    @property
    def members(self) -> list[ServerNode]:
        """The nodes that the system tables list."""

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
    """

    def __init__(
        self,
        server: Cluster,
        index: int,
        address: Address,
        data_center: str,
        rack: str,
        tokens: Sequence[int],
    ) -> None:
        self.server = server
        self.index = index
        self.address = address
        self.host_id: UUID = uuid.uuid4()
        self.data_center = data_center
        self.rack = rack
        self.tokens = list(tokens)
        self.release_version = "5.0.2"
        self.versions: tuple[int, ...] = server.versions
        self.schema_version: UUID | None = None
        self.member = True
        self.hang_up = False
        self.connections: list[ServerConnection] = []
        self._prepared: dict[bytes, Statement] = {}
        self._listener: Listener | None = None
        self._paused = False
        self._black_hole = False

    @property
    def contact_point(self) -> str:
        """Its address as ``host:port``."""
        return str(self.address)

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        return self._listener is not None

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

    # --- What its connections ask ----------------------------------------------------------------------------

    def accept(self, reset: Callable[[], None]) -> Link:
        """Make the link of a new connection; `reset` breaks its transport."""
        connection = ServerConnection(self, self.server.next_connection(), reset)
        self.connections.append(connection)
        if self._paused:
            connection.freeze()
        if self._black_hole:
            connection.black_hole()
        if self.hang_up:
            connection.hang_up()
        return connection.tap

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

    # --- Within ------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self.server.host.listen(self.address, self.accept)
            self.address = Address(self.address.host, self._listener.port)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

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
