"""A directory has the rows of each range once or not at all, however whoever wrote it was ended."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.files.reading import csv_rows
from tests.bulk.files.test_formats import page_of
from tests.codecs.helpers import IMPLS, columns
from triocql.bulk.checkpoint import Checkpoint
from triocql.bulk.files import exporting
from triocql.bulk.files.directory import MANIFEST, Directory
from triocql.bulk.files.exporting import ToDirectory
from triocql.bulk.files.formats import FORMATS
from triocql.bulk.intervals import Intervals, TokenRange
from triocql.bulk.pieces import Piece
from triocql.bulk.planner import Task
from triocql.codecs.rows import Page
from triocql.errors import UsageError

COLUMNS = columns("int", "text")
TABLE = Checkpoint("shop", "events", None, ("c0", "c1"), "SELECT c0, c1 FROM shop.events", "hash")
CSV = FORMATS["csv"]


def page(*numbers: int) -> Page:
    return page_of(IMPLS[-1], COLUMNS, *[[number, str(number)] for number in numbers])


def piece(start: int, end: int, *numbers: int, ended: bool = True) -> Piece:
    return Piece(Task(TokenRange(start, end)), page(*numbers) if numbers else None, None, ended)


def opened(path: Path, *, resume: bool = False, form: str = "csv", table: Checkpoint = TABLE) -> ToDirectory:
    sink = ToDirectory(Directory(path, FORMATS[form], table, resume=resume))
    sink.begin(COLUMNS)
    return sink


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of all complete files."""
    return sorted(row[0] for each in path.glob("part_*.csv") for row in csv_rows(COLUMNS, each.read_bytes()))


def test_a_task_is_a_file_with_its_range_and_rows_in_its_name(tmp_path: Path) -> None:
    sink = opened(tmp_path / "deep" / "export")
    sink.take(piece(-10, 0, 1, 2, ended=False))
    sink.take(piece(0, 5))
    assert [each.name for each in (tmp_path / "deep" / "export").glob("part_*")] == ["part_0_5_0.csv"]
    sink.take(piece(-10, 0, 3))
    sink.close()
    names = sorted(each.name for each in (tmp_path / "deep" / "export").iterdir())
    assert names == [MANIFEST, "part_-10_0_3.csv", "part_0_5_0.csv"]
    assert (tmp_path / "deep" / "export" / "part_0_5_0.csv").read_text() == "c0,c1\n"
    assert numbers_in(tmp_path / "deep" / "export") == [1, 2, 3]


