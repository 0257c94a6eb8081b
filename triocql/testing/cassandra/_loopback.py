"""Loopback blocks: each cluster has 127.19.x.0/24 for itself, among all processes of the machine."""

from __future__ import annotations

import socket
from typing import Final

from triocql.testing.cassandra._errors import LauncherError

CQL_PORT: Final = 9042
_BLOCKS: Final = range(1, 255)
_LARGEST_NODE: Final = 250


class LoopbackBlock:
    """A block held by a socket that is bound to its last address.

    The kernel keeps the record: the block is free again when the last process with a copy of the socket has
    ended, and processes that share the network share the record, whatever file systems they see. Every
    127.x.y.z address of Linux can be bound without set-up.
    """

    def __init__(self, prefix: str, holder: socket.socket) -> None:
        self.prefix = prefix
        self._holder = holder

    @classmethod
    def reserve(cls) -> LoopbackBlock:
        """Reserve the first free block.

        Raises:
            LauncherError: no block is free.
        """
        for number in _BLOCKS:
            holder = socket.socket()
            try:
                holder.bind((f"127.19.{number}.254", CQL_PORT))
            except OSError:
                holder.close()
            else:
                return cls(f"127.19.{number}", holder)
        raise LauncherError(
            f"port {CQL_PORT} cannot be bound on any address in 127.19.0.0/16: is a program listening "
            f"on 0.0.0.0:{CQL_PORT}? The launcher needs Linux, where all of 127.0.0.0/8 is loopback"
        )

    def address(self, index: int) -> str:
        """Return the address of the node with this index, counted from 0."""
        if index >= _LARGEST_NODE:
            raise LauncherError(f"a cluster of the launcher has at most {_LARGEST_NODE} nodes")
        return f"{self.prefix}.{index + 1}"

    def fileno(self) -> int:
        """Return the descriptor that holds the block; a process that inherits it holds the block, too."""
        return self._holder.fileno()

    def release(self) -> None:
        """Release the block."""
        self._holder.close()
