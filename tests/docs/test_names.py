"""The names that the pages mention are there: modules, files, and what is in them."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT

OF_CONTRIBUTORS = [ROOT / "docs" / "contributing.md", ROOT / "docs" / "explanation" / "architecture.md"]
"""The pages whose names of modules and files are relative to the package."""

_FENCED = re.compile(r"^```\w+\n.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_DOTTED = re.compile(r"[a-z_]\w*(?:\.\w+)+")
_MEMBER = re.compile(r"([A-Z][a-z]\w+)\.(\w+)")
_PATH = re.compile(r"\.?[\w-]+(?:(?:/[\w.-]+)+/?|/|\.(?:py|pyx|pxd|pxi|md|toml))")
_ROOTS = ("", "triocql")
_OTHERS = {"asyncio", "gevent", "trio"}


def code_of(page: Path) -> set[str]:
    """Return what a page shows as code within its sentences and tables."""
    return set(_CODE.findall(_FENCED.sub("", page.read_text())))


def paths_of(page: Path) -> set[str]:
    """Return the names of files and folders on a page, those in its pictures included."""
    pictures = " ".join(re.findall(r"^```text\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    found = {each for code in code_of(page) for each in code.split() if _PATH.fullmatch(each)}
    return found | {each for each in pictures.split() if _PATH.fullmatch(each)}


@cache
def module(dotted: str) -> Path | None:
    """Return the file of a module, named with or without the package's name; None if there is none."""
    parts = dotted.removeprefix("triocql").strip(".").split(".") if dotted != "triocql" else []
    folder = ROOT / "triocql"
    if parts[:1] == ["reactors"]:
        folder, parts = ROOT / "reactors", parts[1:]
    package = folder.joinpath(*parts)
    files = (
        package / "__init__.py",
        *(package.with_name(f"{package.name}.{end}") for end in ("py", "pyx", "pxd")),
    )
    return next((file for file in files if file.is_file()), None)


def is_there(dotted: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    parts = dotted.removeprefix("triocql").strip(".").split(".")
    for length in range(len(parts), -1, -1):
        name = ".".join(["triocql", *parts[:length]])
        if module(name) is None:
            continue
        found: Any = importlib.import_module(name) if parts[length:] else None
        for each in parts[length:]:
            if not hasattr(found, each):
                return False
            found = getattr(found, each)
        return True
    return False


@cache
def files_of_class(name: str) -> list[str]:
    """Return the names of the modules that define a class."""
    found = []
    for folder, package in ((ROOT / "triocql", "triocql"), (ROOT / "reactors", "triocql.reactors")):
        for path in folder.rglob("*.py"):
            if re.search(rf"^class {name}\b", path.read_text(), re.MULTILINE):
                parts = path.relative_to(folder).with_suffix("").parts
                found.append(".".join((package, *parts)).removesuffix(".__init__"))
    return [each for each in found if ".reactors.reactors" not in each]


def has_member(name: str, member: str) -> bool:
    """Tell whether a class of this name has a member: one of its own or its bases', or set by its constructor."""
    for each in files_of_class(name):
        cls = getattr(importlib.import_module(each), name)
        if hasattr(cls, member) or f"self.{member}" in inspect.getsource(cls):
            return True
    return False


@pytest.mark.parametrize("page", OF_CONTRIBUTORS, ids=lambda page: page.name)
def test_modules_of_the_contributors_pages_are_there(page: Path) -> None:
    dotted = {code for code in code_of(page) if _DOTTED.fullmatch(code) and not _PATH.fullmatch(code)}
    assert not {each for each in dotted if each.split(".")[0] not in _OTHERS and not is_there(each)}


@pytest.mark.parametrize("page", OF_CONTRIBUTORS, ids=lambda page: page.name)
def test_files_of_the_contributors_pages_are_there(page: Path) -> None:
    assert not {each for each in paths_of(page) if not any((ROOT / root / each).exists() for root in _ROOTS)}


@pytest.mark.parametrize("page", OF_CONTRIBUTORS, ids=lambda page: page.name)
def test_members_of_classes_on_the_contributors_pages_are_there(page: Path) -> None:
    members = {match.group(1, 2) for code in code_of(page) if (match := _MEMBER.fullmatch(code))}
    assert not {each for each in members if not has_member(*each)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_public_names_of_every_page_are_there(page: Path) -> None:
    found = {
        match[0] for code in code_of(page) for match in re.finditer(r"\btriocql(?:\.[A-Za-z_]\w*)+", code)
    }
    assert not {each for each in found if not is_there(each)}


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "reference").glob("*.md")), ids=lambda page: page.name
)
def test_members_that_the_reference_leaves_out_are_there(page: Path) -> None:
    left_out = re.findall(
        r"^\.\. auto\w+:: ([\w.]+)\n(?: .*\n)*? +:exclude-members: (.*)$", page.read_text(), re.MULTILINE
    )
    gone = [
        f"{owner}.{name}"
        for owner, names in left_out
        for name in names.split(", ")
        # What every exception has is left out of all classes of a module of errors.
        if not is_there(f"{owner}.{name}") and not hasattr(BaseException, name)
    ]
    assert not gone
