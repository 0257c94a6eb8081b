"""Every code block of the documentation does what its page says."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import triocql
from tests.docs.pages import PAGES, ROOT, Block, Run, blocks_of, runs_of
from triocql.testing.cassandra import __main__ as launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.testing.cassandra import CassandraCluster

ADDRESS = "127.19.1.1"  # where the pages have their node
SCHEMA = (ROOT / "docs" / "schema.cql").read_text()
START = datetime(2026, 7, 1, tzinfo=UTC)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(block.language == language for block in blocks_of(page))]


# --- Python ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(cassandra: CassandraCluster) -> Iterator[str]:
    """The address of a node with the tables of ``docs/schema.cql``."""
    address = cassandra.contact_points[0]
    drop = "DROP KEYSPACE IF EXISTS weather"
    trio.run(_execute, address, [drop, *filter(str.strip, SCHEMA.split(";"))])
    yield address
    trio.run(_execute, address, [drop])


async def _execute(address: str, statements: list[str]) -> None:
    async with triocql.connect(address, timeout=60.0) as session:
        for statement in statements:
            await session.execute(statement)


async def _fill(address: str) -> None:
    """Bring the tables to the state that fragments begin with."""
    async with triocql.connect(address, timeout=60.0) as session:
        await session.execute("TRUNCATE weather.stations")
        rows = [
            (f"station-{station:02}", START + timedelta(minutes=minute), 15.0 + station + minute / 100)
            for station in range(20)
            for minute in range(100)
        ]
        insert = "INSERT INTO weather.readings (station, at, celsius) VALUES (?, ?, ?)"
        await session.execute_concurrent_with_args(insert, rows)


@pytest.mark.cassandra
@pytest.mark.parametrize("page", _pages_with("python"), ids=_name)
def test_python(page: Path, node: str, tmp_path: Path) -> None:
    trio.run(_execute, node, ["TRUNCATE weather.readings"])
    names: dict[str, Any] = {}
    if not all(run.blocks[0].is_program for run in runs_of(page)):
        trio.run(_fill, node)
    for run in runs_of(page):
        printed = io.StringIO()
        with redirect_stdout(printed):
            if run.blocks[0].loop == "process":
                print(_run_process(run.blocks[0], node, tmp_path))
            elif run.blocks[0].is_program:
                _run_program(run.blocks[0], node)
            elif run.blocks[0].loop == "sync":
                _run_blocking(run, node, names)
            else:
                _run_fragments(run, node, names)
        if run.output is not None:
            _check_output(printed.getvalue(), run.output)


def _compile(block: Block, node: str, flags: int = 0) -> Any:
    """Compile a block such that tracebacks have the lines of its page."""
    code = "\n" * (block.line - 1) + block.code.replace(ADDRESS, node)
    return compile(code, str(block.page), "exec", flags=flags, dont_inherit=True)


def _run_program(block: Block, node: str) -> None:
    exec(_compile(block, node), {"__name__": "__main__"})


def _run_process(block: Block, node: str, folder: Path) -> str:
    """Run a program on its own, as it changes the whole process; return what it prints."""
    program = folder / "program.py"
    program.write_text(block.code.replace(ADDRESS, node))
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": path, "EVENTLET_NO_GREENDNS": "yes"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block.name}\n{done.stderr}"
    return done.stdout


def _run_blocking(run: Run, node: str, names: dict[str, Any]) -> None:
    with triocql.sync.connect(node, keyspace="weather", timeout=30.0) as names["session"]:
        for block in run.blocks:
            exec(_compile(block, node), names)


def _run_fragments(run: Run, node: str, names: dict[str, Any]) -> None:
    async def main() -> None:
        async with triocql.connect(node, keyspace="weather", timeout=30.0) as names["session"]:
            for block in run.blocks:
                code = _compile(block, node, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                step = eval(code, names)
                if inspect.isawaitable(step):
                    await step

    if run.blocks[0].loop == "trio":
        trio.run(main)
    else:
        asyncio.run(main())


def _check_output(printed: str, shown: str) -> None:
    """Compare line by line; "..." in the page stands for anything."""
    pattern = re.escape(shown.strip()).replace(re.escape("..."), ".*")
    assert re.fullmatch(pattern, printed.strip()), f"the page shows:\n{shown}\nbut it prints:\n{printed}"


# --- Shell commands ----------------------------------------------------------------------------------------


def _commands() -> list[Any]:
    blocks = [block for page in PAGES for block in blocks_of(page) if block.language == "console"]
    lines = [(block, line) for block in blocks for line in block.code.splitlines()]
    return [
        pytest.param(block, line.removeprefix("$ "), id=f"{block.name}-{line}")
        for block, line in lines
        if line.startswith("$ ")
    ]


@pytest.mark.parametrize(("block", "command"), _commands())
def test_console(block: Block, command: str) -> None:
    """The command is one that there is: without running it, since some take minutes or change the machine."""
    words = shlex.split(command, comments=True)
    program = words[0].rpartition("/")[2]
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[1:3] == ["-m", "triocql.testing.cassandra"]:
        launcher._parser().parse_args(words[3:])
    elif words[1:3] == ["-m", "pip"]:
        _check_pip(words[3:])
    elif program.startswith("python") and words[1] == "-m":
        assert words[2] in {"venv", "triocql", "tests.benchmarks", "pytest"}
    elif program in {"uvicorn", "hypercorn", "gunicorn"}:
        module, _, application = words[-1].rpartition("/")[2].partition(":")
        example = ROOT / "examples" / f"{module.removesuffix('.py')}.py"
        assert application.removesuffix("()") in example.read_text()
    elif program == "python":
        assert (ROOT / words[1]).is_file() or f"`{words[1]}`" in block.page.read_text()
    else:
        assert program in {"apt", "cd", "git", "sudo"}


def _check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(named.split(",")) <= set(extras)


def test_every_block_has_a_language_that_is_tested_or_data() -> None:
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"python", "console", "text", "cql", "toml"}


def test_no_fence_without_a_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
        assert all(fences[::2]), f"{_name(page)} has a code block of no language"
