"""What a session knows of tablets: learnt from answers, one by one, and forgotten when it may not be so any more."""

from __future__ import annotations

from functools import partial
from operator import is_not
from random import randbytes
from typing import TYPE_CHECKING, Final, cast

from triocql.metadata import Tablet, TableTablets
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.tablethints import BadHint, Hint, read_hint
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from triocql.metadata.building import Steps
    from triocql.metadata.node import Node
    from triocql.metadata.schema import Keyspace

logger = get_logger(__name__)

MOST: Final = 2**21
"""How much is kept, as `TableTablets.weight` counts: some 350,000 tablets of three replicas. It begins anew then."""

MOST_TABLES: Final = 10_000
"""Of how many tables it is kept: likewise."""

MOST_AWAITED: Final = 1024
"""How many tablets may have replicas on nodes that are not known yet."""

_AT_ONCE: Final = 256
"""How many tablets are learnt in a step: some milliseconds' work."""


class Awaited:
    """A tablet that has replicas on nodes that are not known yet: what was told of it, and what was made of that."""

    __slots__ = ("held", "hint", "tablet")

    def __init__(self, held: TableTablets, hint: Hint, tablet: Tablet | None) -> None:
        self.held = held
        self.hint = hint
        self.tablet = tablet

    @property
    def is_over(self) -> bool:
        """Whether something newer is known of its tokens, or nothing any more."""
        return self.held.find(self.hint.last) is not self.tablet


