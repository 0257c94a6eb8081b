"""Keeps what is in the keyspaces: tables, views, types, functions. Read after connecting, and when changes are told."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from triocql.cluster.changes import is_shown
from triocql.cluster.doubt import Doubt
from triocql.cluster.faults import Faults
from triocql.cluster.pace import STORM, Pace
from triocql.cluster.tables import NoSuchTable
from triocql.cluster.waiting import Due, nothing, sliced, until
from triocql.errors import Error, RequestTimeout, SessionClosed
from triocql.metadata.schema import build_keyspaces, rebuild_keyspace, rebuild_table
from triocql.metadata.schema.following import with_contents
from triocql.metadata.schema.scope import Scope
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from typing import Any

    from triocql.abc import Reactor, Waiter
    from triocql.cluster.changes import SchemaChanges
    from triocql.cluster.nodes import Nodes
    from triocql.cluster.refresh import Refresh
    from triocql.metadata.building import Steps
    from triocql.metadata.schema import Fault, Keyspace, SystemTable
    from triocql.protocol.responses import SchemaChange

    Keyspaces: TypeAlias = Mapping[str, Keyspace]
    Rows: TypeAlias = dict[str, Sequence[Mapping[str, Any]]]
    ReadAll: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[list[dict[str, Any]] | NoSuchTable]]]

logger = get_logger(__name__)

_VIRTUAL = "system_virtual_schema"
_TABLES = "system_schema.tables"
# How often a change of the session's own is looked for, with twice the pause each time.
_LOOKS = 5
# Seconds after which a change of the session's own is looked for again.
_LOOK_AGAIN = 0.05
# Failures in a row by a node that does not answer, after which another node is asked.
_PATIENCE = 2
_MOST_NOTED = 1000
# So many keyspaces are read by their names; Scylla takes 100.
_MOST_NAMES = 64


class Asked(NamedTuple):
    """What somebody waits for: the outcome is why it could not be read, None if it was."""

    scope: Scope
    waiter: Waiter[Error | None]


class Loader:
    """One task, which reads what has changed, as much as changes name. What is known stays until there is something
    newer.

    Args:
        nodes: whose snapshot is kept.
        refresh: keeps what keyspaces are by themselves.
        read_all: reads tables on the control connection. Raises errors of the driver.
        changes: tells of changes once they have been read.
        wanted: the names of the keyspaces to be read, None for all.
        timeout: seconds that keyspaces get to be read.
        give_up: called when the node does not answer: another one may.
    """

    def __init__(
        self,
        reactor: Reactor,
        nodes: Nodes,
        refresh: Refresh,
        read_all: ReadAll,
        changes: SchemaChanges,
        wanted: Collection[str] | None,
        timeout: float,
        give_up: Callable[[Error], None],
    ) -> None:
        self._reactor = reactor
        self._nodes = nodes
        self._refresh = refresh
        self._read_all = read_all
        self._changes = changes
        self._wanted: set[str] | None = None if wanted is None else set(wanted)
        self._timeout = timeout
        self._give_up = give_up
        self._told = Scope()
        self._asked: list[Asked] = []
        self._due = Due(reactor)
        self._pace = Pace()
        self._absent: set[str] = set()
        self._reads_virtual = True
        self._doubt = Doubt("table")
        self._noted: dict[object, float] = {}
        self._faults = Faults(grace=2)
        self._turning = False
        self._heads_read_at = -inf
        self._first: Waiter[None] | None = None
        self._is_first_over = False
        self._closed = False
        self._cancel: Callable[[], None] | None = None

    # --- From opening to closing ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the task, and have it read all that is wanted, of the keyspaces that are known already."""
        self._is_first_over = self._wanted == set()
        if not self._is_first_over:
            self.moved()
            self._heads_read_at = self._refresh.read_at
        self._cancel = self._reactor.spawn(self.run)

    async def loaded(self, deadline: float) -> None:
        """Wait until it has read for the first time, or failed to, or `deadline` is there, as `Reactor.now` counts."""
        if self._is_first_over:
            return
        self._first = waiter = self._reactor.waiter(nothing)
        try:
            await until(self._reactor, waiter, deadline, None)
        finally:
            self._first = None
        if not self._is_first_over:
            logger.warning(
                "the session is open before all tables of the cluster were read within the connect timeout; that goes "
                "on, and session.metadata follows"
            )

    def close(self) -> None:
        """End the task; whoever waits need not. Synchronous and idempotent."""
        self._closed = True
        if self._cancel is not None:
            self._cancel()
        for asked in self._asked:
            asked.waiter.resolve(SessionClosed("the session is closed"))

    # --- What has changed ----------------------------------------------------------------------------------

    def told(self, changes: Mapping[SchemaChange, float], count: int, *, incomplete: bool) -> None:
        """So many events tell of changes, with the times when they came; if they are `incomplete`, of others, too."""
        self._changes.come(changes)
        scope = Scope(everything=incomplete)
        for change, came in changes.items():
            self._faults.changed(change)
            if self._is_wanted(change) and not self._is_read_since(change, came):
                scope.add(change)
        if scope:
            self._told.update(scope)
            self._schedule(is_storm=incomplete or count >= STORM)
        elif not self._told and not self._turning:
            self._changes.tell(len(self._changes))

    def noticed(self, change: SchemaChange) -> None:
        """A statement of the session's has changed the schema, and nobody waits for it."""
        if self._is_wanted(change):
            self._told.add(change)
            self._schedule()

    def moved(self) -> None:
        """The control connection is another one: events may have been lost, so read."""
        self._heads_read_at = -inf
        self._absent.clear()
        self._reads_virtual = True
        self._told.update(Scope(everything=True))
        self._due.by(self._reactor.now())

    def keyspaces_changed(self) -> None:
        """There may be keyspaces of which nothing was read."""
        if self._turning or not self._is_first_over:
            return
        for name, keyspace in self._nodes.snapshot.keyspaces.items():
            if not keyspace.is_loaded and self._takes(name):
                self._told.add_keyspace(name)
                self._schedule()

    def _schedule(self, *, is_storm: bool = False) -> None:
        now = self._reactor.now()
        if is_storm:
            self._due.when = self._pace.calm(now)
            self._due.wake()
        else:
            self._due.by(self._pace.next(now))

    # --- What somebody waits for ---------------------------------------------------------------------------

    def want(self, keyspace: str | None) -> None:
        """Have a keyspace read from now on, or all of them."""
        if keyspace is None:
            self._wanted = None
        elif self._wanted is not None:
            self._wanted.add(keyspace)

    @property
    def wants_some(self) -> bool:
        """Whether there is anything that it reads."""
        return self._wanted != set()

    async def read(self, scope: Scope, seconds: float = inf) -> Error | None:
        """Wait for a reading of `scope` that begins from now on, so long at most; return why it was not possible."""
        waiter: Waiter[Error | None] = self._reactor.waiter(nothing)
        asked = Asked(scope, waiter)
        self._asked.append(asked)
        try:
            if self._closed:
                self.close()
            self._due.wake()
            return await until(self._reactor, waiter, self._reactor.now() + seconds, None)
        finally:
            self._asked = [each for each in self._asked if each is not asked]

    async def read_own(self, change: SchemaChange, seconds: float) -> None:
        """Wait until the snapshot has a change that a statement of the session's has made, so long at most."""
        if not self._is_wanted(change):
            return
        scope, end, pause = Scope(), self._reactor.now() + seconds, _LOOK_AGAIN
        scope.add(change)
        for _ in range(_LOOKS):
            left = end - self._reactor.now()
            if left <= 0 or await self.read(scope, left) is not None:
                break
            if is_shown(self._nodes.snapshot.keyspaces, change):
                return
            # The node that is asked does not have it yet, or somebody else has undone it.
            await self._reactor.sleep(min(pause, max(0.0, end - self._reactor.now())))
            pause *= 2
        self.noticed(change)

    async def read_told(self, seconds: float) -> None:
        """Wait until what is known to have changed was read."""
        if self._told or self._turning:
            self._due.by(self._reactor.now())
            await self.read(Scope(), seconds)

    # --- The task ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read what is due, until the session ends."""
        while not self._closed:
            if self._asked or self._due.has_come:
                await self._turn()
            else:
                await self._due.pause()

    async def _turn(self) -> None:
        """Read what is due by now, and what somebody waits for."""
        asked, told, count = tuple(self._asked), Scope(), 0
        if self._due.has_come:
            told, self._told, count = self._told, told, len(self._changes)
            self._due.when = inf
            self._pace.read(self._reactor.now())
        scope = told.of(lambda _: True)
        for each in asked:
            scope.update(each.scope)
        error: Error | None = None
        self._turning, is_over = True, False
        try:
            await self._load(scope.with_views(self._nodes.snapshot.keyspaces))
            is_over = True
        except Error as failure:
            error, is_over = failure, True
        finally:
            self._turning = False
            if not is_over:  # the program has cancelled it: it is run again
                self._told.update(told)
                self._due.by(self._reactor.now())
        if error is not None:
            self._failed(scope, error)
        self._end(asked, error, count)

    def _end(self, asked: Sequence[Asked], error: Error | None, count: int) -> None:
        """Tell everybody who waits that a turn is over."""
        for each in asked:
            each.waiter.resolve(error)
            self._asked = [one for one in self._asked if one is not each]
        if error is None:
            self._pace.succeeded()
            self._changes.tell(count if self._told else len(self._changes))
            self.keyspaces_changed()
        self._is_first_over = True
        if self._first is not None:
            self._first.resolve(None)

    def _failed(self, scope: Scope, error: Error) -> None:
        """Try again later; by another node if this one does not answer."""
        pause = self._pace.failed()
        self._told.update(scope)
        self._due.by(self._reactor.now() + pause)
        if self._closed:
            return
        logger.warning("the schema cannot be read, trying again in %.1f s: %s", pause, error)
        if isinstance(error, RequestTimeout) and self._pace.failures >= _PATIENCE:
            self._give_up(error)

    # --- Reading -------------------------------------------------------------------------------------------

    async def _load(self, scope: Scope) -> None:
        """Read a scope, and have the snapshot follow. Raises errors of the driver."""
        began = self._reactor.now()
        known = self._nodes.snapshot.keyspaces
        if self._heads_read_at > -inf:
            began, self._heads_read_at = self._heads_read_at, -inf
        elif scope.everything or scope.keyspaces or not scope.names <= known.keys():
            await self._refresh.refreshed(self._timeout)
        faults: list[Fault] = []
        read = self._of_wanted(scope)
        for part in read.parts():
            await self._load_part(part, faults)
        self._note(scope, began)
        self._look_again(self._faults.take(faults, read))

    async def _load_part(self, part: Scope, faults: list[Fault]) -> None:
        rows = await self._rows(part)
        known = self._nodes.snapshot.keyspaces
        if part.everything or part.keyspaces:
            if part.everything:
                had_some = any(each.tables for each in known.values() if not each.is_virtual)
                self._doubt.check(tells=bool(rows.get(_TABLES)), had=had_some)
            earlier = (
                known if part.everything else {name: known[name] for name in part.keyspaces if name in known}
            )
            built: Keyspaces = await sliced(self._reactor, build_keyspaces(rows, earlier, faults))
            built = {name: each for name, each in built.items() if self._takes(name)}
        else:
            built = await sliced(self._reactor, _rebuild(part, rows, known, faults))
        virtual = None
        if f"{_VIRTUAL}.keyspaces" in rows:
            virtual, self._reads_virtual = built, False
        self._apply(built, virtual)

    async def _rows(self, part: Scope) -> Rows:
        """Read the system tables, those left out that the node does not have."""
        queries = [(table, text) for table, text in part.queries() if self._is_read(table)]
        found = await self._read_all([text for _, text in queries])
        rows: Rows = {}
        for (table, _), answer in zip(queries, found, strict=True):
            if not isinstance(answer, NoSuchTable):
                rows[table.full_name] = answer
            elif table.is_optional:
                self._absent.add(table.full_name)
            else:
                raise answer
        return rows

    def _is_read(self, table: SystemTable) -> bool:
        return table.full_name not in self._absent and (self._reads_virtual or table.keyspace != _VIRTUAL)

    def _apply(self, built: Keyspaces, virtual: Keyspaces | None) -> None:
        snapshot = self._nodes.snapshot
        before = snapshot.keyspaces
        after = with_contents(before, built, virtual)
        if after is before or self._closed:
            return
        self._nodes.apply(replace(snapshot, keyspaces=after))
        self._changes.replaced(before, after)

    def _look_again(self, faults: Sequence[Fault]) -> None:
        """Have what was half there read once more: its other half may be on its way."""
        faults = [fault for fault in faults if fault.keyspace in self._nodes.snapshot.keyspaces]
        for fault in faults:
            if fault.name:  # of whatever it is
                self._told.add_table(fault.keyspace, fault.name)
                self._told.update(Scope(types={fault.keyspace}, functions={fault.keyspace}))
            else:
                self._told.add_keyspace(fault.keyspace)
        if faults:
            self._due.by(self._reactor.now() + 2.0 ** (self._faults.looks(faults) - 1))

    # --- What is wanted ------------------------------------------------------------------------------------

    def _takes(self, keyspace: str) -> bool:
        """Return whether a keyspace is read."""
        return self._wanted is None or keyspace in self._wanted

    def _is_wanted(self, change: SchemaChange) -> bool:
        return change.target == "KEYSPACE" or self._takes(change.keyspace)

    def _of_wanted(self, scope: Scope) -> Scope:
        """Return what is read of a scope: keyspaces as a whole if nothing is known of what is in them."""
        known = self._nodes.snapshot.keyspaces
        if scope.everything:
            names = {name for name in known if self._takes(name)}
            return scope if self._wanted is None or len(names) > _MOST_NAMES else Scope(keyspaces=names)
        found = scope.of(lambda name: name in known and self._takes(name))
        for name in found.names:
            if not known[name].is_loaded:
                found.add_keyspace(name)
        return found

    def _note(self, scope: Scope, began: float) -> None:
        """Remember what was read when: events that came before tell nothing new."""
        if len(self._noted) > _MOST_NOTED:
            self._noted.clear()
        keys: list[object] = [("", name) for name in scope.keyspaces]
        keys += [(name, table) for name, tables in scope.tables.items() for table in tables]
        keys += [("TYPE", name, "") for name in scope.types]
        keys += [("FUNCTION", name, "") for name in scope.functions]
        if scope.everything:
            keys.append(None)
        self._noted.update(dict.fromkeys(keys, began))

    def _is_read_since(self, change: SchemaChange, came: float) -> bool:
        own: object = (change.keyspace, change.name)
        if change.target in ("TYPE", "FUNCTION", "AGGREGATE"):
            own = ("TYPE" if change.target == "TYPE" else "FUNCTION", change.keyspace, "")
        return any(self._noted.get(key, -inf) > came for key in (None, ("", change.keyspace), own))


def _rebuild(part: Scope, rows: Rows, known: Keyspaces, faults: list[Fault]) -> Steps[Keyspaces]:
    """Build the tables, types and functions of a scope again."""
    found: dict[str, Keyspace] = {}
    kinds = {name: each for name, each in rows.items() if name.rpartition(".")[2] in _KINDS}
    for name in sorted(part.types | part.functions):
        if name in known:
            built = yield from rebuild_keyspace(kinds, name, known[name], faults)
            found[name] = known[name] if built is None else built
    of_tables = {name: each for name, each in rows.items() if name not in kinds}
    for name, tables in part.tables.items():
        if name in known:
            keyspace = found.get(name, known[name])
            for table in sorted(tables):
                keyspace = rebuild_table(of_tables, table, keyspace, faults)
                yield
            found[name] = keyspace
    return found


_KINDS = frozenset(("types", "functions", "aggregates", "scylla_aggregates"))
