"""``python -m triocql export``: a table to files, or to stdout."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.bar import ProgressBar
from triocql.bulk.files.directory import has_parts, has_rest
from triocql.bulk.files.formats import FORMATS
from triocql.commands.connecting import add_options, connect
from triocql.errors import Error, InvalidQuery, OptionError, UsageError

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from triocql.sync.scan import Scan

STDOUT: Final = "-"
MAX_BYTES: Final = 32 << 20
"""Of pages: more of them would wait for files, and the whole process is to stay at about 200 MB."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="write a table to files, or to stdout",
        description="Write a table to the files of a directory, or to stdout. In a directory, each file has a range "
        "of the table, and its name once it is complete: whatever ends an export, --resume adds what is missing.",
    )
    add_options(parser)
    parser.set_defaults(run=run, consistency="LOCAL_QUORUM")
    parser.add_argument("table", metavar="KEYSPACE.TABLE", help="as it is called, without quotes")
    parser.add_argument(
        "target",
        metavar="DIRECTORY",
        help="a directory that is empty, or not there; - for stdout, which cannot be resumed",
    )
    group = parser.add_argument_group("exporting")
    group.add_argument("--format", choices=FORMATS, help="default: parquet, and csv for stdout")
    group.add_argument("--columns", metavar="NAME,...", help="these columns only (default: all)")
    group.add_argument("--where", metavar="CQL", help="a condition, as behind WHERE")
    group.add_argument(
        "--allow-filtering", action="store_true", help="let nodes read what does not fit, and leave it out"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on in a directory where the same export was ended"
    )
    group.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="pages under way for each node (default: 4, or two for each shard)",
    )
    group.add_argument(
        "--tasks", type=int, metavar="N", help="in how many files (default: by the table's size)"
    )
    group.add_argument(
        "--page-size", type=int, metavar="ROWS", help="default: such that a page has about 1 MiB"
    )
    group.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> None:
    """Execute the command."""
    if not arguments.target:
        raise OptionError("DIRECTORY is empty: give the name of a directory, or - for stdout")
    try:
        with connect(arguments, schema=True) as session:
            scan = session.scan(
                arguments.table,
                columns=None if arguments.columns is None else arguments.columns.split(","),
                where=arguments.where,
                allow_filtering=arguments.allow_filtering,
                concurrency_per_node=arguments.concurrency,
                max_bytes=MAX_BYTES,
                tasks=arguments.tasks,
                page_size=arguments.page_size,
            )
            rows = _export(scan, arguments)
    except UsageError:
        raise
    except (Error, OSError) as error:
        for note in _notes(arguments, error):
            error.add_note(note)
        raise
    except KeyboardInterrupt as error:
        for note in _notes(arguments, error):
            print(note, file=sys.stderr)
        raise
    print(f"{rows:,} rows", file=sys.stderr)


def _export(scan: Scan, arguments: argparse.Namespace) -> int:
    bar = None if arguments.quiet else ProgressBar(arguments.table)
    try:
        if arguments.target != STDOUT:
            form: Any = arguments.format or "parquet"
            return scan.export(arguments.target, format=form, resume=arguments.resume, bar=bar)
        with _Stdout() as file:
            return scan.export(file, format=arguments.format or "csv", resume=arguments.resume, bar=bar)
    finally:
        if bar is not None:
            bar.close()


class _Stdout:
    """Stdout for bytes. If it cannot be written to, it is not tried again when the program ends."""

    def __enter__(self) -> BinaryIO:
        sys.stdout.flush()
        self._file = open(sys.stdout.fileno(), "wb", buffering=1 << 16, closefd=False)
        return self._file

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: object) -> None:
        with suppress(OSError):
            self._file.close()
        if isinstance(exc, BrokenPipeError):
            raise OSError("stdout was closed by whoever has read it: there are more rows") from None


def _notes(arguments: argparse.Namespace, error: BaseException) -> list[str]:
    """Return what whoever reads that this export has failed is to be told besides."""
    notes = []
    if isinstance(error, InvalidQuery) and "ALLOW FILTERING" in error.message:
        notes.append("Here, that is the option --allow-filtering.")
    if arguments.target != STDOUT and has_rest(path := Path(arguments.target)):
        if has_parts(path):
            notes.append(f"What is complete is in {path}. To go on:\n  {_line(arguments)}")
        elif isinstance(error, Error) and error.is_transient:
            notes.append(f"Nothing is complete yet. To try it again:\n  {_line(arguments)}")
    return notes


def _line(arguments: argparse.Namespace) -> str:
    """Return the line that goes on with this export."""
    command, *others = arguments.argv
    return shlex.join(
        ["python", "-m", "triocql", command, *([] if arguments.resume else ["--resume"]), *others]
    )
