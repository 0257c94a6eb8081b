"""What writes pages to a file: one writer for each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from triocql.codecs.rows import Page


class Writer(Protocol):
    """Writes the pages of one file. All of it blocks, and is called by one thread at a time.

    Attributes:
        held: about how many bytes of rows it keeps in memory until there are enough of them.
    """

    held: int

    def write(self, page: Page) -> None:
        """Write the rows of a page, or keep them to be written with others. Raises OSError; DecodeError for a value
        that is not valid.
        """

    def flush(self) -> None:
        """Write what is kept. Raises OSError."""

    def finish(self) -> None:
        """Write what is kept, and what ends a file of its format. The file is closed by whoever has opened it."""

    def abandon(self) -> None:
        """Let go of the file as it is: it is to be thrown away."""
