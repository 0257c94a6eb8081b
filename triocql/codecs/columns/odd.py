"""The values that are too rare for kernels, one by one: both twins have the same answers, and the same refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.codecs.digits import EXACT, to_decimal
from triocql.codecs.scalars import read_decimal
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from decimal import Decimal

    from triocql.protocol.types import ColumnSpec

LENGTH = "it has a length that its type does not have"
OVERRUN = "an element goes beyond its value"
PAGE_END = "a value goes beyond its page"
COUNT = "more elements than its bytes can hold, or a negative number of them"
REST = "bytes after the last element"
KEY = "a key of a map is null or empty, which no column can have; read it by rows"
TIME = "a time that is none of a day, which no column can have; read it by rows"
DURATION = "the parts of a duration are out of range"
VINT = "a variable-length integer goes beyond its value"
ASCII = "the bytes are not valid ascii"
PADDING = "values lack millions of elements that their types have; read fewer rows at a time"
LARGE = "the texts of a column have more than 2 GiB; read fewer rows at a time"
INEXACT = "the number is not exactly one of the chosen decimal128; choose another one, or leave it as text"

MOST_PADDING = 1 << 28
"""So many bytes may be in buffers for what is null or missing within values, beside four times those of the page."""


def utf8_of(raw: bytes) -> bytes:
    """Return a text, which is not valid, as it has to be: a zero that was written in two bytes in one.

    Raises DecodeError for anything else.
    """
    raw = raw.replace(b"\xc0\x80", b"\0")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the bytes are not valid utf-8 at position {error.start}") from None
    return raw


def varint_text(raw: bytes) -> str:
    """Return the digits of a varint."""
    return EXACT.to_sci_string(to_decimal(raw))


def decimal_text(raw: bytes) -> str:
    """Return the text of a decimal, as `str` has it."""
    if len(raw) < 4:
        raise DecodeError(LENGTH)
    return EXACT.to_sci_string(read_decimal(raw))


def exact_decimal(raw: bytes, precision: int, scale: int) -> int:
    """Return a decimal as an integer that counts units of 10 ** -scale. Raises DecodeError if it is none."""
    if len(raw) < 4:
        raise DecodeError(LENGTH)
    return _exact(read_decimal(raw), precision, scale)


def exact_varint(raw: bytes, precision: int, scale: int) -> int:
    """Return a varint as an integer that counts units of 10 ** -scale. Raises DecodeError if it is none."""
    return _exact(to_decimal(raw), precision, scale)


def _exact(number: Decimal, precision: int, scale: int) -> int:
    if not number:
        return 0
    if number.adjusted() + scale < precision:
        units = EXACT.scaleb(number, scale)
        if units.adjusted() >= 0 and units == (whole := int(units)):
            return whole
    raise DecodeError(INEXACT)


def refused(column: ColumnSpec, row: int, reason: str) -> DecodeError:
    """Return the error for a value of a page."""
    return DecodeError(
        f"row {row}, column {column.name!r} ({column.type}) of {column.keyspace}.{column.table}: {reason}"
    )
