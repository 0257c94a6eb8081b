"""Every code block of the documentation does what its page says."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import itertools
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import yaml

import triocql
from tests.cassandra.conftest import patient, patient_url
from tests.docs.pages import PAGES, ROOT, Block, Run, blocks_of, runs_of
from triocql import commands
from triocql.testing.cassandra import __main__ as launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.testing.cassandra import CassandraCluster

ADDRESS = "127.19.1.1"  # where the pages have their node
READINGS = runpy.run_path(str(ROOT / "examples" / "readings.py"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
_ADDRESSES = re.compile(r"\b(?:\d+\.){3}\d+\b")
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|ALTER|DROP)\b")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(block.language == language for block in blocks_of(page))]


# --- Python ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(cassandra: CassandraCluster) -> Iterator[Data]:
    """The keyspace of the pages on a node of the run."""
    data = Data(cassandra.contact_points[0])
    yield data
    for keyspace in ("weather", "trial"):
        data.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")


class Data:
    """What is in the keyspace of the pages: what the tutorial leaves behind, or what a page has written since."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.as_the_tutorial_left_it = False

    def prepare(self, page: Path) -> None:
        """Bring it to the state that a page begins with: the tutorial with nothing, the others with the whole."""
        if page == TUTORIAL:
            self.execute("DROP KEYSPACE IF EXISTS weather")
        elif not self.as_the_tutorial_left_it:
            with redirect_stdout(io.StringIO()):
                READINGS["main"](self.address)
        self.as_the_tutorial_left_it = _WRITES.search(page.read_text()) is None

    def execute(self, statement: str) -> None:
        with triocql.sync.connect(self.address, **patient()) as session:
            session.execute(statement)


@pytest.mark.cassandra
@pytest.mark.parametrize("page", [page for page in _pages_with("python") if page != TUTORIAL], ids=_name)
def test_python(page: Path, data: Data, tmp_path: Path) -> None:
    run_page(page, data, tmp_path)


def run_page(page: Path, data: Data, tmp_path: Path) -> None:
    """Run all blocks of a page, and compare what they print."""
    data.prepare(page)
    node = data.address
    names: dict[str, Any] = {"__name__": "page"}
    for run in runs_of(page):
        printed = io.StringIO()
        with redirect_stdout(printed):
            if run.blocks[0].loop == "process":
                print(_run_process(run.blocks[0], patient_url(node), tmp_path))
            elif run.blocks[0].is_program:
                _run_program(run.blocks[0], patient_url(node))
            elif run.blocks[0].loop == "sync":
                _run_blocking(run, node, names)
            else:
                _run_fragments(run, node, names)
        if run.output is not None:
            _check_output(printed.getvalue(), run.output)


@pytest.mark.cassandra
def test_the_tutorial_leaves_the_data_that_the_guides_begin_with(data: Data, tmp_path: Path) -> None:
    run_page(TUTORIAL, data, tmp_path)
    with triocql.sync.connect(data.address, **patient(keyspace="weather")) as session:
        found = session.execute("SELECT station, at, celsius FROM readings", row_type=tuple)
        assert sorted(found) == sorted(READINGS["readings"]())
        assert list(session.execute("SELECT station, place, tags, cost, settings FROM stations")) == []


def test_the_schema_is_the_same_everywhere() -> None:
    def normal(text: str) -> str:
        return " ".join(text.split()).replace("IF NOT EXISTS ", "").replace("( ", "(").rstrip(";")

    shown = [normal(text) for text in (ROOT / "docs" / "schema.cql").read_text().split(";") if text.strip()]
    tutorial = normal(TUTORIAL.read_text())
    assert shown == [normal(statement) for statement in READINGS["SCHEMA"][1:]]
    assert [statement for statement in shown if statement not in tutorial] == []


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
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block.name}\n{done.stderr}"
    return done.stdout


def _run_blocking(run: Run, node: str, names: dict[str, Any]) -> None:
    with triocql.sync.connect(node, **patient(keyspace="weather")) as names["session"]:
        for block in run.blocks:
            exec(_compile(block, node), names)


def _run_fragments(run: Run, node: str, names: dict[str, Any]) -> None:
    async def main() -> None:
        async with triocql.connect(node, **patient(keyspace="weather")) as names["session"]:
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
    variables = list(itertools.takewhile(lambda word: "=" in word, words))
    words = words[len(variables) :]
    assert set(_ADDRESSES.findall(command)) <= {ADDRESS}
    program = words[0].rpartition("/")[2]
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[1:3] == ["-m", "triocql.testing.cassandra"]:
        launcher._parser().parse_args(words[3:])
    elif words[1:3] == ["-m", "triocql"]:
        arguments = list(itertools.takewhile(lambda word: word != ">", words[3:]))
        assert not arguments or commands._parser().parse_args(arguments)
    elif words[1:3] == ["-m", "pip"]:
        _check_pip(words[3:])
    elif program.startswith("python") and words[1] == "-m":
        assert words[2] in {"venv", "triocql", "tests.benchmarks", "pytest"}
    elif program in {"uvicorn", "hypercorn", "gunicorn"}:
        assert variables == [f"CASSANDRA={ADDRESS}"]
        module, _, application = words[-1].rpartition("/")[2].partition(":")
        example = ROOT / "examples" / f"{module.removesuffix('.py')}.py"
        assert application.removesuffix("()") in example.read_text()
    elif program == "python":
        assert (ROOT / words[1]).is_file() or f"`{words[1]}`" in block.page.read_text()
    elif program == ".":
        assert words[1:] == [".venv/bin/activate"]
    else:
        assert program in {"apt", "cd", "git", "sudo"}


def _check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert set(named.split(",")) <= set(extras)


def test_every_block_has_a_language_that_is_tested_or_data() -> None:
    languages = {block.language for page in PAGES for block in blocks_of(page)}
    assert languages <= {"python", "console", "text", "cql", "toml", "yaml"}


def test_yaml() -> None:
    for page in _pages_with("yaml"):
        for block in blocks_of(page):
            if block.language == "yaml":
                assert isinstance(yaml.safe_load(block.code), dict)


def test_no_fence_without_a_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
        assert all(fences[::2]), f"{_name(page)} has a code block of no language"
