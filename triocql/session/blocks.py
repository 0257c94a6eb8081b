"""The blocks of streams: a stream is read within its block, and once; and the kind of block has to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from triocql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Block:
    """The state of the ``with`` block around a stream.

    Args:
        line: how the block is to be written, for messages.
        what: what is read, likewise.

    Attributes:
        is_open: whether the block was entered and not left yet.
        exhausted: whether everything was read.
        entered: whether the block was ever entered.
    """

    __slots__ = ("_line", "_what", "_whole", "entered", "exhausted", "is_open")

    def __init__(self, line: str, what: str = "stream") -> None:
        self.is_open = False
        self.exhausted = False
        self.entered = False
        self._whole = False
        self._line = line
        self._what = what

    def enter(self, *, whole: bool = False) -> None:
        """Enter the block, or what stands for one where the stream is read as a `whole`. Raises UsageError the second
        time."""
        if self.entered:
            self._check_not_whole()
            raise UsageError(f"a {self._what} is entered once; make another one: `{self._line}:`")
        self.entered = self.is_open = True
        self._whole = whole

    def leave(self) -> None:
        """Leave the block."""
        self.is_open = False

    def check_open(self) -> None:
        """Raise UsageError outside the block."""
        if not self.entered:
            raise UsageError(f"write `{self._line}:` around the loop")
        if not self.is_open:
            self._check_not_whole()
            raise UsageError(
                f"this {self._what} was read after its block had ended; read it within the block, or make another one"
            )

    def _check_not_whole(self) -> None:
        if self._whole:
            raise UsageError(
                f"this {self._what} was read as a whole already; make another one to read it again"
            )

    def check_unread(self) -> None:
        """Raise UsageError outside the block, or if a loop over the stream would find nothing any more."""
        self.check_open()
        if self.exhausted:
            raise UsageError(
                f"this {self._what} was read to its end already; make another one to read it again"
            )

    def check_whole(self, rows: Iterable[object]) -> None:
        """Raise UsageError as `check_unread` does, or if there are `rows`: those that a loop has left of its page."""
        self.check_unread()
        for _ in rows:
            raise UsageError("a loop has read rows of this page: read all by the loop, or all as columns")


class AsyncBlock:
    """A base of objects entered by ``async with``: a plain ``with``, or loop, raises UsageError with what to write."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise UsageError(
                f"a {type(self).__name__} of triocql is asynchronous: write `async with` (`with` is for triocql.sync)"
            )

        def __exit__(self, *exc: object) -> None:
            """Do nothing: it is never entered so."""

        def __await__(self) -> NoReturn:
            raise UsageError(
                f"a {type(self).__name__} of triocql is not awaited: write `async with`, or await one of its methods"
            )

        def __iter__(self) -> NoReturn:
            raise UsageError(
                f"a {type(self).__name__} of triocql is asynchronous: write `async with`, and `async for` within it"
            )


class BlockingBlock:
    """A base of objects entered by ``with``: ``async with`` raises UsageError with what to write."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __aenter__(self) -> NoReturn:
            raise UsageError(
                f"a {type(self).__name__} of triocql.sync blocks: write `with` (`async with` is for triocql)"
            )

        def __await__(self) -> NoReturn:
            raise UsageError(f"a {type(self).__name__} of triocql.sync blocks: nothing of it is awaited")

        async def __aexit__(self, *exc: object) -> None:
            """Do nothing: it is never entered so."""
