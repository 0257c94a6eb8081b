"""From scans to files, for programs that block: the thread that asks for it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.bulk.files.targets import open_sink
from triocql.bulk.pieces import Discarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.bulk.bar import ProgressBar
    from triocql.bulk.files.targets import Target
    from triocql.bulk.order import ScanOrder
    from triocql.sync.parts import Parts


def export(
    order: ScanOrder,
    parts_of: Callable[..., Parts],
    target: Target,
    form: str,
    *,
    resume: bool,
    bar: ProgressBar | None,
) -> int:
    """Write what a scan reads: `Scan.export`."""
    sink = open_sink(order.selection, order.before, target, form, resume=resume)
    try:
        with parts_of(restart=sink.restart, done=sink.done, rows=sink.rows, bytes=sink.bytes) as parts:
            sink.begin(parts.columns)
            for piece in parts:
                if isinstance(piece, Discarded):
                    sink.discard(piece.task)
                    continue
                sink.take(piece)
                if piece.ended:
                    parts.acknowledge(piece.task)
                if bar is not None:
                    bar.show(parts)
            sink.finish()
    finally:
        sink.close()
    return sink.rows
