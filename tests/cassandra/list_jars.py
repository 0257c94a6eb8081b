"""Writes the lists of jars that the launcher fetches without Maven: python -m tests.cassandra.list_jars

To be run, with Maven, when a version in `_versions.LATEST` changes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from triocql.testing.cassandra import _jars
from triocql.testing.cassandra._versions import LATEST


def jars_of(version: str) -> str:
    """Return the list of a version, as Maven resolves it now."""
    maven = shutil.which("mvn")
    assert maven is not None, "this needs Maven"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "jars")
        _jars.copy_by_maven(maven, version, folder, "-Dmdep.useRepositoryLayout=true")
        return "".join(
            f"{hashlib.sha256(jar.read_bytes()).hexdigest()} {jar.relative_to(folder)}\n"
            for jar in sorted(folder.rglob("*.jar"))
        )


if __name__ == "__main__":
    for version in LATEST.values():
        (_jars._LISTS / f"{version}.txt").write_text(jars_of(version))
