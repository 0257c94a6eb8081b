"""One column of a page as an array of NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.codecs.columns import decoder_of, require
from triocql.codecs.columns.layout import layout_of
from triocql.codecs.scalars import BlobNode
from triocql.codecs.values import EMPTY
from triocql.errors import UsageError

if TYPE_CHECKING:
    from triocql.codecs.columns.layout import Layout
    from triocql.codecs.rows import Page

_DTYPES = {
    "b": "u1",
    "c": "i1",
    "s": "i2",
    "i": "i4",
    "l": "i8",
    "f": "f4",
    "g": "f8",
    "tdD": "i4",
    "tsm:UTC": "M8[ms]",
    "ttn": "m8[ns]",
}


def array_of(page: Page, column: str) -> Any:
    """Return one column: `Result.numpy`."""
    np = require("numpy")
    index = _index_of(page.plan.names, column)
    layout = layout_of(page.plan.columns[index].type)
    shape, inner = _shape_of(layout)
    if inner.format not in _DTYPES:
        return _objects(np, page, index)
    decoder = decoder_of(page.plan, (), index)
    batch = decoder.batch(page)
    values, valid = decoder.values(batch)
    found = np.frombuffer(values, _DTYPES[inner.format])
    if inner.kernel == "bits":
        found = _unpacked(np, found, page.row_count)
    elif inner.kernel == "date":
        found = found.astype("M8[D]")
    found.flags.writeable = False
    found = found.reshape(page.row_count, *shape)
    if valid is None:
        return found
    null = ~_unpacked(np, np.frombuffer(valid, "u1"), page.row_count)
    null = np.broadcast_to(null.reshape(-1, *(1,) * len(shape)), found.shape)
    return np.ma.masked_array(found, mask=null)


def _shape_of(layout: Layout) -> tuple[list[int], Layout]:
    """Return the dimensions of vectors of numbers that lie side by side, and the layout of what is in them."""
    shape: list[int] = []
    inner = layout
    while inner.kernel == "vector" and inner.width:
        shape.append(inner.count)
        inner = inner.children[0][1]
    return (shape, inner) if not shape or inner.kernel == "number" else ([], layout)


def _unpacked(np: Any, bits: Any, count: int) -> Any:
    return np.unpackbits(bits, count=count, bitorder="little").astype("?")


def _objects(np: Any, page: Page, index: int) -> Any:
    """Return the values as rows have them. The other columns are passed over as blobs."""
    plan = page.plan
    nodes = tuple(
        node if i == index else BlobNode(column.type)
        for i, (column, node) in enumerate(zip(plan.columns, plan.nodes, strict=True))
    )
    rows = page.read_by(type(plan)(plan.columns, nodes)).rows(tuple)
    values = (None if row[index] is EMPTY else row[index] for row in rows)
    found = np.fromiter(values, dtype=object, count=len(rows))
    found.flags.writeable = False
    return found.view()  # of what owns its values, the flag could be set again


def _index_of(names: tuple[str, ...], column: str) -> int:
    """Return which column has a name: of several, the last one."""
    for index in range(len(names) - 1, -1, -1):
        if names[index] == column:
            return index
    raise UsageError(
        f"there is no column {brief(column)}; the columns are {', '.join(map(repr, names)) or 'none'}"
    )
