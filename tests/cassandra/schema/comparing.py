"""The comparison of triocql's CQL with a node's own, on generated schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .grammar import generate
from .oracle import Refused, build, create, describe, differences, execute, read_rows
from .writer import UNQUOTED, Schema, Server, quoted

if TYPE_CHECKING:
    from triocql.sync import Session


class Comparison:
    """Compares schemas on a node.

    Attributes:
        compared: how many there were.
        replayed: how many of them were made again from triocql's CQL.
        features: all that was in them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.compared = self.replayed = 0
        self.features: set[str] = set()

    def run(self, server: Server, count: int) -> None:
        """Compare so many generated schemas. Raises AssertionError that shows all objects that differ, and how."""
        found = [self._tried(schema) for schema in generate(server, count)]
        assert not any(found), "\n\n".join(filter(None, found))

    def _tried(self, schema: Schema) -> str:
        try:
            return self.compare(schema)
        except Refused as refusal:
            return f"refused: {refusal}"

    def compare(self, schema: Schema) -> str:
        """Make a schema on the node, compare what is said of it, make it again from triocql's CQL, and compare again.
        Return what differs, "" if nothing does.
        """
        session, what = self._session, f"KEYSPACE {quoted(schema.keyspace)}"
        create(session, schema)
        keyspace = build(read_rows(session, schema.keyspace))[schema.keyspace]
        self.compared += 1
        self.features |= schema.features
        for internals in (False, True):
            theirs = describe(session, what, internals=internals)
            ours = keyspace.describe(internals)
            if found := differences(ours.objects, theirs):
                return f"{found}\n\n{schema}"
        if not ours.comments_only and UNQUOTED not in schema.features:
            execute(session, [f"DROP {what}", *ours.statements])
            self.replayed += 1
            if found := differences(describe(session, what, internals=True), theirs):
                return f"made again from triocql's CQL:\n{found}\n\n{schema}"
        return ""
