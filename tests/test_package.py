"""The package as it is installed, built and told of."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import triocql
from triocql import __main__, _impl

ROOT = Path(__file__).resolve().parents[1]


# --- What `python -m triocql` says ---------------------------------------------------------------------------


def install_elsewhere(site: Path) -> None:
    """Write what is left of an installation with compiled modules in a folder of packages."""
    about = site / "triocql-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: triocql\nVersion: 0.1.0\n")
    module = f"triocql/codecs/_rows{EXTENSION_SUFFIXES[0]}"
    (about / "RECORD").write_text(f"{module},,\n")
    (site / module).parent.mkdir(parents=True)
    (site / module).touch()


def test_a_checkout_that_hides_the_compiled_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIOCQL_IMPL", raising=False)
    monkeypatch.setattr(_impl, "compiled", False)
    assert "finds before" not in __main__.report()
    install_elsewhere(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert f"finds before the installed package in\n{tmp_path}, whose compiled" in __main__.report()
    monkeypatch.setenv("TRIOCQL_IMPL", "python")
    assert "finds before" not in __main__.report()


def test_how_to_build_is_said_where_something_is_to_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIOCQL_IMPL", raising=False)
    for compiled, told in ((True, False), (False, True)):
        monkeypatch.setattr(_impl, "compiled", compiled)
        assert ("To build the compiled part" in __main__.report()) is told
    monkeypatch.setenv("TRIOCQL_IMPL", "python")
    assert "To build the compiled part" not in __main__.report()


def test_the_compiled_package_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIOCQL_IMPL", raising=False)
    monkeypatch.setattr(_impl, "compiled", True)
    install_elsewhere(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert "finds before" not in __main__.report()


@pytest.mark.parametrize(
    "arguments", [("triocql",), ("triocql.testing.cassandra", "status", "--name", "none")]
)
def test_nobody_need_read_what_is_printed(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""


UNBUILT = """
import importlib.machinery, runpy
importlib.machinery.EXTENSION_SUFFIXES = [".none"]
runpy.run_module("triocql", run_name="__main__")
"""


def test_the_advice_on_how_to_build_works() -> None:
    """Where the compiled part is demanded and missing, nothing of triocql can be imported, its own advice included."""

    def run(choice: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TRIOCQL_IMPL": choice}
        command = [sys.executable, "-c", UNBUILT]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    error = run("cython").stderr.splitlines()[-1]
    assert error.endswith("; `TRIOCQL_IMPL= python -m triocql` says how to build it")
    assert "To build the compiled part" in run("").stdout


# --- What is told of it --------------------------------------------------------------------------------------


def test_nothing_is_promised_that_is_not_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = [
        project["description"],
        *project["keywords"],
        triocql.__doc__ or "",
        (ROOT / "README.md").read_text().partition("##")[0],
    ]
    assert not any("mapper" in text.lower() for text in told)


def test_the_docs_are_built_with_all_that_they_import() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    documented = {name for name in re.findall(r"auto\w+:: (triocql[\w.]*)", pages) if _source(name).exists()}
    imported = {root for name in documented for root in _imports(_source(name))}
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = " ".join([*data["project"]["dependencies"], *data["dependency-groups"]["docs"]])
    assert "triocql.testing.plugin" in documented
    assert [name for name in imported if name.replace("_", "-") not in installed] == []


def _source(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _imports(source: Path) -> set[str]:
    """Return the packages that a module imports, but for those of Python and ourselves."""
    nodes = ast.walk(ast.parse(source.read_text()))
    names = [
        *(alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names),
        *(
            node.module or ""
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.ImportFrom) and node.level == 0
        ),
    ]
    return {name.partition(".")[0] for name in names} - {"triocql", *sys.stdlib_module_names}


# --- Interpreters --------------------------------------------------------------------------------------------

SUBINTERPRETER = """
import os, sys
import triocql
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
run = getattr(interpreters, "exec", None) or interpreters.run_string
run(interpreters.create(), f"import sys; sys.path[:] = {sys.path!r}; import triocql._impl, triocql.sync\\n"
    "print(triocql._impl.impl, triocql._impl.reason, flush=True)")
