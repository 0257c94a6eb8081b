"""Cassandra's jars: fetched by Maven, or without it where a list of them is kept here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError

from triocql.testing.cassandra._errors import LauncherError, MissingTool, install_command
from triocql.testing.cassandra._versions import LATEST

REPOSITORY: Final = "TRIOCQL_MAVEN_REPOSITORY"
"""The environment variable that names a Maven repository in place of Maven Central."""

_CENTRAL: Final = "https://repo.maven.apache.org/maven2"
_LISTS: Final = Path(__file__).with_name("jars")
_AT_ONCE: Final = 8
_PATIENCE: Final = 60.0
_PAUSES: Final = (1.0, 5.0)
"""Seconds until a repository that has failed is asked again; after the last one, for the last time."""
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
class Jar:
    """A jar of a list: its path in a repository, and the SHA-256 of what is in it."""

    path: str
    sha256: str


def fetch_jars(version: str, folder: Path) -> None:
    """Fetch all jars of a version into a new folder: by Maven, which knows the user's settings, if it is there.

    Raises:
        MissingTool: Maven is needed and not there.
        LauncherError: they cannot be fetched.
    """
    if maven := shutil.which("mvn"):
        copy_by_maven(maven, version, folder)
    elif version in LATEST.values():
        _fetch_listed(version, folder)
    else:
        listed = ", ".join(LATEST.values())
        raise MissingTool(
            f"the jars of Cassandra {version} are fetched by Maven (those of {listed} without it); "
            f"{install_command('maven')}"
        )


# --- By Maven ----------------------------------------------------------------------------------------------


def copy_by_maven(maven: str, version: str, folder: Path, *flags: str) -> None:
    """Have Maven copy all jars of a version into a new folder."""
    folder.mkdir()
    pom = folder / "pom.xml"
    pom.write_text(_POM.format(version=version))
    command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-Dstyle.color=never"]
    where = [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    for pause in (*_PAUSES, None):
        result = subprocess.run([*command, *where, *flags], capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode == 0 or pause is None:
            break
        time.sleep(pause)
    pom.unlink()
    if result.returncode:
        reason, *_ = [*(result.stdout + result.stderr).splitlines(), ""]
        raise LauncherError(f"Maven cannot fetch Cassandra {version}: {reason}")


# --- By a list ---------------------------------------------------------------------------------------------


def listed_jars(version: str) -> list[Jar]:
    """Return the jars of a version in `LATEST`."""
    lines = (_LISTS / f"{version}.txt").read_text().splitlines()
    return [Jar(path, sha256) for sha256, path in map(str.split, lines)]


def _fetch_listed(version: str, folder: Path) -> None:
    folder.mkdir()
    repository = os.environ.get(REPOSITORY) or _CENTRAL

    def fetch(jar: Jar) -> None:
        content = _download(f"{repository.rstrip('/')}/{jar.path}")
        if hashlib.sha256(content).hexdigest() != jar.sha256:
            raise LauncherError(f"{jar.path} of {repository} is not the jar that it should be (SHA-256)")
        (folder / jar.path.rpartition("/")[2]).write_bytes(content)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        fetching = [threads.submit(fetch, jar) for jar in listed_jars(version)]
        try:
            for each in fetching:
                each.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _download(url: str) -> bytes:
    pauses = iter(_PAUSES)
    while True:
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except (OSError, HTTPException) as error:
            refused = isinstance(error, HTTPError) and error.code < 500
            if isinstance(error, HTTPError):
                error.close()  # it is the answer, too
            pause = None if refused else next(pauses, None)
            if pause is None:
                raise LauncherError(
                    f"{url} cannot be fetched: {error}; {REPOSITORY} in the environment names another repository"
                ) from error
        time.sleep(pause)
