"""How far a range has come: the token of the last row, and what a statement that begins again there gives once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from triocql.bulk.intervals import space_of
from triocql.errors import DecodeError, ProtocolError

if TYPE_CHECKING:
    from triocql.bulk.intervals import TokenRange
    from triocql.codecs.rows import Page
    from triocql.metadata.partitioners import Partitioner

Cells = tuple[bytes | None, ...]


class Front(NamedTuple):
    """The last of the rows that have come.

    Attributes:
        token: its token.
        rows: how many have come with this token: the first ones of it.
    """

    token: int
    rows: int


class Keys:
    """Reads tokens off pages, whose rows are not decoded for that.

    Args:
        partitioner: makes tokens of keys.
        key: where in a row the columns of the partition key are; () where its last column is the token.
    """

    __slots__ = ("_key", "_partitioner", "_start")

    def __init__(self, partitioner: Partitioner, key: tuple[int, ...]) -> None:
        space = space_of(partitioner)
        assert space is not None, "other tokens are in no ranges"
        self._start = space.start
        self._partitioner = partitioner
        self._key = key

    def front(self, page: Page, part: TokenRange, before: Front | None) -> Front:
        """Return the front after a page with rows, which is one of `part`; `before` is the one before the page.

        Raises:
            ProtocolError: the page is cut off, or its last row is none that can follow there.
        """
        columns = self._columns(page)
        left, rows, token = page, 0, 0
        while True:
            run, cells, earlier = left.last_run(columns)
            token = self._token(cells)
            rows += run
            if earlier is None:
                break
            if self._token(earlier) != token:
                return self._checked(Front(token, rows), part, before)
            left = left.first(left.row_count - run)  # two keys of one token: once in some thousand years
        if before is not None and before.token == token:
            rows += before.rows
        return self._checked(Front(token, rows), part, before)

    def skip(self, page: Page, given: Front) -> tuple[Page, Front | None]:
        """Return a page without the rows that were given before, and what is still to be left out after it.

        Rows of that partition that are not there any more are not made up for by rows of others.

        Raises:
            ProtocolError: the page is cut off.
        """
        least, most = 0, min(page.row_count, given.rows)
        while least < most:  # how many of the first rows have the token
            middle = (least + most) // 2
            if self._token_at(page, middle) == given.token:
                least = middle + 1
            else:
                most = middle
        rest = given.rows - least
        if least < page.row_count or not rest:
            return page.after(least), None
        return page.after(least), given._replace(rows=rest)

    def _checked(self, front: Front, part: TokenRange, before: Front | None) -> Front:
        """Return a front that can be one of `part`. To nodes, what begins at the start of the ring has no start: they
        give the empty key, too, which a view may have, and whose token that is.
        """
        first = part.start + (part.start != self._start) if before is None else before.token
        if not first <= front.token <= part.end:
            raise ProtocolError(
                f"a node gave a row of token {front.token} where those from {first} to {part.end} were asked for"
            )
        return front

    def _token_at(self, page: Page, row: int) -> int:
        _, cells, _ = page.after(row).first(1).last_run(self._columns(page))
        return self._token(cells)

    def _columns(self, page: Page) -> tuple[int, ...]:
        return self._key or (len(page.plan.columns) - 1,)

    def _token(self, cells: Cells) -> int:
        parts = [cell for cell in cells if cell is not None]
        if len(parts) < len(cells):
            raise DecodeError("a row has no partition key")
        if not self._key:
            return int.from_bytes(parts[0], "big", signed=True)
        key = parts[0]
        if len(parts) > 1:  # as nodes hash it: `codecs.routing`
            key = b"".join(b"%b%b\0" % (len(part).to_bytes(2, "big"), part) for part in parts)
        token = self._partitioner.token(key)
        assert isinstance(token, int), "other tokens are in no ranges"
        return token
