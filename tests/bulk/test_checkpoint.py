"""A checkpoint leads on to the rest of the same scan, and of no other one; a file always has a whole one."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.bulk.tables import EVENTS, table
from triocql.bulk.checkpoint import Checkpoint
from triocql.bulk.intervals import Intervals
from triocql.bulk.selection import select
from triocql.errors import CheckpointError
from triocql.metadata.partitioners import MAX_LONG, MIN_LONG

BEGIN = Checkpoint.of(
    select(EVENTS, ["day", "amount"], where="amount > ?", parameters=["secret-5"]), "QUORUM"
)
REACHED = BEGIN.reached(Intervals.of([(MIN_LONG, 0), (5, MAX_LONG)]), rows=70, bytes=9_000)


def test_it_tells_what_is_read() -> None:
    assert (BEGIN.keyspace, BEGIN.table) == ("shop", "events")
    assert BEGIN.table_id == str(EVENTS.id)
    assert BEGIN.columns == ("day", "amount")
    assert BEGIN.consistency == "QUORUM"
    assert (BEGIN.done, BEGIN.rows, BEGIN.bytes) == (Intervals(), 0, 0)
    assert BEGIN.started.endswith("+00:00")


def test_a_file_has_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    REACHED.save(path)
    assert Checkpoint.load(path) == REACHED
    assert Checkpoint.load(str(path)).done == REACHED.done
    data = json.loads(path.read_text())
    assert data["version"] == 1
    assert data["done"] == [[MIN_LONG, 0], [5, MAX_LONG]]
    assert "secret" not in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["events.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_one_before(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.json"
    BEGIN.save(path)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(KeyboardInterrupt):
        REACHED.save(path)
    monkeypatch.undo()
    assert Checkpoint.load(path) == BEGIN
    assert [each.name for each in tmp_path.iterdir()] == ["events.json"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def synced(number: int) -> None:
        steps.append("fsync")
        fsync(number)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("replace")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    REACHED.save(tmp_path / "events.json")
    assert steps == ["fsync", "replace", "fsync"]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.json"
    BEGIN.save(path)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*events\.json'"):
        REACHED.save(path)
    monkeypatch.undo()
    assert Checkpoint.load(path) == BEGIN


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        REACHED.save(tmp_path / "none" / "events.json")
    with pytest.raises(FileNotFoundError):
        Checkpoint.load(tmp_path / "events.json")


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (
            select(table("shop.visits", id="partition int")),
            "of the table shop.events, and the scan of the table shop.visits",
        ),
        (
            select(replace(EVENTS, id=UUID(int=5))),
            "of the table with the id 5a1c395e-b41f-11e5-9f22-ba0be0483c18, and",
        ),
        (select(EVENTS, ["day"]), "of the columns day, amount, and the scan of the columns day"),
        (select(EVENTS, ["day", "amount"]), "of the statement SELECT day, amount FROM shop.events WHERE"),
        (
            select(EVENTS, ["day", "amount"], where="amount > ?", parameters=["secret-6"]),
            "other values of parameters= or limit=",
        ),
    ],
)
def test_another_scan_is_refused_by_what_is_different(scan: Any, message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        REACHED.check(Checkpoint.of(scan))
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_another_consistency_is_another_way_to_read_the_same() -> None:
    REACHED.check(replace(BEGIN, consistency="ONE", started="yesterday"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "of version 2, and this triocql reads version 1"),
        ({"version": None}, "no version"),
        ({"done": [[5, 5]]}, "damaged: the range from 5 to 5"),
        ({"done": "all"}, "damaged: ranges are a list"),
        ({"done": None}, "damaged"),
        ({"rows": -1}, "damaged: rows is no number"),
        ({"bytes": "5"}, "damaged: bytes is no number"),
        ({"table": 5}, "damaged: table is no text"),
        ({"table_id": 5}, "damaged: table_id is no text"),
        ({"columns": "day"}, "damaged: columns are no list of names"),
        ({"columns": [5]}, "damaged: columns are no list of names"),
    ],
)
def test_a_damaged_one_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps({**REACHED.as_json(), **change}))
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(path)


@pytest.mark.parametrize("name", [name for name in REACHED.as_json() if name not in ("version", "updated")])
def test_one_that_lacks_something_is_refused(name: str) -> None:
    data = REACHED.as_json()
    del data[name]
    with pytest.raises(CheckpointError, match=f"damaged: '{name}'"):
        Checkpoint.from_json(data)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"null"])
def test_a_file_without_one_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(text)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Checkpoint.load(path)


def test_what_is_not_known_yet_is_left_alone() -> None:
    assert Checkpoint.from_json({**REACHED.as_json(), "mood": "good"}) == REACHED
