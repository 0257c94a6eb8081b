"""An installation: Java and Cassandra's jars, found, or fetched once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from triocql.testing.cassandra._cache import cache_folder, kept
from triocql.testing.cassandra._jars import fetch_jars
from triocql.testing.cassandra._java import Java, find_java
from triocql.testing.cassandra._versions import DEFAULT_VERSION, Version, version_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Installation:
    """One version of Cassandra on this machine, with the Java that runs it."""

    version: Version
    java: Java
    lib: Path

    @property
    def classpath(self) -> str:
        """All jars in a fixed order: a class archive is only valid for the class path it was made with."""
        return ":".join(str(jar) for jar in sorted(self.lib.glob("*.jar")))

    @property
    def archive(self) -> Path:
        """The class archive, which saves a starting JVM from parsing and verifying 10,000 classes."""
        build = hashlib.sha256(self.java.build.encode()).hexdigest()[:12]
        return self.lib.with_name(f"classes-{build}.jsa")


def installation(version: str = DEFAULT_VERSION) -> Installation:
    """Find Java and the jars of a version of Cassandra; fetch them (66 MB, and Java 37 MB) if need be.

    Raises:
        MissingTool: Java or Maven is needed, not there, and cannot be fetched.
        LauncherError: not a version of Cassandra 4.0, 4.1 or 5.0, or it cannot be fetched.
    """
    wanted = version_of(version)
    java = find_java(wanted.java)
    lib = kept(cache_folder() / wanted.text / "lib", partial(fetch_jars, wanted.text))
    return Installation(wanted, java, lib)
