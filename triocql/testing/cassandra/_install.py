"""Java, Maven and Cassandra's jars: found, fetched once, kept in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triocql.testing.cassandra._errors import LauncherError, MissingTool

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_VERSION: Final = "5.0.6"
JAVA_VERSION: Final = 17

_POM: Final = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>triocql</groupId><artifactId>cassandra-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True)
class Installation:
    """One version of Cassandra on this machine, with the Java that runs it."""

    version: str
    java: Path
    java_build: str
    lib: Path

    @property
    def classpath(self) -> str:
        """All jars in a fixed order: a class archive is only valid for the class path it was made with."""
        return ":".join(str(jar) for jar in sorted(self.lib.glob("*.jar")))

    @property
    def archive(self) -> Path:
        """The class archive, which saves a starting JVM from parsing and verifying 10,000 classes."""
        build = hashlib.sha256(self.java_build.encode()).hexdigest()[:12]
        return self.lib.with_name(f"classes-{build}.jsa")


def cache_folder() -> Path:
    """Return the launcher's folder in the user's cache: ``$XDG_CACHE_HOME/triocql/cassandra``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "triocql" / "cassandra"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the file stays, empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def find_java() -> tuple[Path, str]:
    """Find a Java 17 in JAVA_HOME, on the PATH or where distributions put it; returns it and its version.

    Raises:
        MissingTool: there is none.
    """
    for java in filter(Path.is_file, _java_candidates()):
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
        if re.search(rf'version "{JAVA_VERSION}\b', answer.stderr):
            return java, answer.stderr
    raise MissingTool(f"Cassandra needs Java {JAVA_VERSION}; {install_command('openjdk-17-jdk-headless')}")


def _java_candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if java := shutil.which("java"):
        yield Path(java)
    yield from sorted(Path("/usr/lib/jvm").glob(f"*{JAVA_VERSION}*/bin/java"))


def find_maven() -> Path:
    """Find Maven.

    Raises:
        MissingTool: there is none.
    """
    if maven := shutil.which("mvn"):
        return Path(maven)
    raise MissingTool(f"Cassandra's jars are fetched by Maven; {install_command('maven')}")


def install_command(package: str) -> str:
    """Say how to install a package of Debian's, here or on another system."""
    if shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"run: {sudo}apt-get update && {sudo}apt-get install -y {package}"
    return f"install it with your system's package manager (Debian calls it {package})"


def installation(version: str = DEFAULT_VERSION) -> Installation:
    """Find Java and the jars of a version of Cassandra; fetch the jars from Maven Central (66 MB) if need be.

    Raises:
        MissingTool: Java 17 is not there, or Maven is needed and not there.
        LauncherError: not a version of Cassandra 5.0, or it cannot be fetched.
    """
    if not re.fullmatch(r"5\.0(\.\d+|-[\w.]+)", version):
        raise LauncherError(f"the launcher runs Cassandra 5.0, such as {DEFAULT_VERSION}; not {version!r}")
    java, build = find_java()
    lib = cache_folder() / version / "lib"
    if not lib.exists():
        with locked(cache_folder() / f"{version}.lock"):
            if not lib.exists():
                _fetch(version, lib)
    return Installation(version, java, build, lib)


def _fetch(version: str, lib: Path) -> None:
    """Fetch the jars beside their place, then move them there at once: what is there is complete."""
    maven = find_maven()
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        pom = Path(scratch, "pom.xml")
        pom.write_text(_POM.format(version=version))
        command = [str(maven), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        flags = [f"-DoutputDirectory={scratch}/lib", "-DincludeScope=runtime", "-Dstyle.color=never"]
        result = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode:
            reason, *_ = [*(result.stdout + result.stderr).splitlines(), ""]
            raise LauncherError(f"Maven cannot fetch Cassandra {version}: {reason}")
        lib.parent.mkdir(exist_ok=True)
        Path(scratch, "lib").rename(lib)
