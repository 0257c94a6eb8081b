"""The schema out of the rows of system tables, read by the names of their columns.

What cannot be used leaves the object that was known before, and is told of as a `Fault`. What builds is a
generator that yields when it has worked for a while, as those of `triocql.metadata.building`:

    keyspaces = yield from build_keyspaces(rows, earlier)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triocql.codecs.values import FrozenMap
from triocql.metadata.building import finish
from triocql.metadata.replication import LocalStrategy, strategy_of
from triocql.metadata.schema.building import Builder
from triocql.metadata.schema.cells import Unreadable, flag, others, shown, text_map
from triocql.metadata.schema.columns import NOTHING
from triocql.metadata.schema.keyspace import Keyspace
from triocql.metadata.schema.shared import Shared
from triocql.metadata.schema.systemtables import BY_NAME, SCHEMA, VIRTUAL, Fault, grouped
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.metadata.building import Steps
    from triocql.metadata.schema.systemtables import Row, Rows

logger = get_logger(__name__)

_OF_KEYSPACES = frozenset(("keyspace_name", "replication", "durable_writes"))


def build_keyspaces(
    rows: Rows, earlier: Mapping[str, Keyspace], faults: list[Fault] | None = None
) -> Steps[dict[str, Keyspace]]:
    """Build all keyspaces, with all that is in them.

    Args:
        rows: all rows of all tables of `SYSTEM_TABLES` that the server has.
        earlier: what was known before. Objects that have not changed are the same ones.
        faults: filled with what could not be used.
    """
    faults = [] if faults is None else faults
    for name in rows:
        if name not in BY_NAME:
            logger.warning("the system table %s is not known; what it tells of the schema is left out", name)
    heads = read_heads(rows, faults)
    groups = yield from grouped(rows, faults)
    for name in groups.keyspaces - heads.keys():
        is_kept = name in earlier
        faults.append(Fault(name, "", "it has rows, and none among the keyspaces", is_kept))
        if is_kept:
            heads[name] = earlier[name]
    found: dict[str, Keyspace] = {}
    shared = Shared()
    for name, head in heads.items():
        found[name] = yield from Builder(head, earlier.get(name), shared, faults).build(groups.of(name))
        yield
    return found


def rebuild_keyspace(
    rows: Rows, name: str, earlier: Keyspace | None, faults: list[Fault] | None = None
) -> Steps[Keyspace | None]:
    """Build a keyspace again, or parts of it: what has no rows of its kind in `rows`, not even none, stays.

    So rows of ``system_schema.types`` alone are enough after a type has changed; tables that have it get the new one.

    Args:
        rows: those of the keyspace.
        name: its name.
        earlier: what was known of it before, None for nothing.
        faults: filled with what could not be used.

    Returns:
        the keyspace, None if there is none any more.
    """
    faults = [] if faults is None else faults
    head = earlier
    if f"{SCHEMA}.keyspaces" in rows or f"{VIRTUAL}.keyspaces" in rows:
        head = read_heads(rows, faults).get(name)
    if head is None:
        return None
    groups = yield from grouped(rows, faults)
    return (yield from Builder(head, earlier, Shared(), faults).build(groups.of(name)))


def rebuild_table(rows: Rows, name: str, earlier: Keyspace, faults: list[Fault] | None = None) -> Keyspace:
    """Build one table or view again; without rows, it is gone.

    Args:
        rows: those of the table or view.
        name: its name.
        earlier: its keyspace, as it was known before.
        faults: filled with what could not be used.
    """
    faults = [] if faults is None else faults
    groups = finish(grouped(rows, faults))
    return Builder(earlier, earlier, Shared(), faults).rebuild(groups.of(earlier.name), name)


def read_heads(rows: Rows, faults: list[Fault] | None = None) -> dict[str, Keyspace]:
    """Read what the keyspaces are by themselves, without their contents: not loaded.

    Args:
        rows: those of the tables of keyspaces; others are not looked at.
        faults: filled with what could not be used.
    """
    faults = [] if faults is None else faults
    found: dict[str, Keyspace] = {}
    more: dict[str, dict[str, Any]] = {}
    for row in rows.get(f"{SCHEMA}.scylla_keyspaces", ()):
        more.setdefault(_name(row, faults), {}).update(others(row, _OF_KEYSPACES))
    for row in rows.get(f"{SCHEMA}.keyspaces", ()):
        name = _name(row, faults)
        head = _head(row, name, more.get(name, {}), faults)
        if found.setdefault(name, head) != head:
            what = "there are two of it, which differ; the first is taken"
            faults.append(Fault(name, "", what, is_kept=False))
    for row in rows.get(f"{VIRTUAL}.keyspaces", ()):
        name = _name(row, faults)
        head = Keyspace(name, LocalStrategy(), options=others(row, _OF_KEYSPACES), is_virtual=True)
        found.setdefault(name, head)
    found.pop("", None)
    return found


def _name(row: Row, faults: list[Fault]) -> str:
    """Return the name of a keyspace; "" for what is none."""
    name = row.get("keyspace_name")
    if type(name) is str and name:
        return name
    faults.append(Fault("", "", f"its name is {shown(name)}", is_kept=False))
    return ""


def _head(row: Row, name: str, more: Mapping[str, Any], faults: list[Fault]) -> Keyspace:
    replication: FrozenMap[str, str]
    try:
        replication = text_map(row, "replication")
        durable = row.get("durable_writes") is None or flag(row, "durable_writes")
    except Unreadable as error:
        faults.append(Fault(name, "", str(error), is_kept=False))
        told = row.get("replication")
        items = told.items() if isinstance(told, Mapping) else ()
        replication = FrozenMap({key: each for key, each in items if type(key) is str and type(each) is str})
        durable = row.get("durable_writes") is not False
    options = {**others(row, _OF_KEYSPACES), **more}
    return Keyspace(
        name, strategy_of(replication), durable, replication, FrozenMap(options) if options else NOTHING
    )