os._exit(0)  # to end it is no concern of ours, and CPython 3.12 does not always survive it
"""


def test_a_subinterpreter_has_the_pure_twin() -> None:
    """Isolated or not: the compiled modules are for one interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "TRIOCQL_IMPL"}
    done = subprocess.run(
        [sys.executable, "-c", SUBINTERPRETER],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("python "), done.stderr
    assert not _impl.compiled or "cannot be loaded" in done.stdout


def test_a_compiled_module_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / f"broken{EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")
    monkeypatch.setattr(_impl, "__file__", str(tmp_path / "_impl.py"))
    monkeypatch.setattr(_impl, "_COMPILED", ("triocql.broken",))
    monkeypatch.delenv("TRIOCQL_IMPL", raising=False)
    impl, reason = _impl._choose()
    assert impl == "python"
    assert reason.startswith("the compiled triocql.broken cannot be loaded: ")
    monkeypatch.setenv("TRIOCQL_IMPL", "cython")
    with pytest.raises(ImportError, match=r"but the compiled triocql\.broken cannot be loaded"):
        _impl._choose()


# --- The sdist -----------------------------------------------------------------------------------------------


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of this checkout, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    build = f"import sys; sys.path.insert(0, '.ci'); import backend; backend.build_sdist({str(folder)!r})"
    run(sys.executable, "-W", "ignore", "-c", build, folder=ROOT)
    (archive,) = folder.glob("triocql-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (found,) = folder.glob("triocql-*/")
    return found


def test_the_sdist_has_all_that_its_tests_need(unpacked: Path) -> None:
    """Nothing that was built goes into it, and the modules behind the symlink do."""
    needed = [
        "Makefile",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        ".ci/run",
        "docs/schema.cql",
        "docs/conf.py",
    ]
    needed += [
        "examples/flights.py",
        "tests/conftest.py",
        "tests/protocol/golden",
        "triocql/reactors/dial.py",
    ]
    needed += ["reactors/dial.py", "triocql/py.typed", "triocql/testing/cassandra/jars/5.0.6.txt"]
    assert [name for name in needed if not (unpacked / name).exists()] == []
    assert [path for path in unpacked.rglob("*") if path.suffix in {".so", ".c", ".pyc"}] == []
    assert os.access(unpacked / ".ci" / "run", os.X_OK)


def test_type_checkers_find_an_editable_install(unpacked: Path, tmp_path: Path) -> None:
    """They read paths from .pth files, but run none of the code there that would install an import hook."""
    shutil.copytree(unpacked, tmp_path / "checkout", ignore=shutil.ignore_patterns("tests", "docs", "*.pyx"))
    project = tmp_path / "checkout" / "pyproject.toml"
    project.write_text(project.read_text().partition("[[tool.setuptools.ext-modules]]")[0])
    build = (
        f"import sys; sys.path.insert(0, '.ci'); import backend; backend.build_editable({str(tmp_path)!r})"
    )
    run(sys.executable, "-W", "ignore", "-c", build, folder=project.parent)
    (wheel,) = tmp_path.glob("triocql-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (archive.read(name).decode() for name in archive.namelist() if ".dist-info/" not in name)
    assert Path(path.strip()) == project.parent.resolve()


@pytest.mark.long
def test_the_sdist_builds_and_passes_its_tests(unpacked: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=tmp_path)
    (site,) = environment.glob("lib/python*/site-packages")
    (dependencies,) = {Path(pytest.__file__).parents[1]}
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    python = environment / "bin" / "python"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed", "--editable")
    run(python, "-W", "ignore", "-m", "pip", "install", *options, unpacked, folder=tmp_path)
    assert "codec    cython" in run(python, "-m", "triocql", folder=tmp_path)
    modules = [path for path in unpacked.rglob("*") if path.name.endswith(tuple(EXTENSION_SUFFIXES))]
    assert len(modules) == len(_impl._COMPILED)
    assert not any(b".symtab" in module.read_bytes() for module in modules)
    some = [
        "tests/codecs",
        "tests/protocol",
        "tests/session",
        "tests/docs",
        "tests/reactors",
        "tests/test_layers.py",
    ]
    for impl in ("cython", "python"):
        chosen = ("-m", "pytest", "-q", "-n", "3", "-m", "not cassandra and not long", *some)
        assert "passed" in run(python, *chosen, folder=unpacked, TRIOCQL_IMPL=impl)
