"""Imports go downward only, and never in a circle. The tables here are those in docs/explanation/architecture.md.

Every import counts, whether at run time, in a function, or for annotations alone: `tests.imports`, which also prints
the figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imports import Arrow, Imports, Table, circles, layer, table, upward

# From the lowest to the highest. A name stands for a module, or for a package with all that is in it; the longest
# name that fits a module counts.
LAYERS: Table = (
    (
        "foundation",
        (
            "errors",
            "abc",
            "_brief",
            "_cython",
            "_hints",
            "_impl",
            "_starting",
            "observability",
            "metadata.node",
            "metadata.statistics",
            "protocol.constants",
            "protocol.types",
        ),
    ),
    ("reactors", ("reactors",)),
    ("protocol", ("protocol",)),
    ("codecs", ("codecs",)),
    ("metadata", ("metadata",)),
    ("policies", ("policies",)),
    ("config", ("config",)),
    (
        "statements",
        ("statements", "observability.otel", "observability.instrumentor", "observability.prometheus"),
    ),
    ("engine", ("engine",)),
    ("results", ("results",)),
    ("cluster", ("cluster",)),
    ("bulk", ("bulk",)),
    ("session", ("session",)),
    ("sync", ("sync",)),
    ("commands", ("commands", "dask")),
    ("top", ("", "__main__")),
    ("testing", ("testing",)),
)
# The rooms of the engine, each with those that it is built on; what these are built on is below it, too.
ROOMS: Table = (
    ("engine.phase", ()),
    ("engine.history", ("engine.phase",)),
    ("engine.contracts", ("engine.phase",)),
    ("engine.requests", ("engine.contracts", "engine.history")),
    ("engine.connections", ("engine.requests",)),
    ("engine.routing", ("engine.connections",)),
    ("engine.messages", ("engine.connections",)),
    ("engine.executing", ("engine.routing", "engine.messages")),
)

LOOPS = {"trio", "asyncio", "anyio", "sniffio", "threading", "uvloop"}
MAY_IMPORT_LOOPS = ("reactors", "testing")
WHETHER_COMPILED = ("_impl",)

IMPORTS = Imports(layers=LAYERS)
FILES = sorted(IMPORTS.files)


def imported(name: str) -> set[str]:
    """Return what a file imports of the package."""
    return {arrow.target for arrow in IMPORTS.arrows if arrow.source == name}


@pytest.mark.parametrize("name", FILES)
def test_imports_go_downward(name: str) -> None:
    up = upward([arrow for arrow in IMPORTS.arrows if arrow.source == name], LAYERS, ())
    assert not up, f"{name or 'triocql'} ({LAYERS[layer(name, LAYERS)][0]}) imports from above itself"


def test_the_rooms_of_the_engine_are_built_on_those_below_only() -> None:
    assert not upward(IMPORTS.arrows, LAYERS, ROOMS)


def test_no_file_is_in_a_circle() -> None:
    assert not circles(IMPORTS.arrows)


def test_no_room_is_in_a_circle() -> None:
    assert not circles(IMPORTS.between_rooms())


@pytest.mark.parametrize("name", [name for name in FILES if name.split(".")[0] == "reactors"])
def test_reactors_see_the_contract_and_the_errors_only(name: str) -> None:
    may = {"abc", "errors", *WHETHER_COMPILED}
    assert {each for each in imported(name) if not each.startswith("reactors")} <= may


@pytest.mark.parametrize("name", FILES)
def test_the_core_knows_no_event_loop(name: str) -> None:
    if name.split(".")[0] not in MAY_IMPORT_LOOPS:
        assert not {each.split(".")[0] for each in IMPORTS.outside[name]} & LOOPS


def test_the_test_server_shares_no_code_with_the_driver() -> None:
    """What one of them gets wrong must not be right in the eyes of the other. TLS is Python's own on both sides."""
    server = {name for name in FILES if name.split(".")[:2] == ["testing", "server"]}
    assert server
    reached = IMPORTS.reached(server)
    assert {each for each in reached if each.split(".")[0] == "protocol"} == {"protocol.tls"}
    expected = {"abc", "errors", "protocol", "reactors", "testing", *WHETHER_COMPILED}
    assert {each.split(".")[0] for each in reached} == expected


def test_tests_trace_memory_by_what_does_so_safely() -> None:
    """`tests.memory` says what else a test can end by; benchmarks are processes of their own."""
    tests = Path(__file__).parent
    tracing = {path for path in tests.rglob("*.py") if "import tracemalloc" in path.read_text().splitlines()}
    assert tracing == {tests / "memory.py", tests / "benchmarks" / "bench_nodes.py"}


@pytest.mark.parametrize(("heading", "expected"), [("layer", LAYERS), ("room", ROOMS)])
def test_the_documentation_has_these_tables(heading: str, expected: Table) -> None:
    assert table(heading) == expected


def test_imports_of_every_kind_are_seen(tmp_path: Path) -> None:
    sources = {
        "triocql/__init__.py": "from triocql import low as low",
        "triocql/low.py": "def fn():\n    from .upper.one import thing",
        "triocql/upper/__init__.py": "",
        "triocql/upper/one.py": "if TYPE_CHECKING:\n    from triocql.upper import two\nelse:\n    import trio",
        "triocql/upper/two.py": "from triocql.upper._fast import (\n    thing,\n)",
        "triocql/upper/_fast.pyx": "from libc.string cimport memcpy\nfrom triocql.upper._three cimport (\n    fn,\n)",
        "triocql/upper/three.py": "",
        "triocql/upper/_three.pxd": "from ..low cimport fn",
        "reactors/__init__.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    imports = Imports(tmp_path)
    assert imports.arrows == [
        Arrow("", "low", at_run_time=True),
        Arrow("low", "upper.one", at_run_time=True),
        Arrow("upper._fast", "upper.three", at_run_time=True),
        Arrow("upper.one", "upper.two", at_run_time=False),
        Arrow("upper.three", "low", at_run_time=True),
        Arrow("upper.two", "upper._fast", at_run_time=True),
    ]
    assert imports.outside["upper.one"] == {"trio"}
    assert circles(imports.arrows) == [("low", "upper._fast", "upper.one", "upper.three", "upper.two")]
    assert circles(imports.between_rooms()) == [("low", "upper")]
    placed = Imports(tmp_path, (("high", ("upper",)), ("low", ("upper.one",))))
    assert [placed.room(name) for name in ("upper", "upper.one", "upper.two")] == [
        "upper",
        "upper.one",
        "upper",
    ]
    assert upward(imports.arrows, (("high", ("", "upper")), ("low", ("low",))), ()) == [
        Arrow("", "low", at_run_time=True),
        Arrow("upper.three", "low", at_run_time=True),
    ]
