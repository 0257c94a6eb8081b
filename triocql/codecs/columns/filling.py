"""The kernels of the pure twin: from the bytes of the values of one type to an array of pyarrow."""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.codecs.columns import odd
from triocql.codecs.columns.splitting import (
    counts_of,
    split,
    split_all,
    split_fields,
    split_vector,
    unprefixed,
)
from triocql.codecs.vint import read_signed_vint
from triocql.errors import DecodeError
from triocql.protocol.constants import MAX_INT

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.codecs.columns.layout import Layout
    from triocql.codecs.columns.splitting import Cells

_duration = struct.Struct("=iiq").pack
FIXED = frozenset(("number", "date", "time", "plain", "bits"))
"""The kernels of values that all have one size."""
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_ALONE = {"b": "bool_", "c": "int8", "s": "int16", "i": "int32", "l": "int64", "f": "float32", "g": "float64"}
_ALONE |= {"u": "string", "z": "binary", "tdD": "date32", "tin": "month_day_nano_interval"}
_NANOSECONDS_OF_DAY = 86_400_000_000_000
_DIGITS = b"0" + b"1" * 255
"""What bytes become as digits of a number of base 2."""


def arrow_type(pa: Any, layout: Layout) -> Any:
    """Return the type of pyarrow for a layout."""
    children = [arrow_type(pa, child) for _, child in layout.children]
    match layout.kernel:
        case "list":
            return pa.list_(children[0])
        case "map":
            return pa.map_(*children)
        case "vector":
            return pa.list_(children[0], layout.count)
        case "tuple" | "struct":
            names = [name for name, _ in layout.children]
            return pa.struct([pa.field(*each) for each in zip(names, children, strict=True)])
        case "decimal128" | "varint128":
            return pa.decimal128(layout.count, layout.scale)
    match layout.format:
        case "tsm:UTC":
            return pa.timestamp("ms", "UTC")
        case "ttn":
            return pa.time64("ns")
        case "w:16":
            return pa.uuid()
    return getattr(pa, _ALONE[layout.format])()


