"""The imports of the package, by files, rooms and layers. `python -m tests.imports [checkout]` prints the figures.

Every import counts: those at run time, those within functions, those for annotations alone (``if TYPE_CHECKING:``),
and those of the sources that are compiled. An *arrow* goes from the file that imports to the file that is imported.
A *room* is a folder of files; in a folder that holds rooms, a file is a room of its own, and so is one that
is in another layer than its folder.
"""

from __future__ import annotations

import argparse
import ast
import re
import signal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = Path("docs", "explanation", "architecture.md")
SOURCES = (".py", ".pyx", ".pxd")

# Rows of a name and names, as a page shows them. A name stands for a module, or for a folder with all that is in it.
Table = tuple[tuple[str, tuple[str, ...]], ...]
Graph = dict[str, set[str]]
Circle = tuple[str, ...]


class Arrow(NamedTuple):
    """One module imports another; both by their names below `triocql`."""

    source: str
    target: str
    at_run_time: bool

    def __str__(self) -> str:
        return f"{self.source or 'triocql'} -> {self.target or 'triocql'}{'' if self.at_run_time else ' (annotations)'}"


class Imports:
    """All imports of the package in one checkout.

    Attributes:
        files: the files by the names of their modules below `triocql`; the package itself is "".
        outside: what each module imports at run time from elsewhere.
        arrows: the imports of each other.
    """

    def __init__(self, root: Path = ROOT, layers: Table = ()) -> None:
        self.files = _files(root)
        self._placed = {name for _, names in layers for name in names}
        self.outside: Graph = {name: set() for name in self.files}
        found = {
            arrow
            for name, paths in self.files.items()
            for path in paths
            for arrow in self._arrows(name, path)
        }
        self.arrows = sorted(
            arrow for arrow in found if arrow.at_run_time or arrow._replace(at_run_time=True) not in found
        )

    def room(self, name: str) -> str:
        """Return the room that a module is in."""
        folder = name if self._is_package(name) else _above(name)
        return name if folder in self._halls or name in self._placed else folder

    def between_rooms(self) -> list[Arrow]:
        """Return the arrows from room to room."""
        arrows = (Arrow(self.room(source), self.room(target), now) for source, target, now in self.arrows)
        return sorted({arrow for arrow in arrows if arrow.source != arrow.target})

    def reached(self, names: set[str]) -> set[str]:
        """Return these modules, and what they import at run time, and what that imports ..."""
        return _reached(names, _graph(arrow for arrow in self.arrows if arrow.at_run_time))

    @cached_property
    def _halls(self) -> set[str]:
        """The folders that hold folders."""
        folders = {name if self._is_package(name) else _above(name) for name in self.files} - {""}
        return {_above(folder) for folder in folders}

    def _is_package(self, name: str) -> bool:
        return self.files[name][0].stem == "__init__"

    def _arrows(self, name: str, path: Path) -> Iterator[Arrow]:
        package = name if self._is_package(name) else _above(name)
        for node, at_run_time in _imports(_tree(path), at_run_time=True):
            for target in self._targets(node, package):
                if target in self.files and target != name:
                    yield Arrow(name, target, at_run_time)
                elif target not in self.files and at_run_time:
                    self.outside[name].add(target)

    def _targets(self, node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (self._named(alias.name) for alias in node.names)
        else:
            base = _base(node, package)
            for alias in node.names:
                whole = self._named(f"{base}.{alias.name}")
                yield whole if whole in self.files else self._named(base)

    def _named(self, target: str) -> str:
        """Return the module that is meant; `x` is compiled under the name of `_x` where it has no source of its own."""
        name = _below(target)
        above, _, last = name.rpartition(".")
        source = f"{above}.{last.removeprefix('_')}"
        is_compiled = name not in self.files and any(
            path.suffix == ".pxd" for path in self.files.get(source, ())
        )
        return source if is_compiled else name


def circles(arrows: Iterable[Arrow]) -> list[Circle]:
    """Return what imports each other, be it by way of others, circle by circle."""
    graph = _graph(arrows)
    beyond = {name: _reached(targets, graph) for name, targets in graph.items()}
    mutual = {
        name: {other for other in found if name in beyond.get(other, ())} for name, found in beyond.items()
    }
    return sorted({tuple(sorted(found)) for found in mutual.values() if found})


def upward(arrows: Iterable[Arrow], layers: Table, rooms: Table) -> list[Arrow]:
    """Return the arrows to a higher layer, and those from a room to one that it is not built on."""
    return [arrow for arrow in arrows if _goes_up(arrow, layers, rooms)]


def layer(name: str, layers: Table) -> int:
    """Return the number of a module's layer, 0 for the lowest: the longest name that fits it counts."""
    levels = {prefix: number for number, (_, prefixes) in enumerate(layers) for prefix in prefixes}
    fitting = [prefix for prefix in levels if _is_within(name, prefix)]
    assert fitting, f"triocql.{name} is in no layer: put it into the table in {ARCHITECTURE}"
    return levels[max(fitting, key=len)]


def table(heading: str, root: Path = ROOT) -> Table:
    """Read the table below this heading from the page about the architecture; without such a table, it is empty."""
    lines = iter((root / ARCHITECTURE).read_text().splitlines())
    rows: list[tuple[str, tuple[str, ...]]] = []
    if any(line.startswith(f"| {heading} |") for line in lines):
        next(lines)  # the rule below the heading
        for line in lines:
            if not line.startswith("|"):
                break
            first, second = line.strip("|").split("|")[:2]
            rows.append(
                (_below(first.strip(" `")), tuple(_below(each) for each in re.findall(r"`(.*?)`", second)))
            )
    return tuple(rows)


def report(root: Path) -> str:
    """Return the figures of a checkout, layer by layer, and the arrows and circles that should not be there."""
    layers = table("layer", root)
    imports = Imports(root, layers)
    up = upward(imports.arrows, layers, table("room", root))
    around = [imports.arrows, imports.between_rooms()]
    now = [circles(arrow for arrow in each if arrow.at_run_time) for each in around]
    all_ = [circles(each) for each in around]

    def row(heading: str, names: set[str]) -> str:
        rooms = {imports.room(name) for name in names}
        arrows = [arrow.at_run_time for arrow in up if arrow.source in names]
        counts = [f"{sum(arrows)} / {len(arrows) - sum(arrows)}"]
        counts += [
            f"{_among(now[n], each)} / {_among(all_[n], each)}" for n, each in enumerate((names, rooms))
        ]
        return f"{heading:12}{len(names):6}{len(rooms):7}" + "".join(f"{each:>20}" for each in counts)

    lines = [
        "layer        files  rooms     imports upward    files in circles    rooms in circles",
        "                             now / annotated           now / all           now / all",
    ]
    for number, (heading, _) in enumerate(layers):
        lines.append(row(heading, {name for name in imports.files if layer(name, layers) == number}))
    lines.append(row("all", set(imports.files)))
    lines += [f"upward: {arrow}" for arrow in up]
    lines += [
        f"circle: {' '.join(name or 'triocql' for name in circle)}" for found in all_ for circle in found
    ]
    return "\n".join(lines)


def _among(found: list[Circle], names: set[str]) -> int:
    return sum(name in names for circle in found for name in circle)


def _goes_up(arrow: Arrow, layers: Table, rooms: Table) -> bool:
    source, target = layer(arrow.source, layers), layer(arrow.target, layers)
    if source != target:
        return source < target
    graph = {room: set(below) for room, below in rooms}
    ends = [
        next((room for room in graph if _is_within(name, room)), None)
        for name in (arrow.source, arrow.target)
    ]
    return ends[0] != ends[1] and (ends[0] is None or ends[1] not in _reached({ends[0]}, graph))


def _is_within(name: str, prefix: str) -> bool:
    return name == prefix or (prefix != "" and name.startswith(f"{prefix}."))


def _graph(arrows: Iterable[Arrow]) -> Graph:
    graph: Graph = {}
    for arrow in arrows:
        graph.setdefault(arrow.source, set()).add(arrow.target)
    return graph


def _reached(names: set[str], graph: Graph) -> set[str]:
    found, new = set(names), names
    while new:
        new = {target for name in new for target in graph.get(name, ())} - found
        found |= new
    return found


def _files(root: Path) -> dict[str, list[Path]]:
    """Return the files by module: declarations for the compiler belong to the module that they are for."""
    found: dict[str, list[Path]] = {}
    for folder, base in ((root / "triocql", root / "triocql"), (root / "reactors", root)):
        for path in sorted(each for each in folder.rglob("*") if each.suffix in SOURCES):
            parts = _source(path).relative_to(base).with_suffix("").parts
            if base == root or parts[0] != "reactors":  # the link to the other folder
                found.setdefault(".".join(parts).removesuffix("__init__").removesuffix("."), []).append(path)
    return found


def _source(path: Path) -> Path:
    """Return the source that a file belongs to: `_x.pxd` to `x.py`, unless there is a `_x.pyx`."""
    if path.suffix == ".pxd" and not path.with_suffix(".pyx").exists():
        return path.with_name(f"{path.stem.removeprefix('_')}.py")
    return path


def _tree(path: Path) -> ast.AST:
    """Parse a file; of a source that is Cython's, parse the imports."""
    text = path.read_text()
    if path.suffix != ".py":
        statements = re.findall(
            r"^[ \t]*((?:from +[\w.]+ +)?c?import +(?:\([^)]*\)|[^(\n]+))", text, re.MULTILINE
        )
        text = "\n".join(re.sub(r"\bcimport\b", "import", statement) for statement in statements)
    return ast.parse(text)


def _imports(tree: ast.AST, *, at_run_time: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports in a tree, wherever they are, each with whether it is one at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, at_run_time
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _imports(ast.Module(node.body, []), at_run_time=False)
            yield from _imports(ast.Module(node.orelse, []), at_run_time=at_run_time)
        else:
            yield from _imports(node, at_run_time=at_run_time)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = f"triocql.{package}".rstrip(".").split(".")[: -(node.level - 1) or None]
    return ".".join([*above, node.module] if node.module else above)


def _below(target: str) -> str:
    return "" if target == "triocql" else target.removeprefix("triocql.")


def _above(name: str) -> str:
    return name.rpartition(".")[0]


def main() -> None:
    """Print the figures of one checkout."""
    parser = argparse.ArgumentParser(prog="python -m tests.imports")
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    print(report(parser.parse_args().checkout))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for `... | head`
    main()
