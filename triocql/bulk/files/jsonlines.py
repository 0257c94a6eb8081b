"""JSON Lines: an object for each row, one a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.files.jsontexts import json_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triocql.protocol.types import ColumnSpec

_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which servers take for text, and UTF-8 does not have."""


class JsonLines:
    """Writes rows as objects of JSON. Each has all columns, null ones, too."""

    head = ""

    def __init__(self, columns: Sequence[ColumnSpec]) -> None:
        self._names = [f"{name_of(column.name)}: " for column in columns]
        self._renders = [json_of(column.type) for column in columns]

    def lines(self, rows: Iterable[Sequence[Any]]) -> str:
        """Return some rows as lines."""
        columns = [
            [name + render(cell) for cell in cells]
            for name, render, cells in zip(self._names, self._renders, zip(*rows, strict=True), strict=False)
        ]
        return "".join([f"{{{', '.join(fields)}}}\n" for fields in zip(*columns, strict=True)])

    @staticmethod
    def encoded(text: str) -> bytes:
        """Return lines as bytes of UTF-8: what that does not have is escaped."""
        try:
            return text.encode()
        except UnicodeEncodeError:
            return _HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