class Filling:
    """Fills the arrays of one page.

    Args:
        pa: pyarrow.
        size: the bytes of the page.

    Attributes:
        padding: how many bytes may still be in buffers that no byte of the page pays for.
    """

    def __init__(self, pa: Any, size: int) -> None:
        self._pa = pa
        self.padding = odd.MOST_PADDING + 4 * size

    def fill(self, layout: Layout, cells: Cells) -> Any:
        """Return the array of some values. Raises DecodeError for one that is not valid, without its place."""
        fill: Callable[[Layout, Cells], Any] = getattr(self, f"_{layout.kernel}", self._fixed)
        return fill(layout, cells)

    # --- What all have ---

    def _array(
        self,
        layout: Layout,
        count: int,
        flags: list[bool] | None,
        *buffers: Any,
        children: list[Any] | None = None,
    ) -> Any:
        """Return an array; values whose flag is False are null, none of them without flags."""
        present = None if flags is None or all(flags) else self._packed(flags)
        parts = [present, *map(self._pa.py_buffer, buffers)]
        kind = arrow_type(self._pa, layout)
        if layout.extension:
            storage = self._pa.Array.from_buffers(kind.storage_type, count, parts)
            return self._pa.ExtensionArray.from_storage(kind, storage)
        return self._pa.Array.from_buffers(kind, count, parts, children=children)

    def _packed(self, flags: list[bool]) -> Any:
        digits = bytes(flags)[::-1].translate(_DIGITS) or b"0"
        return self._pa.py_buffer(int(digits, 2).to_bytes((len(flags) + 7) // 8, "little"))

    def _pad(self, size: int) -> None:
        """Count the bytes in buffers that no byte of the page pays for."""
        self.padding -= size
        if self.padding < 0:
            raise DecodeError(odd.PADDING)

    # --- Values of fixed size ---

    def _fixed(self, layout: Layout, cells: Cells) -> Any:
        flags = None
        if not all(cells):
            flags = list(map(bool, cells))
            zeros = bytes(layout.width)
            cells = [cell or zeros for cell in cells]
        if any(map(layout.width.__ne__, map(len, cells))):
            raise DecodeError(odd.LENGTH)
        return self._packed_values(layout, len(cells), flags, b"".join(cells))

    def _packed_values(self, layout: Layout, count: int, flags: list[bool] | None, joined: bytes) -> Any:
        """Return the array of values of fixed size that stand side by side, zeros for null."""
        values: Any = joined
        match layout.kernel:
            case "number":
                values = _swapped(layout, joined)
            case "date":
                flipped = int.from_bytes(joined) ^ int.from_bytes(b"\x80\0\0\0" * count)
                values = _swapped(layout, flipped.to_bytes(len(joined)))
            case "time":
                values = _swapped(layout, joined)
                if values and not 0 <= min(values) <= max(values) < _NANOSECONDS_OF_DAY:
                    raise DecodeError(odd.TIME)
            case "bits":
                return self._array(layout, count, flags, self._packed(list(map(bool, joined))))
        return self._array(layout, count, flags, values)

    # --- Values of 16 bytes that have another size on the wire ---

    def _wide(self, layout: Layout, cells: Cells, convert: Callable[[bytes], bytes]) -> Any:
        joined = b"".join(convert(cell) if cell else bytes(16) for cell in cells)
        return self._array(layout, len(cells), list(map(bool, cells)), joined)

    def _duration(self, layout: Layout, cells: Cells) -> Any:
        return self._wide(layout, cells, _duration_of)

    def _decimal128(self, layout: Layout, cells: Cells) -> Any:
        return self._wide(
            layout, cells, lambda raw: _int128(odd.exact_decimal(raw, layout.count, layout.scale))
        )

    def _varint128(self, layout: Layout, cells: Cells) -> Any:
        return self._wide(
            layout, cells, lambda raw: _int128(odd.exact_varint(raw, layout.count, layout.scale))
        )

    # --- Texts, and what is written as text ---

    def _bytes(self, layout: Layout, cells: Cells) -> Any:
        flags = None
        if None in cells:
            flags = [cell is not None for cell in cells]
            cells = [cell or b"" for cell in cells]
        try:
            offsets = array("i", accumulate(map(len, cells), initial=0))
        except OverflowError:
            raise DecodeError(odd.LARGE) from None
        joined = b"".join(cells)
        if not (layout.kernel == "bytes" or joined.isascii()):
            if layout.kernel == "ascii":
                raise DecodeError(odd.ASCII)
            if layout.kernel == "text" and not all(map(_is_utf8, cells)):
                return self._bytes(layout, self._mended(cells, flags))
        return self._array(layout, len(cells), flags, offsets, joined)

    _text = _ascii = _bytes

    @staticmethod
    def _mended(cells: Cells, flags: list[bool] | None) -> Cells:
        """Return texts, not all of which are valid, as they have to be, and null as it was."""
        present = flags or [True] * len(cells)
        return [
            None if not there else cell if _is_utf8(cell) else odd.utf8_of(cell)
            for cell, there in zip(cells, present, strict=True)
        ]

    def _rendered(self, layout: Layout, cells: Cells, render: Callable[[bytes], str]) -> Any:
        return self._bytes(layout, [render(cell).encode() if cell else None for cell in cells])

    def _varint(self, layout: Layout, cells: Cells) -> Any:
        return self._rendered(layout, cells, odd.varint_text)

    def _decimal(self, layout: Layout, cells: Cells) -> Any:
        return self._rendered(layout, cells, odd.decimal_text)

    def _inet(self, layout: Layout, cells: Cells) -> Any:
        return self._rendered(layout, cells, _address)

    def _uuid(self, layout: Layout, cells: Cells) -> Any:
        return self._rendered(layout, cells, _uuid_text)

    # --- What has elements ---

    def _elements(self, cells: Cells, each: int) -> tuple[list[bool], array[int], Cells]:
        """Return which collections are not null, where their elements begin and end, and the elements: `each` of them
        make up one."""
        flags = list(map(bool, cells))
        split_up = split_all(cells, each)
        if split_up is not None:
            return flags, *split_up
        found: Cells = []
        offsets = array("i", (0,))
        for cell in cells:
            if cell:
                split(cell, each, found)
            offsets.append(len(found) // each)
        return flags, offsets, found

    def _list(self, layout: Layout, cells: Cells) -> Any:
        child = layout.children[0][1]
        counts = counts_of(cells, 4 + child.width) if child.kernel in FIXED else None
        packed = None if counts is None else unprefixed(cells, child.width)
        if counts is not None and packed is not None:
            offsets = array("i", accumulate(counts, initial=0))
            values = self._packed_values(child, offsets[-1], None, packed)
            return self._array(layout, len(cells), list(map(bool, cells)), offsets, children=[values])
        flags, offsets, found = self._elements(cells, 1)
        values = self.fill(child, found)
        return self._array(layout, len(cells), flags, offsets, children=[values])

    def _map(self, layout: Layout, cells: Cells) -> Any:
        flags, offsets, found = self._elements(cells, 2)
        keys = self.fill(layout.children[0][1], found[::2])
        if keys.null_count:
            raise DecodeError(odd.KEY)
        values = self.fill(layout.children[1][1], found[1::2])
        kind = arrow_type(self._pa, layout)
        entries = self._pa.StructArray.from_arrays([keys, values], fields=[kind.key_field, kind.item_field])
        return self._array(layout, len(cells), flags, offsets, children=[entries])

    def _struct(self, layout: Layout, cells: Cells, *, strict: bool = False) -> Any:
        count = len(layout.children)
        fields: Cells = []
        for cell in cells:
            missing = split_fields(cell or b"", count, fields, strict=strict)
            self._pad(missing * 16)
        children = [self.fill(child, fields[i::count]) for i, (_, child) in enumerate(layout.children)]
        return self._array(layout, len(cells), [cell is not None for cell in cells], children=children)

    def _tuple(self, layout: Layout, cells: Cells) -> Any:
        return self._struct(layout, cells, strict=True)

    def _vector(self, layout: Layout, cells: Cells) -> Any:
        child = layout.children[0][1]
        flags = list(map(bool, cells))
        for present in flags:
            if not present:
                self._pad(layout.count * max(child.width, 8))
        if layout.width and child.kernel == "number":
            size = layout.width * layout.count
            if any(cell and len(cell) != size for cell in cells):
                raise DecodeError(odd.LENGTH)
            joined = b"".join([cell or bytes(size) for cell in cells])
            values = self._packed_values(child, layout.count * len(cells), None, joined)
            return self._array(layout, len(cells), flags, children=[values])
        found: Cells = []
        for cell in cells:
            if cell:
                split_vector(cell, layout, found)
            else:
                found += [None] * layout.count
        return self._array(layout, len(cells), flags, children=[self.fill(child, found)])


def _swapped(layout: Layout, joined: bytes) -> array[int]:
    """Return numbers in the machine's own byte order."""
    numbers = array(_CODES[layout.width], joined)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _duration_of(raw: bytes) -> bytes:
    """Return months, days and nanoseconds; what follows them is passed over, as by the server."""
    months, at = read_signed_vint(raw, 0)
    days, at = read_signed_vint(raw, at)
    nanoseconds, at = read_signed_vint(raw, at)
    if not (-MAX_INT - 1 <= months <= MAX_INT and -MAX_INT - 1 <= days <= MAX_INT):
        raise DecodeError(odd.DURATION)
    return _duration(months, days, nanoseconds)


def _int128(number: int) -> bytes:
    return number.to_bytes(16, sys.byteorder, signed=True)


def _is_utf8(raw: bytes) -> bool:
    try:
        return raw.decode() is not None
    except UnicodeDecodeError:
        return False


def _address(raw: bytes) -> str:
    if len(raw) not in (4, 16):
        raise DecodeError(odd.LENGTH)
    import socket  # which whoever imports triocql may have reasons to load later

    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _uuid_text(raw: bytes) -> str:
    if len(raw) != 16:
        raise DecodeError(odd.LENGTH)
    return str(UUID(bytes=raw))
