"""Where rows are exported to: a directory, or a file that is open."""

from __future__ import annotations

import os
from io import TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from triocql._brief import brief
from triocql.bulk.files.directory import Directory
from triocql.bulk.files.exporting import ToDirectory, ToStream
from triocql.bulk.files.formats import FORMATS, format_of
from triocql.codecs.node import type_name
from triocql.errors import OptionError

if TYPE_CHECKING:
    from triocql.bulk.checkpoint import Checkpoint
    from triocql.bulk.files.exporting import Sink
    from triocql.bulk.selection import Selection

Target: TypeAlias = "str | os.PathLike[str] | BinaryIO"
"""A directory, or a file that is open for writing bytes."""


def open_sink(selection: Selection, before: Checkpoint, target: Target, form: str, *, resume: bool) -> Sink:
    """Return what writes the rows of a table to where somebody wants them. It blocks.

    Args:
        selection: what is read.
        before: where the scan begins.
        target: where to.
        form: the name of the format.
        resume: whether to go on in a directory.

    Raises:
        OptionError: there is no such format, or not there.
        MissingExtraError: a package is needed that is not there.
        UsageError: a directory has something else already.
        OSError: it cannot be written.
    """
    kind = format_of(form)
    if before.done:
        raise OptionError(
            "resume= of a scan is for other consumers: an export finds out what is in its directory"
        )
    if not selection.columns:
        raise OptionError("columns= has no column: there is nothing to be written")
    if not isinstance(target, (str, os.PathLike)):
        if isinstance(target, TextIOBase) or not hasattr(target, "write"):
            raise OptionError(
                f"a directory or a file that is open for bytes is needed, not {type_name(target)}"
            )
        if kind.stream is None:
            streams = ", ".join(each.name for each in FORMATS.values() if each.stream is not None)
            raise OptionError(f"{form} is written to a directory only; what can be a stream is {streams}")
        if resume:
            raise OptionError("a stream cannot be resumed: it begins with the first row; use a directory")
        return ToStream(target, kind)
    if selection.limit is not None:
        raise OptionError("limit= is for streams: a directory has whole ranges of a table")
    try:
        path = Path(target)
    except TypeError:
        raise OptionError(f"the path of a directory is a text, not {brief(target)}") from None
    return ToDirectory(Directory(path, kind, before, resume=resume))
