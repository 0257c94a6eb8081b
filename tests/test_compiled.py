"""The compiled modules are built anew when anything changes that goes into them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from triocql._impl import _COMPILED

ROOT = Path(__file__).resolve().parents[1]
_USED = re.compile(r'^(?:from ([\w.]+) cimport|cimport ([\w.]+)|include "([^"]+)")', re.MULTILINE)


def modules() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = settings["tool"]["setuptools"]["ext-modules"]
    return found


def declarations(module: str) -> Path:
    return Path(module.replace(".", "/") + ".pxd")


def used_by(path: Path) -> set[Path]:
    """Return the files of this package that a file of Cython takes declarations or lines from."""
    found = set()
    for match in _USED.finditer((ROOT / path).read_text()):
        used = path.parent / match[3] if match[3] else declarations(match[1] or match[2])
        if (ROOT / used).exists():
            found.add(used)
    return found


def goes_into(module: dict[str, Any]) -> set[str]:
    """Return what a module is built of beside its source, however indirectly."""
    (source,) = module["sources"]
    todo = {Path(source), declarations(module["name"])}
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if (ROOT / path).exists() and path not in seen:
            seen.add(path)
            todo |= used_by(path)
    return {str(path) for path in seen} - {source}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module["name"])
def test_all_that_goes_into_a_module_is_among_what_it_depends_on(module: dict[str, Any]) -> None:
    assert set(module["depends"]) == goes_into(module)


def test_what_is_built_is_what_is_looked_for() -> None:
    assert {module["name"] for module in modules()} == set(_COMPILED)
