"""The parts of a table as they come, for those who write them somewhere; and the blocks of all scans."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from triocql.errors import UsageError
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.scanned import OfParts, OfScan
from triocql.session.scanreader import ScanReader

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from triocql.bulk.order import ScanOrder
    from triocql.bulk.pieces import Discarded, Piece
    from triocql.sync.portal import Portal


class ScanBlock(OfScan, BlockingBlock):
    """The base of what reads a table within a block. Leaving it abandons what is under way."""

    def __init__(self, portal: Portal, order: ScanOrder, line: str) -> None:
        self._portal = portal
        self._block = Block(line, "scan")
        self._reader = ScanReader(portal.context, order, self._block)

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._leave()

    def _enter(self, *, whole: bool = False, counts: bool = False) -> None:
        self._block.enter(whole=whole)
        try:
            self._portal.run(self._reader.open, counts=counts)
        except BaseException:  # Ctrl-C may come when the first pages are on their way already
            self._leave()
            raise

    def _leave(self) -> None:
        self._block.leave()
        with suppress(UsageError):  # the session is closed already
            self._portal.call(self._reader.close)


class Parts(OfParts, ScanBlock):
    """Made by `Scan.parts`: a context manager, and the iterator over pieces in it. What it is told to be complete is
    done, and nothing else.
    """

    def __init__(self, portal: Portal, order: ScanOrder) -> None:
        super().__init__(portal, order, "with scan.parts(...) as parts")

    def __iter__(self) -> Self:
        self._block.check_open()
        return self

    def __next__(self) -> Piece | Discarded:
        piece = self._portal.run(self._reader.next_piece)
        if piece is None:
            raise StopIteration
        return piece
