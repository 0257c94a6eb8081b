"""CSV: a line of names, and a line for each row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.files.jsontexts import json_of
from triocql.bulk.files.texts import optional, text_of
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triocql.protocol.types import ColumnSpec, CqlType

_SPECIAL: Final = re.compile('[",\r\n]|^$|^\\s|\\s$')


class CsvLines:
    """Writes rows as lines of CSV, as RFC 4180 has it, which end with a newline alone.

    Null is a field of nothing at all, not even quotes. Text is in quotes, always, so that the empty one is told apart
    from null, and NULL or NA from whatever readers take for it. Whatever has parts is JSON.
    """

    def __init__(self, columns: Sequence[ColumnSpec]) -> None:
        self.head = ",".join(_quoted_if_special(column.name) for column in columns) + "\n"
        self._renders = [_field_of(column.type) for column in columns]

    def lines(self, rows: Iterable[Sequence[Any]]) -> str:
        """Return some rows as lines."""
        columns = [
            list(map(render, cells))
            for render, cells in zip(self._renders, zip(*rows, strict=True), strict=False)
        ]
        return "".join([f"{','.join(fields)}\n" for fields in zip(*columns, strict=True)])

    @staticmethod
    def encoded(text: str) -> bytes:
        """Return lines as bytes of UTF-8; what that does not have, and servers take all the same, as they have it."""
        return text.encode("utf-8", "surrogatepass")


def _field_of(cql_type: CqlType) -> Callable[[Any], str]:
    """Return what makes fields of the values of a type. A value of no bytes whose type has none such is ``""``."""
    return optional(_present(cql_type), "")


def _present(cql_type: CqlType) -> Callable[[Any], str]:
    match cql_type:
        case NativeType("ascii" | "text"):
            return _quoted
        case ListType() | SetType() | MapType() | TupleType() | UserType() | VectorType():
            render = json_of(cql_type)
            return lambda value: _quoted(render(value))
    return text_of(cql_type)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted_if_special(name: str) -> str:
    return _quoted(name) if _SPECIAL.search(name) else name
