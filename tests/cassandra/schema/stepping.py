"""The steps of `difference`, taken on a node: they make of one generated schema the other one, and say their risks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.metadata.schema import Risk, difference

from .evolving import generate_pairs
from .oracle import Refused, build, create, describe, differences, execute, read_rows
from .writer import quoted

if TYPE_CHECKING:
    from collections.abc import Container
    from uuid import UUID

    from triocql.metadata.description import Described
    from triocql.metadata.schema import Keyspace, Table
    from triocql.sync import Session

    from .evolving import Pair
    from .writer import Schema, Server

_REWRITTEN = ("compaction", "compression")


class Stepping:
    """Takes steps on a node.

    Attributes:
        walked: how often one schema was made of another one.
        steps: how many steps that took.
        refused: how many pairs the node does not take at all.
        features: all that was in them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.walked = self.steps = self.refused = 0
        self.features: set[str] = set()

    def run(self, server: Server, count: int) -> None:
        """Walk from the old one of so many pairs to the new one and back. Raises AssertionError that shows what was
        wrong with each."""
        found = [self._tried(pair) for pair in generate_pairs(server, count)]
        assert not any(found), "\n\n".join(filter(None, found))

    def _tried(self, pair: Pair) -> str:
        try:
            new, described_new = self._made(pair.new)
            old, described_old = self._made(pair.old)
        except Refused:
            self.refused += 1
            return ""
        self.features |= pair.new.features
        try:
            found = self._walk(old, new, described_new)
            if not found:
                found = self._walk(self._read(old.name), old, described_old)
        except Refused as refusal:
            found = f"a step is refused: {refusal}"
        return found and f"{found}\n\n{pair.old}\n\n{pair.new}"

    def _made(self, schema: Schema) -> tuple[Keyspace, list[Described]]:
        create(self._session, schema)
        return self._read(schema.keyspace), self._describe(schema.keyspace)

    def _read(self, keyspace: str) -> Keyspace:
        return build(read_rows(self._session, keyspace))[keyspace]

    def _describe(self, keyspace: str) -> list[Described]:
        return describe(self._session, f"KEYSPACE {quoted(keyspace)}", internals=False)

    def _walk(self, old: Keyspace, new: Keyspace, wanted: list[Described]) -> str:
        """Take all steps, and return what is wrong then."""
        before, had_data = old, {table.id for table in old.tables.values()}
        for step in difference({old.name: old}, {new.name: new}):
            execute(self._session, [step.cql])
            after = self._read(old.name)
            if step.risk is not (risk := _risk_of(before, after, had_data)):
                return f"the risk of this is {risk}, not {step.risk}:\n{step.cql}"
            before = after
            self.steps += 1
        self.walked += 1
        if found := differences(self._describe(old.name), wanted):
            return f"what the steps have made differs:\n{found}"
        if left := difference({old.name: before}, {new.name: new}):
            return f"there are steps left: {left}"
        return ""


def _risk_of(before: Keyspace, after: Keyspace, had_data: Container[UUID | None]) -> Risk:
    """Return what a step has done to data, by what was there before and after it."""
    now = {table.id: table for table in after.tables.values()}
    for table in before.tables.values():
        if table.id in had_data and (table.id not in now or len(now[table.id].columns) < len(table.columns)):
            return Risk.LOSES_DATA
    if before.replication_options != after.replication_options:
        return Risk.REWRITES
    return (
        Risk.REWRITES
        if any(_rewrites(before, after, each, had_data) for each in after.tables.values())
        else Risk.SAFE
    )


def _rewrites(before: Keyspace, after: Keyspace, table: Table, had_data: Container[UUID | None]) -> bool:
    """Whether a step has nodes write something anew of what a table has."""
    was = before.tables.get(table.name)
    if was is None or table.id not in had_data:
        return False
    views = {name for name, view in after.views.items() if view.base_table == table.name}
    relations = [
        (was, table),
        *((before.views[name], after.views[name]) for name in views & before.views.keys()),
    ]
    return (
        bool(table.indexes.keys() - was.indexes.keys())
        or bool(views - before.views.keys())
        or any(old.options[each] != new.options[each] for old, new in relations for each in _REWRITTEN)
    )
