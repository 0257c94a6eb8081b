"""Triggers, and the class of one that does nothing: compiled by Cassandra's own compiler, for nodes to load."""

from __future__ import annotations

import atexit
import subprocess
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from triocql.testing.cassandra import prepare

from .writer import quoted

if TYPE_CHECKING:
    from .tables import Table
    from .writer import Writer

NAME = "Nothing"
_CODE = """\
public class Nothing implements org.apache.cassandra.triggers.ITrigger {
    public java.util.Collection<org.apache.cassandra.db.Mutation> augment(
            org.apache.cassandra.db.partitions.Partition update) {
        return java.util.Collections.emptyList();
    }
}
"""


@lru_cache(1)
def folder() -> Path:
    """Return a folder that ``-Dcassandra.triggers_dir`` takes, with the class in it."""
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    found = Path(kept.name)
    (found / f"{NAME}.java").write_text(_CODE)
    ready = prepare("5.0")
    compiler = [
        str(ready.java.program),
        "-cp",
        ready.classpath,
        "org.eclipse.jdt.internal.compiler.batch.Main",
    ]
    options = ["-source", "1.8", "-target", "1.8", "-proc:none", "-nowarn", "-cp", ready.classpath]
    subprocess.run(
        [*compiler, *options, "-d", kept.name, str(found / f"{NAME}.java")], check=True, timeout=120
    )
    with zipfile.ZipFile(found / "triggers.jar", "w") as jar:
        jar.write(found / f"{NAME}.class", f"{NAME}.class")
    return found


def write_triggers(writer: Writer, table: Table) -> None:
    """Write a trigger of a table, or none."""
    if writer.server.triggers and writer.sometimes("triggers", 4):
        name = quoted(writer.word())
        writer.write(f"CREATE TRIGGER {name} ON {writer.qualified(table.name)} USING '{NAME}'")
