"""The events that a server sends to the clients that are registered for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from triocql.abc import Address

from . import encoder
from .hosts import Host
from .node import ServerNode
from .schema import Change, Schema


class Announcing:
    """A server, as far as it sends events.

    Attributes:
        nodes: the nodes.
        schema: the schema.
        host: where it runs.
    """

    nodes: list[ServerNode]
    schema: Schema
    host: Host

    def announce(
        self,
        kind: Literal["TOPOLOGY_CHANGE", "STATUS_CHANGE"],
        change: Literal["NEW_NODE", "REMOVED_NODE", "MOVED_NODE", "UP", "DOWN"],
        address: Address | ServerNode,
        *,
        by: Sequence[ServerNode] | None = None,
    ) -> None:
        """Send an event about a node to all clients that are registered for it; `by` names the nodes that send it."""
        if isinstance(address, ServerNode):
            address = address.address
        self.send_event(kind, encoder.node_event(kind, change, *address), by=by)

    def announce_schema(self, *changes: Change, by: Sequence[ServerNode] | None = None) -> None:
        """Send events about changes of the schema. Those that clients make are announced anyway."""
        for change in changes:
            self.send_event("SCHEMA_CHANGE", encoder.schema_event(*change), by=by)

    def alter(self, table: str, change: str, *, announce: bool = True) -> None:
        """Change a table as if another client did.

        Args:
            table: its name with the keyspace.
            change: what follows the name in ALTER TABLE: ``"ADD a int"``.
            announce: whether clients are told of it by an event.

        Raises:
            SchemaError: the statement cannot be carried out.
        """
        changes = self.host.call(lambda: self.schema.execute(f"ALTER TABLE {table} {change}"))
        if announce:
            self.announce_schema(*changes)

    def send_event(self, kind: str, body: bytes, *, by: Sequence[ServerNode] | None = None) -> None:
        """Send an event of any body to all clients that are registered for `kind`."""

        def send() -> None:
            for node in self.nodes if by is None else by:
                for connection in node.connections:
                    if kind in connection.events:
                        connection.send_event(body)

        self.host.call(send)
