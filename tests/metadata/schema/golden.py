"""Schemas as real nodes told them: rows of system tables, and DESCRIBE. `tests.cassandra.schema.record` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from triocql.metadata.description import Described

FOLDER: Final = Path(__file__).parents[1] / "captured"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class GoldenSchema:
    """A keyspace as a node told it.

    Attributes:
        keyspace: its name.
        features: what is in it.
        rows: the rows of each system table that are about it.
        described: what DESCRIBE said.
        internals: what it said WITH INTERNALS.
    """

    keyspace: str
    features: list[str]
    rows: Rows
    described: list[Described]
    internals: list[Described]


def path_of(series: str) -> Path:
    """Return the file of a series of Cassandra, as "5.0"."""
    return FOLDER / f"schemas-{series}.json"


def load(series: str) -> list[GoldenSchema]:
    """Read the schemas of a series."""
    return [
        GoldenSchema(
            each["keyspace"],
            each["features"],
            _decode(each["rows"]),
            [Described(*fields) for fields in each["described"]],
            [Described(*fields) for fields in each["internals"]],
        )
        for each in json.loads(path_of(series).read_text())
    ]


def save(series: str, schemas: list[GoldenSchema]) -> None:
    """Write the schemas of a series, one a line."""
    lines = [json.dumps(_encode(vars(each)), ensure_ascii=False, separators=(",", ":")) for each in schemas]
    path_of(series).write_text("[\n" + ",\n".join(lines) + "\n]\n")


def _encode(value: Any) -> Any:
    match value:
        case UUID():
            return {"": "uuid", "of": str(value)}
        case bytes():
            return {"": "blob", "of": value.hex()}
        case datetime():
            return {"": "timestamp", "of": (value - _EPOCH) // _MICROSECOND}
        case dict():
            return {key: _encode(each) for key, each in value.items()}
        case list() | tuple():
            return [_encode(each) for each in value]
        case set() | frozenset():
            return {"": "set", "of": sorted(map(_encode, value))}
    assert value is None or isinstance(value, str | int | float), value
    return value


def _decode(value: Any) -> Any:
    match value:
        case {"": "uuid", "of": text}:
            return UUID(text)
        case {"": "blob", "of": text}:
            return bytes.fromhex(text)
        case {"": "timestamp", "of": microseconds}:
            return _EPOCH + microseconds * _MICROSECOND
        case {"": "set", "of": members}:
            return set(_decode(members))
        case dict():
            return {key: _decode(each) for key, each in value.items()}
        case list():
            return [_decode(each) for each in value]
    return value
