"""The kernels of the pure twin: from the bytes of the values of one type to an array of pyarrow."""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.codecs.columns import odd
from triocql.codecs.vint import read_signed_vint, read_unsigned_vint
from triocql.errors import DecodeError
from triocql.protocol.constants import MAX_INT

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.codecs.columns.layout import Layout

Cells = list[Any]
"""The bytes of values, None for null."""

_length = struct.Struct(">i").unpack_from
_duration = struct.Struct("=iiq").pack
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
    """

    def __init__(self, pa: Any, size: int) -> None:
        self._pa = pa
        self._padding = odd.MOST_PADDING + 4 * size

    def fill(self, layout: Layout, cells: Cells) -> Any:
        """Return the array of some values. Raises DecodeError for one that is not valid, without its place."""
        fill: Callable[[Layout, Cells], Any] = getattr(self, f"_{layout.kernel}")
        return fill(layout, cells)

    # --- What all have ---

    def _array(
        self, layout: Layout, count: int, flags: list[bool], *buffers: Any, children: list[Any] | None = None
    ) -> Any:
        """Return an array; values whose flag is False are null."""
        present = None if all(flags) else self._packed(flags)
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
        self._padding -= size
        if self._padding < 0:
            raise DecodeError(odd.PADDING)

    # --- Values of fixed size ---

    @staticmethod
    def _joined(layout: Layout, cells: Cells) -> tuple[list[bool], bytes]:
        """Return which values are not null, as those are that have no bytes, and the bytes of all."""
        flags = list(map(bool, cells))
        if not all(flags):
            zeros = bytes(layout.width)
            cells = [cell or zeros for cell in cells]
        if any(map(layout.width.__ne__, map(len, cells))):
            raise DecodeError(odd.LENGTH)
        return flags, b"".join(cells)

    def _number(self, layout: Layout, cells: Cells) -> Any:
        flags, joined = self._joined(layout, cells)
        return self._array(layout, len(cells), flags, _swapped(layout, joined))

    def _date(self, layout: Layout, cells: Cells) -> Any:
        flags, joined = self._joined(layout, cells)
        flipped = int.from_bytes(joined) ^ int.from_bytes(b"\x80\0\0\0" * len(cells))
        return self._array(layout, len(cells), flags, _swapped(layout, flipped.to_bytes(len(joined))))

    def _time(self, layout: Layout, cells: Cells) -> Any:
        flags, joined = self._joined(layout, cells)
        times = _swapped(layout, joined)
        if times and not 0 <= min(times) <= max(times) < _NANOSECONDS_OF_DAY:
            raise DecodeError(odd.TIME)
        return self._array(layout, len(cells), flags, times)

    def _plain(self, layout: Layout, cells: Cells) -> Any:
        flags, joined = self._joined(layout, cells)
        return self._array(layout, len(cells), flags, joined)

    def _bits(self, layout: Layout, cells: Cells) -> Any:
        flags, joined = self._joined(layout, cells)
        return self._array(layout, len(cells), flags, self._packed(list(map(bool, joined))))

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
        flags = [cell is not None for cell in cells]
        if not all(flags):
            cells = [cell or b"" for cell in cells]
        try:
            offsets = array("i", accumulate(map(len, cells), initial=0))
        except OverflowError:
            raise DecodeError(odd.LARGE) from None
        return self._array(layout, len(cells), flags, offsets, b"".join(cells))

    def _text(self, layout: Layout, cells: Cells) -> Any:
        if not b"".join(filter(None, cells)).isascii():
            cells = [cell if cell is None or _is_utf8(cell) else odd.utf8_of(cell) for cell in cells]
        return self._bytes(layout, cells)

    def _ascii(self, layout: Layout, cells: Cells) -> Any:
        if not b"".join(filter(None, cells)).isascii():
            raise DecodeError(odd.ASCII)
        return self._bytes(layout, cells)

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
        found: Cells = []
        offsets = array("i", (0,))
        for cell in cells:
            if cell:
                _split(cell, each, found)
            offsets.append(len(found) // each)
        return flags, offsets, found

    def _list(self, layout: Layout, cells: Cells) -> Any:
        flags, offsets, found = self._elements(cells, 1)
        child = self.fill(layout.children[0][1], found)
        return self._array(layout, len(cells), flags, offsets, children=[child])

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
            missing = _split_fields(cell or b"", count, fields, strict=strict)
            self._pad(missing * 16)
        children = [self.fill(child, fields[i::count]) for i, (_, child) in enumerate(layout.children)]
        return self._array(layout, len(cells), [cell is not None for cell in cells], children=children)

    def _tuple(self, layout: Layout, cells: Cells) -> Any:
        return self._struct(layout, cells, strict=True)

    def _vector(self, layout: Layout, cells: Cells) -> Any:
        child = layout.children[0][1]
        found: Cells = []
        for cell in cells:
            if not cell:
                self._pad(layout.count * max(child.width, 8))
                found += [None] * layout.count
            else:
                _split_vector(cell, layout, found)
        flags = list(map(bool, cells))
        if layout.width and child.kernel == "number":
            found = [cell or bytes(child.width) for cell in found]
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


def _next(raw: bytes, at: int, found: Cells) -> int:
    """Add the value that starts at `at` after its length, and return where it ends."""
    start = at + 4
    if start > len(raw):
        raise DecodeError(odd.OVERRUN)
    length = _length(raw, at)[0]
    if length < 0:
        found.append(None)
        return start
    if length > len(raw) - start:
        raise DecodeError(odd.OVERRUN)
    found.append(raw[start : start + length])
    return start + int(length)


def _split(raw: bytes, each: int, found: Cells) -> None:
    """Add the elements of a collection: `each` times as many as it says."""
    if len(raw) < 4:
        raise DecodeError(odd.LENGTH)
    count = _length(raw, 0)[0]
    if not 0 <= count * each * 4 <= len(raw) - 4:
        raise DecodeError(odd.COUNT)
    at = 4
    add = found.append
    try:
        for _ in range(count * each):
            length = _length(raw, at)[0]
            at += 4
            if length < 0:
                add(None)
            else:
                add(raw[at : at + length])
                at += length
    except struct.error:
        at = len(raw) + 1
    if at != len(raw):
        raise DecodeError(odd.OVERRUN if at > len(raw) else odd.REST)


def _split_fields(raw: bytes, count: int, found: Cells, *, strict: bool) -> int:
    """Add the fields of a value, null for those that are missing at its end, and return how many these are."""
    at = 0
    missing = count
    while missing and at < len(raw):
        at = _next(raw, at, found)
        missing -= 1
    if strict and at < len(raw):
        raise DecodeError(odd.REST)
    found += [None] * missing
    return missing


def _split_vector(raw: bytes, layout: Layout, found: Cells) -> None:
    """Add the elements of a vector."""
    width = layout.width
    if (width and len(raw) != width * layout.count) or layout.count > len(raw):
        raise DecodeError(odd.LENGTH)
    if width:
        found += [raw[at : at + width] for at in range(0, len(raw), width)]
        return
    at = 0
    for _ in range(layout.count):
        length, at = read_unsigned_vint(raw, at)
        if length > len(raw) - at:
            raise DecodeError(odd.OVERRUN)
        found.append(raw[at : at + length])
        at += length
    if at != len(raw):
        raise DecodeError(odd.REST)
