"""Where a stream may be read: within its block, and once."""

from __future__ import annotations

from triocql.errors import UsageError


class Block:
    """The state of the ``with`` block around a stream.

    Args:
        line: how the block is to be written, for messages.

    Attributes:
        is_open: whether the block was entered and not left yet.
        exhausted: whether everything was read.
    """

    __slots__ = ("_entered", "_line", "exhausted", "is_open")

    def __init__(self, line: str) -> None:
        self.is_open = False
        self.exhausted = False
        self._entered = False
        self._line = line

    def enter(self) -> None:
        """Note that the block is entered. Raises UsageError the second time."""
        if self._entered:
            raise UsageError(f"a stream is entered once; make another one: `{self._line}:`")
        self._entered = self.is_open = True

    def leave(self) -> None:
        """Note that the block is left."""
        self.is_open = False

    def check_open(self) -> None:
        """Raise UsageError outside the block."""
        if not self._entered:
            raise UsageError(f"write `{self._line}:` around the loop")
        if not self.is_open:
            raise UsageError(
                "this stream was read after its block; read it within the block, or make another one"
            )

    def check_unread(self) -> None:
        """Raise UsageError outside the block, or if a loop over the stream would find nothing any more."""
        self.check_open()
        if self.exhausted:
            raise UsageError("this stream was read to its end already; make another one to read it again")
