"""The routes of clients that reach the nodes of ScyllaDB by proxies: ``system.client_routes`` and its events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from . import encoder
from .node import ServerNode

EVENT = "CLIENT_ROUTES_CHANGE"


class ClientRoutes:
    """The rows of ``system.client_routes``, the same on all nodes.

    Args:
        send_event: sends an event of a kind to all clients that are registered for it.

    Attributes:
        rows: the rows, which may be edited in any way.
    """

    def __init__(self, send_event: Callable[[str, bytes], None]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._send_event = send_event

    def set(
        self,
        connection_id: str,
        node: ServerNode | UUID,
        address: str,
        port: int | None = None,
        tls_port: int | None = None,
        *,
        announce: bool = True,
    ) -> None:
        """Have a connection id reach a node, or a host_id, by this address and port; `announce` has clients told.
        Raises TypeError for an address that is no text.
        """
        if not isinstance(address, str):
            raise TypeError(f"the address is a text, not {address!r}: give its host, and then its port")
        host_id = _host_id(node)
        self._drop(connection_id, host_id)
        self.rows.append(
            {
                "connection_id": connection_id,
                "host_id": host_id,
                "address": address,
                "port": port,
                "tls_port": tls_port,
            }
        )
        if announce:
            self.announce([connection_id], [host_id])

    def remove(self, connection_id: str, node: ServerNode | UUID, *, announce: bool = True) -> None:
        """Have it reach the node no more."""
        self._drop(connection_id, _host_id(node))
        if announce:
            self.announce([connection_id], [_host_id(node)])

    def announce(
        self, connection_ids: Sequence[str], host_ids: Sequence[UUID | str], *, change: str = "UPDATE_NODES"
    ) -> None:
        """Send the event, whatever is true; clients are told that pairs of the two lists have changed."""
        self._send_event(EVENT, encoder.client_routes_event(change, connection_ids, list(map(str, host_ids))))

    def _drop(self, connection_id: str, host_id: UUID) -> None:
        self.rows = [
            row for row in self.rows if (row["connection_id"], row["host_id"]) != (connection_id, host_id)
        ]


def _host_id(node: ServerNode | UUID) -> UUID:
    return node.host_id if isinstance(node, ServerNode) else node