def test_what_is_not_complete_is_removed(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.take(piece(0, 5, 1))
    sink.take(piece(5, 9, 2, ended=False))
    sink.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [MANIFEST, "part_0_5_1.csv"]


def test_a_task_that_is_taken_back_leaves_nothing(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.take(piece(0, 5, 1, ended=False))
    sink.discard(Task(TokenRange(0, 5)))
    sink.discard(Task(TokenRange(0, 5)))
    sink.take(piece(0, 2, 1))
    sink.take(piece(2, 5, 2))
    sink.close()
    assert numbers_in(tmp_path) == [1, 2]


def test_going_on_leaves_out_what_is_there(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.take(piece(0, 5, 1, 2))
    sink.take(piece(7, 9, 3))
    sink.close()
    directory = Directory(tmp_path, CSV, TABLE, resume=True)
    assert (directory.done, directory.rows) == (Intervals.of([(0, 5), (7, 9)]), 3)
    directory.close()
    assert Checkpoint.load(tmp_path / MANIFEST).done == directory.done


def test_bytes_are_those_of_all_files_as_far_as_they_are_known(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.take(piece(0, 5, 1, 2)._replace(size=60))
    sink.take(piece(7, 9, 3)._replace(size=30))
    sink.close()
    directory = Directory(tmp_path, CSV, TABLE, resume=True)
    assert (directory.rows, directory.bytes) == (3, 90)
    directory.close()
    (tmp_path / "part_7_9_1.csv").unlink()
    sink = opened(tmp_path, resume=True)
    assert (sink.rows, sink.bytes) == (2, 60)
    sink.take(piece(5, 7, 5)._replace(size=7))
    sink.close()
    checkpoint = Checkpoint.load(tmp_path / MANIFEST)
    assert (checkpoint.rows, checkpoint.bytes) == (3, 67)
    TABLE.save(tmp_path / MANIFEST)  # whoever was killed has told nothing
    directory = Directory(tmp_path, CSV, TABLE, resume=True)
    assert (directory.rows, directory.bytes) == (3, 0)
    directory.close()


@pytest.mark.parametrize("resume", [False, True])
def test_where_nothing_came_to_its_end_anything_may_begin(resume: bool, tmp_path: Path) -> None:
    opened(tmp_path).close()
    users = replace(TABLE, table="users")
    sink = opened(tmp_path, resume=resume, table=users)
    sink.take(piece(0, 5, 1))
    sink.close()
    assert Checkpoint.load(tmp_path / MANIFEST).table == "users"
    refused(tmp_path, "has an export already", table=users)
    (tmp_path / "part_0_5_1.csv").unlink()
    refused(tmp_path, "has an export already", table=users)  # it had something


def test_the_files_that_are_there_count_and_not_what_was_noted(tmp_path: Path) -> None:
    """Whoever was killed after a file got its name had no time to note it; and files may have been removed."""
    sink = opened(tmp_path)
    sink.take(piece(0, 5, 1, 2))
    sink.take(piece(7, 9, 3))
    sink.close()
    TABLE.save(tmp_path / MANIFEST)
    (tmp_path / "part_7_9_1.csv").unlink()
    directory = Directory(tmp_path, CSV, TABLE, resume=True)
    assert (directory.done, directory.rows) == (Intervals.of([(0, 5)]), 2)
    directory.close()


def test_leftovers_of_somebody_who_was_killed_are_removed(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "_part_0_5.csv.part").write_text("c0,c1\n1,")
    (tmp_path / "notes.txt").write_text("mine")
    opened(tmp_path, resume=True).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [MANIFEST, "notes.txt"]


def refused(path: Path, match: str, **how: Any) -> None:
    before = sorted(each.name for each in path.iterdir())
    with pytest.raises(UsageError, match=match):
        opened(path, **how)
    assert sorted(each.name for each in path.iterdir()) == before


def test_directories_that_are_refused(tmp_path: Path) -> None:
    full, export = tmp_path / "full", tmp_path / "export"
    full.mkdir()
    (full / "a.csv").touch()
    refused(full, "is not empty, and has no export")
    refused(full, "is not empty, and has no export", resume=True)
    sink = opened(export, resume=True)  # nothing to go on with is a beginning
    sink.take(piece(0, 5, 1))
    sink.close()
    refused(export, "has an export already: resume it")
    refused(
        export,
        "export: the checkpoint is of the table shop.events, and the scan of the table shop.users",
        resume=True,
        table=replace(TABLE, table="users"),
    )
    refused(export, r"files of another format, such as part_0_5_1.csv", resume=True, form="jsonl")
    (export / "part_3_7_9.csv").touch()
    refused(export, "two files with the rows of tokens behind", resume=True)


@pytest.mark.parametrize("leftover", ["._triocql.json.123.tmp", "_part_0_5.csv.part"])
def test_whoever_was_killed_at_the_beginning_is_forgotten(leftover: str, tmp_path: Path) -> None:
    (tmp_path / leftover).touch()
    opened(tmp_path).close()
    assert [each.name for each in tmp_path.iterdir()] == [MANIFEST]


def test_a_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{")
    refused(tmp_path, "_triocql.json has no checkpoint", resume=True)


def test_names_that_are_none_of_ours_are_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for name in ("part_5_0_1.csv", "part_00_5_1.csv", "part_0_5.csv", "part_0_5_1.csv.bak"):
        (tmp_path / name).touch()
    directory = Directory(tmp_path, CSV, TABLE, resume=True)
    assert directory.done == Intervals()
    directory.close()


def test_one_export_at_a_time(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    with pytest.raises(UsageError, match="another export is writing to"):
        opened(tmp_path, resume=True)
    sink.close()
    opened(tmp_path, resume=True).close()


def test_what_cannot_be_removed_keeps_neither_the_rest_nor_the_directory(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for start in range(3):
        sink.take(piece(start, start + 1, start, ended=False))
    stuck = tmp_path / "_part_1_2.csv.part"
    stuck.unlink()
    stuck.mkdir()
    with pytest.raises(OSError, match=stuck.name):
        sink.close()
    assert not list(tmp_path.glob("_part_[02]_*"))
    stuck.rmdir()
    opened(tmp_path, resume=True).close()  # nobody has its lock


def test_a_directory_that_is_removed_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "export"
    sink = opened(target)
    sink.take(piece(0, 5, 1))
    sink.take(piece(5, 9, 2, ended=False))
    shutil.rmtree(target)
    for each in (piece(5, 9, 3), piece(9, 10, 4)):
        with pytest.raises(FileNotFoundError, match="export"):
            sink.take(each)
    with pytest.raises(FileNotFoundError, match="export"):
        sink.close()
    sink = opened(target, resume=True)  # all of it is to be read again
    assert (sink.done, sink.rows) == (Intervals(), 0)
    sink.close()


def test_a_directory_that_is_made_anew_meanwhile_has_nothing_of_what_was_written(tmp_path: Path) -> None:
    target = tmp_path / "export"
    sink = opened(target)
    sink.take(piece(0, 5, 1))
    sink.take(piece(5, 9, 2, ended=False))
    target.rename(tmp_path / "removed")  # so that its number is not given to the other one
    target.mkdir()
    with pytest.raises(FileNotFoundError, match=r"was removed meanwhile, and made anew: '.*export'"):
        sink.take(piece(9, 10, 4))
    with pytest.raises(FileNotFoundError):
        sink.take(piece(5, 9, 3))
    assert sink.rows == 1
    with pytest.raises(FileNotFoundError, match="made anew"):
        sink.close()
    assert not list(target.iterdir())
    opened(target).close()


def test_what_somebody_else_writes_into_a_directory_made_anew_stays_theirs(tmp_path: Path) -> None:
    target = tmp_path / "export"
    ours = opened(target)
    ours.take(piece(0, 5, 1, ended=False))
    ours.take(piece(5, 9, 2, ended=False))
    target.rename(tmp_path / "removed")
    theirs = opened(target)
    theirs.take(piece(0, 5, 3, ended=False))
    theirs.take(piece(5, 9, 4, ended=False))
    begun = sorted(target.iterdir())
    with pytest.raises(FileNotFoundError, match="made anew"):
        ours.take(piece(0, 5, 1))
    with pytest.raises(FileNotFoundError, match="made anew"):
        ours.close()
    assert sorted(target.iterdir()) == begun
    theirs.take(piece(0, 5, 3))
    theirs.take(piece(5, 9, 4))
    assert theirs.rows == 4
    theirs.close()


def test_a_directory_by_another_name_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "export")
    with pytest.raises(OSError, match="link"):
        opened(tmp_path / "link")
    sink = opened(tmp_path / "export")
    with pytest.raises(UsageError, match="another export is writing to"):
        opened(tmp_path / "link", resume=True)
    sink.take(piece(0, 5, 1))
    sink.close()
    sink = opened(tmp_path / "link", resume=True)
    assert sink.rows == 1
    sink.close()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        OSError, match=r"an export is a directory of files, and this is something else: '.*file'"
    ):
        opened(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        opened(tmp_path / "file" / "export")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is needed")
@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_an_error_that_names_the_file(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(tmp_path, form=form)
    (tmp_path / f"_part_0_5{FORMATS[form].suffix}.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*_part_0_5"):
        sink.take(piece(0, 5, 1))
    sink.close()
    assert [each.name for each in tmp_path.iterdir()] == [MANIFEST]


def test_rows_in_memory_are_bounded_over_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_HELD", 2_000)
    sink = opened(tmp_path, form="parquet")
    for _ in range(10):
        for start in range(5):
            sink.take(piece(start, start + 1, *range(30), ended=False))
            assert sum(part.held for part in sink._parts.values()) == sink._held <= 2_000
    for start in range(5):
        sink.take(piece(start, start + 1))
    assert sink._held == 0
    sink.close()
    assert sorted(each.name for each in tmp_path.glob("part*")) == [
        f"part_{start}_{start + 1}_300.parquet" for start in range(5)
    ]
