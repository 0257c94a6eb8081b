"""How far a scan has come, so that another one can go on there: a set of ranges, which may be divided in another way
then, on other nodes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.folders import named, sync_folder
from triocql.bulk.intervals import Intervals
from triocql.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triocql.bulk.selection import Selection

VERSION: Final = 1
"""Of what a checkpoint is written as."""

_NUMBERS: Final = ("rows", "bytes")
_TEXTS: Final = ("keyspace", "table", "query", "query_hash", "consistency", "started")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a scan has come. It is a value; `save` and `load` keep it in a file, which has no values of the table,
    nor those of conditions, and no passwords.

    Attributes:
        keyspace: the keyspace of the table.
        table: its name.
        table_id: its identity: a table that was dropped and made again has another one. None for a virtual table.
        columns: the names of the columns that are read.
        query: the statement that reads a range.
        query_hash: what tells it from others, values and limit included.
        consistency: the consistency that was read with last.
        done: the ranges that are done: all their rows were had, and what followed was asked for.
        rows: how many rows they have.
        bytes: how many bytes these had on the wire.
        started: when the first scan began.
    """

    keyspace: str
    table: str
    table_id: str | None
    columns: tuple[str, ...]
    query: str
    query_hash: str
    consistency: str = ""
    done: Intervals = field(default_factory=Intervals)
    rows: int = 0
    bytes: int = 0
    started: str = field(default_factory=_now)

    @classmethod
    def of(cls, selection: Selection, consistency: str = "") -> Checkpoint:
        """Return where a scan begins."""
        table = selection.table
        return cls(
            table.keyspace,
            table.name,
            None if table.id is None else str(table.id),
            selection.columns,
            selection.range_text,
            selection.query_hash,
            consistency,
        )

    def reached(self, done: Intervals, *, rows: int, bytes: int = 0) -> Checkpoint:  # noqa: A002
        """Return the checkpoint of a scan that has come so far."""
        return replace(self, done=done, rows=rows, bytes=bytes)

    def check(self, scan: Checkpoint) -> None:
        """Check that a scan may go on from here. How it is divided, and over which nodes, makes no difference.

        Args:
            scan: where the scan would begin without this checkpoint.

        Raises:
            CheckpointError: it reads something else: the message says what is different.
        """
        for what, own, other in (
            ("of the table", f"{self.keyspace}.{self.table}", f"{scan.keyspace}.{scan.table}"),
            ("of the table with the id", self.table_id, scan.table_id),
            ("of the columns", ", ".join(self.columns), ", ".join(scan.columns)),
            ("of the statement", self.query, scan.query),
        ):
            if own != other:
                raise CheckpointError(f"the checkpoint is {what} {own}, and the scan {what} {other}")
        if self.query_hash != scan.query_hash:
            raise CheckpointError("the checkpoint is of a scan with other values of parameters= or limit=")

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "version": VERSION,
            "keyspace": self.keyspace,
            "table": self.table,
            "table_id": self.table_id,
            "columns": list(self.columns),
            "query": self.query,
            "query_hash": self.query_hash,
            "consistency": self.consistency,
            "done": self.done.as_json(),
            "rows": self.rows,
            "bytes": self.bytes,
            "started": self.started,
            "updated": _now(),
        }

    @classmethod
    def from_json(cls, data: Any) -> Checkpoint:
        """Return what `as_json` has made plain data of.

        Raises:
            CheckpointError: it is none, or was written by a later version of triocql.
        """
        if not isinstance(data, dict) or type(data.get("version")) is not int:
            raise CheckpointError("this is no checkpoint: it has no version")
        if data["version"] != VERSION:
            raise CheckpointError(
                f"the checkpoint is of version {data['version']}, and this triocql reads version {VERSION}"
            )
        try:
            return cls(**_fields(data), done=Intervals.from_json(data["done"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, so that at any moment there is a whole one: the one before, or this one.

        Raises:
            OSError: it cannot be written; the one before is still there.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with named(target), beside.open("w", encoding="utf-8") as file:
                json.dump(self.as_json(), file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_folder(target.parent)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Return the checkpoint that a file has.

        Raises:
            CheckpointError: it has none.
            OSError: it cannot be read.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:  # of UTF-8, and of JSON
            raise CheckpointError(f"{os.fspath(path)} has no checkpoint: {error}") from error
        return cls.from_json(data)


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a checkpoint but for its ranges. Raises KeyError, TypeError or ValueError."""
    for name in _TEXTS:
        if not isinstance(data[name], str):
            raise TypeError(f"{name} is no text")
    for name in _NUMBERS:
        if type(data[name]) is not int or data[name] < 0:
            raise ValueError(f"{name} is no number")
    columns, table_id = data["columns"], data["table_id"]
    if not isinstance(columns, list) or not all(isinstance(each, str) for each in columns):
        raise ValueError("columns are no list of names")
    if not isinstance(table_id, str | None):
        raise TypeError("table_id is no text")
    return {name: data[name] for name in (*_TEXTS, *_NUMBERS)} | {
        "columns": tuple(columns),
        "table_id": table_id,
    }
