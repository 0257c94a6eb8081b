"""The page about logging lists every logger and every line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "howto" / "logging.md"
LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR"}

_ROW = re.compile(r"^\| `([\w.]+)` \| ([A-Z]+) \| `([^`]+)` \|", re.MULTILINE)


def lines_of(path: Path, module: str) -> Iterator[tuple[str, str, str]]:
    """Find what a module logs: its logger, the level and the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if ast.unparse(node.func.value) == "logger" and node.func.attr in LEVELS:
            line = node.args[0]
            assert isinstance(line, ast.Constant), f"{path}:{node.lineno}: the line has to be written there"
            assert isinstance(line.value, str)
            yield module, LEVELS[node.func.attr], line.value


def modules() -> Iterator[tuple[Path, str]]:
    for folder, package in ((ROOT / "triocql", "triocql"), (ROOT / "reactors", "triocql.reactors")):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            if parts[0] not in ("testing", "reactors"):
                yield path, ".".join((package, *parts))


def test_every_line_is_on_the_page_and_nothing_else() -> None:
    found = {line for path, module in modules() for line in lines_of(path, module)}
    assert set(_ROW.findall(PAGE.read_text())) == found


def test_each_logger_is_that_of_its_module() -> None:
    for path, module in modules():
        text = path.read_text()
        if list(lines_of(path, module)):
            own = (f'logger = logging.getLogger("{module}")', "logger = get_logger(__name__)")
            assert sum(text.count(each) for each in own) == 1, path
