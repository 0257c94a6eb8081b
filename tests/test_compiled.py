"""The compiled modules are built anew when anything changes that goes into them."""

from __future__ import annotations

import importlib
import pickle
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triocql._impl import _COMPILED, impl

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


def _bare(cls: Any) -> object:
    """Return an object that its constructor has not seen."""
    return cls.__new__(cls)


@pytest.mark.skipif(impl != "cython", reason="it is about what is compiled")
@pytest.mark.parametrize("name", _COMPILED)
def test_what_is_compiled_is_pickled_or_refuses_to_be(name: str) -> None:
    """Cython has classes pickled with what their pointers point to, which for some is taken for a text."""
    for cls in vars(importlib.import_module(name)).values():
        if isinstance(cls, type) and cls.__module__ == name:
            with suppress(Exception):
                pickle.dumps(_bare(cls))


@pytest.mark.skipif(impl != "cython", reason="it is about what is compiled")
def test_nothing_that_is_done_to_objects_without_a_constructor_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.oddities"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]


@pytest.mark.skipif(impl != "cython", reason="it is about what is compiled")
def test_columns_of_what_is_no_page_are_refused() -> None:
    from triocql.codecs.columns._batches import Decoder

    decoder = Decoder((), ())
    page: Any
    for body, row_count in ((None, 10), (b"", -1), (b"", 2**62)):
        page = SimpleNamespace(body=body, offset=0, row_count=row_count)
        with pytest.raises((TypeError, ValueError), match=r"bytes, not None|too short"):
            decoder.batch(page)
    page = SimpleNamespace(body=b"", offset=0, row_count=0)
    with pytest.raises(ValueError, match="no columns"):
        decoder.values(decoder.batch(page))


def test_tests_of_each_implementation_are_in_both_runs() -> None:
    """Those of pure Python are left out where the compiled one is forced, and have to come in the other run."""
    pure = re.search(r"PURE +:= \$\(addprefix tests/,([^)]*)\)", (ROOT / "Makefile").read_text())
    assert pure is not None
    runs = [ROOT / "tests" / name for name in pure[1].replace("\\", "").split()]
    of_each = re.compile(
        r'def test_\w+\([^)]*\b(?:impl|registry): (?:Impl|Registry)|usefixtures\("impl"\)|parametrize\("impl"'
    )
    for path in (ROOT / "tests").rglob("test_*.py"):
        if of_each.search(path.read_text()):
            assert any(path.is_relative_to(run) for run in runs), path
