"""What a scan gives: a page of rows, which becomes what it is wanted as when that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from triocql.bulk.hiding import shown
from triocql.results.columns import AsColumns, Batches
from triocql.results.factories import row_factory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from triocql.bulk.intervals import TokenRange
    from triocql.codecs.rows import Page
    from triocql.metadata.node import Node
    from triocql.protocol.types import ColumnSpec
    from triocql.results.factories import RowFactory
    from triocql.results.row import Row

T = TypeVar("T")


class RowBatch(AsColumns):
    """Some rows of a table: a page of a scan. It remains what it is after the end of the scan.

    Nothing of it is decoded before it is asked for, as `rows`, `arrow`, `polars`, `pandas` or `numpy`; and whatever
    takes Arrow's C data interface takes a batch.

    Attributes:
        page: its rows as they came.
        token_range: the range of tokens that its rows are of, with others: behind the first number, up to and with the
            second.
        node: the node that it is from; ``str()`` gives its address.

    >>> async for batch in scan:                                                       # doctest: +SKIP
    ...     print(len(batch), batch.node, batch.rows()[0])
    """

    __slots__ = ("_hidden", "node", "page", "token_range")

    def __init__(self, page: Page, hidden: int, token_range: TokenRange, node: Node | None) -> None:
        self.page = page
        self._hidden = hidden
        self.token_range = token_range
        self.node = node

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """The keyspace, table, name and type of each column."""
        columns = self.page.plan.columns
        return columns[: len(columns) - self._hidden]

    @overload
    def rows(self, row_type: type[Row] | None = None) -> list[Row]: ...
    @overload
    def rows(self, row_type: type[dict[str, Any]]) -> list[dict[str, Any]]: ...
    @overload
    def rows(self, row_type: type[T]) -> list[T]: ...
    def rows(self, row_type: type[Any] | None = None) -> list[Any]:
        """Return the rows; `row_type` is as for `Session.execute`. Raises DecodeError, or RowTypeError."""
        return row_factory(row_type).build(shown(self.page, self._hidden))

    def iterate(self, factory: RowFactory[T]) -> Iterator[T]:
        """Return an iterator that decodes the rows in slices, so that none of its steps takes long."""
        return factory.iterate(shown(self.page, self._hidden))

    def __len__(self) -> int:
        return self.page.row_count

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    def __repr__(self) -> str:
        return f"<RowBatch of {len(self)} rows of {len(self.columns)} columns>"

    def _only_page(self) -> Page:
        return self.page

    def _batches(self, page: Page, types: Mapping[str, Any] | None) -> Batches:
        return Batches(page.plan, types, self._hidden)
