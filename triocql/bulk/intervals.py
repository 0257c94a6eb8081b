"""Parts of the ring as sets of ranges, in which none overlaps or touches another: what is done, what is left."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from triocql.metadata.partitioners import MAX_LONG, MIN_LONG, MURMUR3, RANDOM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from triocql.metadata.partitioners import Partitioner


class TokenRange(NamedTuple):
    """The tokens behind `start`, up to and with `end`. It never goes over the end of the ring: nodes answer such
    ranges with no rows, and no error.

    >>> TokenRange(0, 10).split(3)
    [TokenRange(start=0, end=3), TokenRange(start=3, end=6), TokenRange(start=6, end=10)]
    """

    start: int
    end: int

    @property
    def width(self) -> int:
        """How many tokens it has."""
        return self.end - self.start

    def split(self, parts: int) -> list[TokenRange]:
        """Return it in so many parts of about equal width, or as many as it has tokens."""
        start, width = self.start, self.width
        parts = max(min(parts, width), 1)
        bounds = [start + width * part // parts for part in range(parts + 1)]
        return list(map(TokenRange, bounds, bounds[1:]))


class TokenSpace(NamedTuple):
    """All tokens of a partitioner.

    Attributes:
        start: the number before the first token that a partition of a table can have. The least token is no
            partition's, but for that of the empty key, in views.
        end: the last token.
    """

    start: int
    end: int

    @property
    def whole(self) -> TokenRange:
        """The range of all tokens."""
        return TokenRange(self.start, self.end)

    def unwrapped(self, start: int, end: int) -> list[TokenRange]:
        """Return the ranges that one is which may go over the end of the ring: two of them, one, or none. From a token
        to itself is all of the ring.

        >>> space_of(MURMUR3).unwrapped(100, MIN_LONG)
        [TokenRange(start=100, end=9223372036854775807)]
        """
        if start < end:
            return [TokenRange(start, end)]
        return [each for each in (TokenRange(self.start, end), TokenRange(start, self.end)) if each.width > 0]


_SPACES: Final = {MURMUR3: TokenSpace(MIN_LONG, MAX_LONG), RANDOM: TokenSpace(-1, 2**127)}


def space_of(partitioner: Partitioner) -> TokenSpace | None:
    """Return the tokens of a partitioner; None where they are no numbers, so that ranges cannot be divided."""
    return _SPACES.get(partitioner)


class Intervals:
    """A set of numbers as ranges in order. It does not change; sets of the same numbers are equal.

    >>> done = Intervals.of([TokenRange(0, 10), TokenRange(10, 20), TokenRange(30, 40)])
    >>> done
    <Intervals (0, 20], (30, 40]>
    >>> Intervals.of([TokenRange(5, 50)]) - done
    <Intervals (20, 30], (40, 50]>
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Intervals:
        """Return the set of what is in any of some ranges.

        Raises:
            ValueError: a range has no tokens: its start is not before its end.
        """
        made = cls()
        starts, ends = made._starts, made._ends
        for start, end in sorted(ranges):
            if start >= end:
                raise ValueError(f"the range from {start} to {end} is none: its start is not before its end")
            if ends and start <= ends[-1]:
                ends[-1] = max(end, ends[-1])
            else:
                starts.append(start)
                ends.append(end)
        return made

    @classmethod
    def from_json(cls, data: Any) -> Intervals:
        """Return the set that `as_json` has told.

        Raises:
            ValueError: it is no list of pairs of whole numbers.
        """
        if not (isinstance(data, list) and all(map(_is_pair, data))):
            raise ValueError("ranges are a list of pairs of whole numbers")
        return cls.of((start, end) for start, end in data)

    def as_json(self) -> list[list[int]]:
        """Return plain lists: ``[[start, end], ...]``."""
        return [list(each) for each in self]

    @property
    def width(self) -> int:
        """How many numbers are in it."""
        return sum(self._ends) - sum(self._starts)

    def plus(self, start: int, end: int) -> Intervals:
        """Return the set with one range more; of a large set, this takes far less time than ``|``.

        Raises:
            ValueError: as `of`.
        """
        if start >= end:
            raise ValueError(f"the range from {start} to {end} is none: its start is not before its end")
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < last:  # those between touch it
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        made = Intervals()
        made._starts = [*self._starts[:first], start, *self._starts[last:]]
        made._ends = [*self._ends[:first], end, *self._ends[last:]]
        return made

    def within(self, start: int, end: int) -> Intervals:
        """Return what of the set is in a range."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        made = Intervals()
        if first < last:
            made._starts = [max(start, self._starts[first]), *self._starts[first + 1 : last]]
            made._ends = [*self._ends[first : last - 1], min(end, self._ends[last - 1])]
        return made

    def __or__(self, other: Intervals) -> Intervals:
        return Intervals.of([*self, *other])

    def __sub__(self, other: Intervals) -> Intervals:
        made = Intervals()
        for start, end in self:
            inner = other.within(start, end)
            for gap in zip([start, *inner._ends], [*inner._starts, end], strict=True):
                if gap[0] < gap[1]:
                    made._starts.append(gap[0])
                    made._ends.append(gap[1])
        return made

    def __contains__(self, part: tuple[int, int]) -> bool:
        """Return whether all of a range is in it."""
        at = bisect_left(self._ends, part[1])
        return at < len(self._ends) and self._starts[at] <= part[0]

    def __iter__(self) -> Iterator[TokenRange]:
        return map(TokenRange, self._starts, self._ends)

    def __len__(self) -> int:
        """Return of how many ranges it is."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Intervals):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    def __hash__(self) -> int:
        return hash((*self._starts, *self._ends))

    def __repr__(self) -> str:
        return f"<Intervals {', '.join(f'({start}, {end}]' for start, end in self) or 'of nothing'}>"


def _is_pair(data: Any) -> bool:
    return isinstance(data, list) and len(data) == 2 and all(type(each) is int for each in data)
