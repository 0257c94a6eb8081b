"""The formats of files, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from triocql._brief import brief
from triocql.bulk.files.arrowfiles import IpcStreamWriter, IpcWriter, ParquetWriter
from triocql.bulk.files.csvfiles import CsvLines
from triocql.bulk.files.jsonlines import JsonLines
from triocql.bulk.files.textfiles import TextWriter
from triocql.codecs.columns import require
from triocql.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from triocql.bulk.files.writing import Writer
    from triocql.protocol.types import ColumnSpec

    Opening = Callable[[BinaryIO, tuple[ColumnSpec, ...]], Writer]


class Format(NamedTuple):
    """A format of files.

    Attributes:
        name: what users call it.
        suffix: how the names of its files end.
        packages: what it needs.
        open: makes the writer of a file, given where to, and the columns that are written.
        stream: the same for what is read while it is written; None if the format has no such thing.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    open: Opening
    stream: Opening | None


_CSV: Final = partial(TextWriter, kind=CsvLines)
_JSONL: Final = partial(TextWriter, kind=JsonLines)

FORMATS: Final = {
    each.name: each
    for each in (
        Format("parquet", ".parquet", ("pyarrow.parquet",), ParquetWriter, None),
        Format("csv", ".csv", (), _CSV, _CSV),
        Format("jsonl", ".jsonl", (), _JSONL, _JSONL),
        Format("ipc", ".arrow", ("pyarrow",), IpcWriter, IpcStreamWriter),
    )
}


def format_of(name: str) -> Format:
    """Return a format. Raises OptionError if there is none of this name, and MissingExtraError if a package is needed
    that is not there.
    """
    if not isinstance(name, str) or name not in FORMATS:
        raise OptionError(f"format is {brief(name)}; it has to be one of {', '.join(FORMATS)}")
    for package in FORMATS[name].packages:
        require(package)
    return FORMATS[name]