class Tablets:
    """The tablets of all tables, as far as nodes have told of them. It changes on the loop; any thread may read it.

    >>> Tablets().of("shop", "carts")
    ()

    Attributes:
        is_active: whether a node has said that it tells of tablets. If none has, nothing is looked up here.
        learnt: how many hints were taken.
        refused: how many hints could not be used.
        changes: how often something else was known than before.
    """

    def __init__(self) -> None:
        self.is_active = False
        self.learnt = self.refused = self.changes = 0
        # Both are for the engine. Called when a hint names a node that is not known: the cluster should be read anew.
        self.on_unknown: Callable[[], object] = _nothing
        # Called when what was looked up by `table` does not hold any more.
        self.on_change: Callable[[], object] = _nothing
        self._tables: dict[tuple[str, str], TableTablets] = {}
        self._weight = 0
        self._nodes: tuple[Node, ...] = ()
        self._by_id: dict[bytes, Node] = {}
        self._keyspaces: Mapping[str, Keyspace] = {}
        self._keyspaces_tell = False
        self._awaited: list[Awaited] = []
        self._sought: frozenset[bytes] = frozenset()

    # --- What is known -------------------------------------------------------------------------------------

    def of(self, keyspace: str, table: str) -> tuple[Tablet, ...]:
        """Return the tablets of a table, as far as they are known now, in the order of their tokens.

        Args:
            keyspace, table: the names, as they are in system tables: without quotes.
        """
        held = self._tables.get((keyspace, table))
        return () if held is None else held.tablets

    def find(self, keyspace: str, table: str, token: int) -> Tablet | None:
        """Return the tablet of a table that has a token; None if it is not known."""
        held = self._tables.get((keyspace, table))
        return None if held is None else held.find(token)

    def block(self, keyspace: str | None, table: str, routing_key: bytes) -> bytes:
        """Return the byte by which an EXECUTE tells which version of a tablet is known, four bits of it at a time.

        A node whose version has others tells of the tablet. Of one without a version any byte is said: it is most
        likely to be wrong.
        """
        tablet = None if keyspace is None else self.find(keyspace, table, MURMUR3.token(routing_key))
        if tablet is None or tablet.version is None:
            return randbytes(1)  # noqa: S311 - no secret
        return bytes((tablet.next_block(),))

    def has(self, keyspace: str, table: str) -> bool:
        """Return whether any tablet of a table is known."""
        held = self._tables.get((keyspace, table))
        return held is not None and len(held) > 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Go through the keyspaces and the names of the tables of which something is known."""
        return iter([key for key, held in self._tables.copy().items() if len(held)])

    def __len__(self) -> int:
        """Return how many tablets are known."""
        return sum(len(held) for held in self._tables.copy().values())

    def __repr__(self) -> str:
        return f"<Tablets: {len(self)} of {len(list(self))} tables>"

    def __getstate__(self) -> dict[str, object]:
        """A copy knows what is known now, and tells nobody: who is to be told belongs to the session."""
        return {
            **vars(self),
            "_tables": self._tables.copy(),
            "_awaited": [],
            "on_unknown": _nothing,
            "on_change": _nothing,
        }

    def table(self, keyspace: str, table: str) -> TableTablets:
        """Return what always has the newest that is known of a table, until `on_change` is called."""
        key = keyspace, table
        held = self._tables.get(key)
        if held is None:
            if len(self._tables) >= MOST_TABLES:
                self._begin_anew()
            held = self._tables[key] = TableTablets(keyspace, table)
        return held

    # --- What nodes tell -----------------------------------------------------------------------------------

    def activate(self) -> None:
        """A node tells of tablets from now on."""
        if not self.is_active:
            self.is_active = True
            self.on_change()

    def take(self, keyspace: str, table: str, value: bytes | None, *, versioned: bool) -> None:
        """Learn what a hint tells. One that cannot be used is counted: it is nothing to its request.

        Args:
            keyspace, table: of the statement that it came with the answer of.
            value: its bytes.
            versioned: whether it is one that has a version.
        """
        if self._has_none(keyspace):
            self._refuse(keyspace, table, "its keyspace has none")
            return
        try:
            hint = read_hint(value, versioned=versioned)
        except BadHint as bad:
            self._refuse(keyspace, table, bad)
            return
        self.learnt += 1
        held = self.table(keyspace, table)
        tablet, unknown = self._tablet(hint)
        if unknown and not self._awaits(held, hint, tablet, unknown):
            return
        if tablet is not None:
            self._add(held, tablet)
        if unknown:
            self.on_unknown()

    def learn(self, keyspace: str, table: str, hints: Sequence[Hint]) -> Steps[None]:
        """Learn all tablets of a table, as a node has told them at once. What is known of one in the same place stays,
        as it may have a version; replicas on nodes that are not known are left out."""
        for number, hint in enumerate(hints, 1):
            held = self.table(keyspace, table)
            tablet, _ = self._tablet(hint)
            if tablet is not None:
                known = held.find(tablet.last)
                if known is None or not known.is_where(tablet):
                    self._add(held, tablet)
            if number % _AT_ONCE == 0:
                yield

    def _refuse(self, keyspace: str, table: str, reason: object) -> None:
        self.refused += 1
        logger.debug("a hint about a tablet of %s.%s cannot be used: %s", keyspace, table, reason)

    def _has_none(self, keyspace: str) -> bool:
        """Return whether a keyspace has no tablets, as it says itself: where a hint is about one of that name that was
        there before, no other one would ever put it right."""
        known = self._keyspaces.get(keyspace)
        return self._keyspaces_tell and known is not None and not known.has_tablets

    def _awaits(
        self, held: TableTablets, hint: Hint, tablet: Tablet | None, unknown: Sequence[bytes]
    ) -> bool:
        """Have a tablet wait for nodes that are not known; return False if one of them was sought in vain, or too many
        wait, or were sought."""
        most = max(len(self._awaited), len(self._sought))
        if most >= MOST_AWAITED or not self._sought.isdisjoint(unknown):
            return False
        self._awaited.append(Awaited(held, hint, tablet))
        return True

    def _tablet(self, hint: Hint) -> tuple[Tablet | None, Sequence[bytes]]:
        """Return the tablet, on those of the nodes that are known, and the host_ids of the others."""
        ids, shards = hint.host_ids, hint.shards
        found = tuple(map(self._by_id.get, ids))
        if None not in found:
            return Tablet(hint.first, hint.last, cast("tuple[Node, ...]", found), shards, hint.version), ()
        unknown = [host_id for host_id, node in zip(ids, found, strict=True) if node is None]
        known = [(node, shard) for node, shard in zip(found, shards, strict=True) if node is not None]
        if not known:
            return None, unknown
        here, of_these = zip(*known, strict=True)
        return Tablet(hint.first, hint.last, here, of_these), unknown

    def _add(self, held: TableTablets, tablet: Tablet) -> None:
        weight, is_first = held.weight, not len(held)
        if not held.put(tablet):
            return
        self.changes += 1
        self._weight += held.weight - weight
        if self._weight > MOST:
            self._begin_anew()
        elif is_first:  # nobody may have known that it has any
            self.on_change()

    def _keep(self, held: TableTablets, is_kept: Callable[[Tablet], bool]) -> None:
        self.changes += 1
        self._weight -= held.weight
        held.keep(is_kept)
        self._weight += held.weight

    # --- What makes it wrong -------------------------------------------------------------------------------

    def follow(self, nodes: tuple[Node, ...], keyspaces: Mapping[str, Keyspace]) -> None:
        """There is another snapshot, with these: forget the tablets of nodes and tables that are not there any more, or
        are others than before.
        """
        if nodes is not self._nodes:
            self.changes += 1
            gone = frozenset(self._nodes).difference(nodes)
            if gone or len(nodes) != len(self._nodes):
                self._sought = frozenset()
            self._nodes = nodes
            self._by_id = {node.host_id.bytes: node for node in nodes if node.host_id is not None}
            if gone:
                for held in self._tables.values():
                    self._keep(held, lambda tablet: gone.isdisjoint(tablet.replicas))
        if keyspaces is not self._keyspaces:
            self.changes += 1
            before, self._keyspaces = self._keyspaces, keyspaces
            self._keyspaces_tell |= any(keyspace.has_tablets for keyspace in keyspaces.values())
            others: list[TableTablets] = []
            for key, held in tuple(self._tables.items()):
                name, table = key
                after = keyspaces.get(name)
                if self._has_none(name) or _differ(before.get(name), after, table):
                    others.append(held)
                    if not _may_be_there(
                        after, table
                    ):  # whoever has looked it up looks it up anew, as all follow
                        del self._tables[key]
            self._forget(others)

    def nodes_read(self) -> None:
        """The nodes were read anew: what had replicas on some that were not known has them, or is forgotten."""
        awaited, self._awaited = self._awaited, []
        sought: set[bytes] = set()
        for each in awaited:
            if each.is_over:
                continue
            tablet, unknown = self._tablet(each.hint)
            sought.update(unknown)
            if tablet is not None and not unknown:
                self._add(each.held, tablet)
            elif (former := each.tablet) is not None:
                self._keep(each.held, partial(is_not, former))
        if awaited:
            self._sought |= sought

    def forget(self, keyspace: str, table: str | None = None) -> None:
        """Forget the tablets of a table, or of all tables of a keyspace."""
        self._forget(
            [held for (name, of), held in self._tables.items() if name == keyspace and table in (None, of)]
        )

    def forget_unwatched(self) -> None:
        """Changes may not have been told of: forget what is not compared with what is read anew, as nothing is known of
        what is in its keyspace."""
        for name in {name for name, _ in self._tables}:
            known = self._keyspaces.get(name)
            if known is None or not known.is_loaded:
                self.forget(name)

    def _forget(self, tables: Sequence[TableTablets]) -> None:
        """Forget all tablets of some tables, those that wait for nodes among them."""
        for held in tables:
            self._keep(held, _none)
        if self._awaited:
            others = frozenset(tables)
            self._awaited = [each for each in self._awaited if each.held not in others]

    def _begin_anew(self) -> None:
        """Forget all: there is too much of it."""
        logger.warning("more tablets were told of than are kept: they are learnt anew")
        self._tables.clear()
        self._awaited.clear()
        self._weight = 0
        self.on_change()


def _differ(before: Keyspace | None, after: Keyspace | None, table: str) -> bool:
    """Return whether a table may be another one than before, or elsewhere."""
    if before is None or before is after:
        return False
    if after is None or before.placing != after.placing:
        return True
    was = before.tables.get(table) or before.views.get(table)
    return was is not None and was is not (after.tables.get(table) or after.views.get(table))


def _may_be_there(keyspace: Keyspace | None, table: str) -> bool:
    """Return whether a keyspace has a table, as far as is known."""
    if keyspace is None or not keyspace.is_loaded:
        return keyspace is not None
    return table in keyspace.tables or table in keyspace.views


def _none(tablet: Tablet) -> bool:
    return False


def _nothing() -> None:
    """Do nothing."""
