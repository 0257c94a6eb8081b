"""Imports go downward only. The table here is the one in docs/explanation/architecture.md."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"

# From the lowest to the highest. A name stands for a module, or for a package with all that is in it; the longest
# name that fits a module counts.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "foundation",
        ("errors", "abc", "_hints", "_impl", "observability", "protocol.constants", "protocol.types"),
    ),
    ("reactors", ("reactors",)),
    ("protocol", ("protocol",)),
    ("codecs", ("codecs",)),
    ("metadata", ("metadata",)),
    ("policies", ("policies",)),
    ("config", ("config",)),
    ("statements", ("statements",)),
    ("engine", ("engine",)),
    ("results", ("results",)),
    ("cluster", ("cluster",)),
    ("session", ("session",)),
    ("sync", ("sync",)),
    ("top", ("", "__main__")),
    ("testing", ("testing",)),
)
LEVELS = {prefix: level for level, (_, prefixes) in enumerate(LAYERS) for prefix in prefixes}
LOOPS = {"trio", "asyncio", "anyio", "sniffio", "threading", "uvloop"}
MAY_IMPORT_LOOPS = ("reactors", "testing")


def _modules() -> dict[str, Path]:
    """Return the modules by their names below `triocql`; the package itself is ""."""
    files = [path for path in (ROOT / "triocql").rglob("*.py") if "reactors" not in path.parts]
    found = {_name(path.relative_to(ROOT / "triocql")): path for path in files}
    return found | {_name(path.relative_to(ROOT)): path for path in (ROOT / "reactors").glob("*.py")}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = _modules()


def _imports(name: str) -> set[str]:
    """Return what a module imports at run time, wherever in its code: names as in `MODULES`, others as they are."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _run_time_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            found.update(_target(base, alias.name) for alias in node.names)
    return {_below(target) for target in found} - {name}


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without the blocks under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (each for branch in node.orelse for each in (branch, *_run_time_nodes(branch)))
        else:
            yield node
            yield from _run_time_nodes(node)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = f"triocql.{package}".split(".")[: -(node.level - 1) or None]
    return ".".join([*above, node.module] if node.module else above)


def _target(base: str, name: str) -> str:
    whole = f"{base}.{name}"
    return whole if _below(whole) in MODULES else base


def _below(target: str) -> str:
    return "" if target == "triocql" else target.removeprefix("triocql.")


def _level(name: str) -> int:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in LEVELS:
            return LEVELS[prefix]
    raise AssertionError(f"triocql.{name} is in no layer: put it into the table of this test")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_downward(name: str) -> None:
    upward = {each for each in _imports(name) & MODULES.keys() if _level(each) > _level(name)}
    assert not upward, f"{name or 'triocql'} ({LAYERS[_level(name)][0]}) imports from above itself"


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if name.split(".")[0] == "reactors"])
def test_reactors_see_the_contract_and_the_errors_only(name: str) -> None:
    own = _imports(name) & MODULES.keys()
    assert {each for each in own if not each.startswith("reactors")} <= {"abc", "errors"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_core_knows_no_event_loop(name: str) -> None:
    if name.split(".")[0] not in MAY_IMPORT_LOOPS:
        assert not {each.split(".")[0] for each in _imports(name)} & LOOPS


def test_the_test_server_shares_no_code_with_the_driver() -> None:
    """What one of them gets wrong must not be right in the eyes of the other. TLS is Python's own on both sides."""
    server = {name for name in MODULES if name.split(".")[:2] == ["testing", "server"]}
    assert server
    reached = _reached(server)
    assert {each for each in reached if each.split(".")[0] == "protocol"} == {"protocol.tls"}
    assert {each.split(".")[0] for each in reached} == {"abc", "errors", "protocol", "reactors", "testing"}


def _reached(names: set[str]) -> set[str]:
    """Return these modules, and what they import, and what that imports ..."""
    found, new = set(names), names
    while new:
        new = {each for name in new for each in _imports(name) & MODULES.keys()} - found
        found |= new
    return found


def test_no_cycles() -> None:
    TopologicalSorter({name: _imports(name) & MODULES.keys() for name in MODULES}).prepare()


def test_the_documentation_has_this_table() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in ARCHITECTURE.read_text().splitlines()
        if line.startswith("| ")
    ]
    shown = [(row[0], row[1].replace("`", "").split()) for row in rows if row[0] in dict(LAYERS)]
    names = [
        (layer, [f"triocql.{each}" if each else "triocql" for each in prefixes]) for layer, prefixes in LAYERS
    ]
    assert shown == names
