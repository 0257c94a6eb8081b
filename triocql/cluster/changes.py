"""Changes of the schema on their way to those who listen: told once the snapshot has them, with what was before."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from triocql.metadata.events import SchemaChanged
from triocql.metadata.schema.callables import signature_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.cluster.hub import EventHub
    from triocql.cluster.nodes import Nodes
    from triocql.metadata.events import SchemaObject
    from triocql.metadata.schema import Keyspace
    from triocql.protocol.responses import SchemaChange

Keyspaces: TypeAlias = "Mapping[str, Keyspace]"
Key: TypeAlias = "tuple[str, str, str]"
"""What a change is about: its target, the keyspace, and the name in it."""

MOST = 1024
"""How many changes wait until they were read, at most; of more, the oldest are told with what is known."""

_PLACES = {"TYPE": "types", "FUNCTION": "functions", "AGGREGATE": "aggregates"}


class SchemaChanges:
    """Keeps what nodes have told of, and what objects were before. It costs nothing while nobody listens."""

    def __init__(self, hub: EventHub, nodes: Nodes) -> None:
        self._hub = hub
        self._nodes = nodes
        self._waiting: deque[SchemaChange] = deque()
        self._before: dict[Key, SchemaObject | None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, changes: Iterable[SchemaChange]) -> None:
        """Nodes tell of changes."""
        if not self._hub.listeners:
            self._waiting.clear()
            self._before.clear()
            return
        self._waiting.extend(changes)
        self.tell(len(self) - MOST)

    def replaced(self, before: Keyspaces, after: Keyspaces) -> None:
        """The snapshot has other keyspaces than before."""
        if not self._hub.listeners or before is after:
            return
        for name in {**before, **after}:
            old, new = before.get(name), after.get(name)
            if old is not new:
                self._before.setdefault(("KEYSPACE", name, ""), old)
                self._compare(name, old, new)

    def tell(self, count: int) -> None:
        """Tell of the first ones, so many, which have been read."""
        for _ in range(min(count, len(self))):
            change = self._waiting.popleft()
            key = _key(change)
            new = _find(self._nodes.snapshot.keyspaces, key)
            old = self._before.pop(key, new)
            self._hub.publish(
                SchemaChanged(
                    change.change, change.target, change.keyspace, change.name, change.arg_types, old, new
                )
            )

    def _compare(self, keyspace: str, old: Keyspace | None, new: Keyspace | None) -> None:
        for target in ("TABLE", *_PLACES):
            was, now = _contents(old, target), _contents(new, target)
            for name in {**was, **now}:
                if was.get(name) is not now.get(name):
                    self._before.setdefault((target, keyspace, name), was.get(name))


def is_shown(keyspaces: Keyspaces, change: SchemaChange) -> bool:
    """Return whether keyspaces look as they should after a change: what was made is there, what was dropped is not."""
    found = _find(keyspaces, _key(change))
    return change.change == "UPDATED" or (found is None) == (change.change == "DROPPED")


def _key(change: SchemaChange) -> Key:
    name = change.name
    if change.target in ("FUNCTION", "AGGREGATE"):
        name = signature_of(name, change.arg_types)
    return change.target, change.keyspace, name


def _find(keyspaces: Keyspaces, key: Key) -> SchemaObject | None:
    target, keyspace, name = key
    found = keyspaces.get(keyspace)
    return found if target == "KEYSPACE" else _contents(found, target).get(name)


def _contents(keyspace: Keyspace | None, target: str) -> Mapping[str, Any]:
    """Return the objects of a keyspace that changes with this target are about."""
    if keyspace is None:
        return {}
    if target == "TABLE":
        return {**keyspace.views, **keyspace.tables} if keyspace.views else keyspace.tables
    place = _PLACES.get(target)
    contents: Mapping[str, Any] = {} if place is None else getattr(keyspace, place)
    return contents
