"""The parts of a table as they come, for those who write them somewhere; and the blocks of all scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.session.blocks import AsyncBlock, Block
from triocql.session.scanned import OfParts, OfScan
from triocql.session.scanreader import ScanReader

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from triocql.bulk.order import ScanOrder
    from triocql.bulk.pieces import Discarded, Piece
    from triocql.session.context import SessionContext


class ScanBlock(OfScan, AsyncBlock):
    """The base of what reads a table within a block. Leaving it abandons what is under way."""

    __slots__ = ("_block", "_context", "_reader")

    def __init__(self, context: SessionContext, order: ScanOrder, line: str) -> None:
        self._block = Block(line, "scan")
        self._context = context
        self._reader = ScanReader(context, order, self._block)

    async def __aenter__(self) -> Self:
        await self._enter()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._leave()

    async def _enter(self, *, whole: bool = False, counts: bool = False) -> None:
        self._block.enter(whole=whole)
        try:
            await self._reader.open(counts=counts)
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        self._block.leave()
        self._reader.close()


class Parts(OfParts, ScanBlock):
    """Made by `Scan.parts`: an async context manager, and the async iterator over pieces in it. What it is told to be
    complete is done, and nothing else.
    """

    __slots__ = ()

    def __init__(self, context: SessionContext, order: ScanOrder) -> None:
        super().__init__(context, order, "async with scan.parts(...) as parts")

    def __aiter__(self) -> Self:
        self._block.check_open()
        return self

    async def __anext__(self) -> Piece | Discarded:
        piece = await self._reader.next_piece()
        if piece is None:
            raise StopAsyncIteration
        return piece
