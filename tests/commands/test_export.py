"""``python -m triocql export``: files and stdout, what it says where, how it ends, and how one goes on."""

from __future__ import annotations

import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bulk.files.reading import csv_rows, jsonl_rows
from tests.bulk.files.test_exports import COLUMNS, ROWS, SCHEMA, rows_in
from triocql import commands
from triocql.bulk import failures
from triocql.bulk.files.directory import MANIFEST
from triocql.testing.server import CqlServer, ErrorCode, error

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[CqlServer]:
    with CqlServer(2, num_tokens=3, schema=SCHEMA) as server:
        server.serve_table("shop.events", ROWS)
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(failures, "_DELAYS", (0.001,))


def export(server: CqlServer, *arguments: str, table: str = "shop.events") -> int:
    host = server.contact_points[0]
    return commands.run(["export", "--page-size", "7", *arguments[:-1], host, table, arguments[-1]])


def program(server: CqlServer, *arguments: str) -> list[str]:
    host = server.contact_points[0]
    options = ["--page-size", "7", *arguments[:-1]]
    return [sys.executable, "-m", "triocql", "export", *options, host, "shop.events", arguments[-1]]


def test_a_directory(server: CqlServer, capfd: Captured, tmp_path: Path) -> None:
    assert export(server, "--tasks", "5", "--format", "csv", str(tmp_path / "new")) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "shop.events" in err
    assert err.endswith("200 rows\n")
    assert rows_in(tmp_path / "new") == ROWS
    assert export(server, "--quiet", str(tmp_path / "parquet")) == 0
    assert capfd.readouterr() == ("", "200 rows\n")
    assert rows_in(tmp_path / "parquet", "parquet") == ROWS


def test_stdout_is_data(server: CqlServer, capfd: Captured) -> None:
    assert export(server, "-") == 0
    out, err = capfd.readouterr()
    assert sorted(map(tuple, csv_rows(COLUMNS, out.encode()))) == ROWS
    assert err.endswith("200 rows\n")
    assert export(server, "--quiet", "--format", "jsonl", "-") == 0
    assert sorted(map(tuple, jsonl_rows(COLUMNS, capfd.readouterr()[0].encode()))) == ROWS


def test_some_columns(server: CqlServer, capfd: Captured) -> None:
    assert export(server, "--columns", "n,Name", "--quiet", "-") == 0
    lines = capfd.readouterr()[0].splitlines()
    assert (lines[0], sorted(lines[1:])) == ("n,Name", sorted(f'{n},"{name}"' for _, n, name in ROWS))


def test_a_table_is_read_by_a_majority_unless_something_else_is_said(
    server: CqlServer, tmp_path: Path
) -> None:
    for level, directory in (("LOCAL_QUORUM", "a"), ("ONE", "b")):
        chosen = () if level == "LOCAL_QUORUM" else ("--consistency", level)
        assert export(server, "--quiet", *chosen, str(tmp_path / directory)) == 0
        assert f'"consistency": "{level}"' in (tmp_path / directory / MANIFEST).read_text()


@pytest.mark.parametrize(
    ("arguments", "table", "complaint"),
    [
        (["--format", "parquet", "-"], "shop.events", "parquet is written to a directory only"),
        (["--resume", "-"], "shop.events", "cannot be resumed"),
        (["--columns", "nix", "-"], "shop.events", "nix"),
        (["-"], "shop.nix", "nix"),
        ([""], "shop.events", "DIRECTORY is empty"),
        (["--concurrency", "0", "-"], "shop.events", "concurrency_per_node"),
    ],
)
def test_what_is_asked_for_wrongly(
    server: CqlServer, arguments: list[str], table: str, complaint: str, capfd: Captured
) -> None:
    assert export(server, *arguments, table=table) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert complaint in err
    assert "To go on" not in err


def test_a_directory_that_is_not_empty_is_left_alone(
    server: CqlServer, capfd: Captured, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").touch()
    assert export(server, str(tmp_path)) == 2
    assert "is not empty" in capfd.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_ranges_that_cannot_be_read_are_told_of_and_the_line_that_goes_on(
    server: CqlServer, capfd: Captured, tmp_path: Path
) -> None:
    table = server.serve_table("shop.events", ROWS)
    table.fail(table.token(7), error(ErrorCode.READ_FAILURE))
    target = tmp_path / "a directory"
    assert export(server, "--format", "csv", "--tasks", "4", str(target)) == 1
    err = capfd.readouterr().err
    assert 0 < err.index("could not be read") < err.index("What is complete is in")
    line = next(line for line in err.splitlines() if "--resume" in line)
    table.heal()
    assert commands.run(shlex.split(line)[3:]) == 0
    assert "To go on" not in capfd.readouterr().err
    assert rows_in(target) == ROWS


def test_what_a_node_refuses_is_no_reason_to_go_on(
    server: CqlServer, capfd: Captured, tmp_path: Path
) -> None:
    message = "Cannot execute this query as it might involve data filtering ... use ALLOW FILTERING"
    table = server.serve_table("shop.events", ROWS)
    for id_ in range(40):
        table.fail(table.token(id_), error(ErrorCode.INVALID, message))
    target = tmp_path / "new"
    assert export(server, "--quiet", "--tasks", "1", str(target)) == 1
    lines = capfd.readouterr().err.splitlines()
    assert message in lines[0]
    assert lines[1:] == ["Here, that is the option --allow-filtering."]
    table.heal()
    assert export(server, "--quiet", "--columns", "id", str(target)) == 0


def test_where_nothing_is_complete_yet_one_may_try_again_later(
    server: CqlServer, capfd: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else a part of it that has no rows may be complete before it is given up.
    monkeypatch.setattr(failures, "_HOPELESS", 1)
    table = server.serve_table("shop.events", ROWS)
    for id_ in range(40):
        table.fail(table.token(id_), error(ErrorCode.OVERLOADED))
    assert export(server, "--quiet", "--tasks", "1", "--format", "csv", str(tmp_path)) == 1
    lines = capfd.readouterr().err.splitlines()
    assert "could not be read" in lines[0]
    assert lines[1] == "Nothing is complete yet. To try it again:"
    table.heal()
    assert commands.run(shlex.split(lines[2])[3:]) == 0
    assert rows_in(tmp_path) == ROWS


def test_a_directory_that_cannot_be_written(server: CqlServer, capfd: Captured, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert export(server, str(tmp_path / "file" / "export")) == 1
    err = capfd.readouterr().err
    assert "Not a directory" in err
    assert "To go on" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is needed")
def test_a_stdout_that_is_full(server: CqlServer) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            program(server, "-"), stdout=full, stderr=subprocess.PIPE, check=False, timeout=300
        )
    assert ended.returncode == 1
    assert b"No space left on device" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_stdout_that_nobody_reads_on(server: CqlServer) -> None:
    server.serve_table("shop.events", [(id_, n, "x" * 1000) for id_ in range(40) for n in range(20)])
    running = subprocess.Popen(program(server, "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == b"id,n,Name\n"
    running.stdout.close()
    assert running.stderr is not None
    err = running.stderr.read().decode()
    assert running.wait(60) == 1
    running.stderr.close()
    assert "stdout was closed by whoever has read it" in err
    assert "Traceback" not in err


def started(server: CqlServer, path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = program(server, "--format", "csv", "--tasks", "40", *arguments, str(path))
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_files(path: Path, count: int, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(list(path.glob("part_*"))) < count:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_ctrl_c_ends_it_soon_and_tells_how_to_go_on(server: CqlServer, tmp_path: Path) -> None:
    target = tmp_path / "it's here"
    hold_the_last(server)
    running = started(server, target)
    wait_for_files(target, 3, running)
    running.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = running.communicate(timeout=120)
    assert time.monotonic() - began < 30, "by itself it would not end"
    assert running.returncode == 130
    assert "Traceback" not in err
    assert not list(target.glob("_part*"))
    server.serve_table("shop.events", ROWS)
    line = next(line for line in err.splitlines() if "--resume" in line)
    assert commands.run(shlex.split(line)[3:]) == 0
    assert rows_in(target) == ROWS


def hold_the_last(server: CqlServer) -> None:
    """Let one partition not be read, so that no export comes to its end by itself."""
    table = server.serve_table("shop.events", ROWS)
    table.fail(table.token(7), error(ErrorCode.OVERLOADED))


@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_killed_has_every_row_once_in_the_end(
    server: CqlServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    hold_the_last(server)
    for files in sorted(chance.randint(1, 20) for _ in range(2)):
        running = started(server, tmp_path, "--resume", "--tasks", str(chance.randint(40, 60)))
        wait_for_files(tmp_path, files, running)
        time.sleep(chance.uniform(0, 0.02))
        running.kill()
        running.communicate()
    server.serve_table("shop.events", ROWS)
    assert export(server, "--format", "csv", "--resume", "--quiet", str(tmp_path)) == 0
    assert rows_in(tmp_path) == ROWS
    assert not [
        each for each in tmp_path.iterdir() if each.name != MANIFEST and not each.name.startswith("part_")
    ]


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_ctrl_c_during_imports_is_quiet(after: float) -> None:
    program = [sys.executable, "-X", "importtime", "-m", "triocql", "describe", "127.0.0.1:1"]
    running = subprocess.Popen(program, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:  # the package is being imported from then on
        if "triocql._starting" in line:
            break
    time.sleep(after)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    # Or it has failed before, as nobody listens there, and Python takes no signals any more as it ends.
    assert (running.returncode, out) in ((130, ""), (1, ""), (-signal.SIGINT, ""))
    assert "Traceback" not in err
