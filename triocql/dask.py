"""Tables as data frames of Dask: several processes, on several machines, read a table together.

Each partition of a data frame is a range of tokens, which is read when and where Dask wants it. Needs the extra `dask`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import triocql.sync
from triocql.codecs.columns import require
from triocql.errors import OptionError, UsageError
from triocql.results.columns import Batches, to_pandas

if TYPE_CHECKING:
    from triocql.bulk.selection import Selection
    from triocql.sync.scan import Scan

Connect: TypeAlias = str | Sequence[str] | Callable[[], triocql.sync.Session]
"""How a worker connects. It is sent to the workers as it is: write no passwords into it."""

__all__ = ["count", "read_table"]

_sessions: dict[Any, triocql.sync.PerProcess] = {}
"""The sessions of each process, by how it has connected."""


_FUNCTION = 'a function that connects, as the second argument, such as "module:function"'
_HINTS = {
    **dict.fromkeys(("auth", "codecs", "local_data_centre", "port", "ssl_context"), _FUNCTION),
    "npartitions": "tasks=",
}


@dataclass(frozen=True)
class _Table:
    """What is read: plain data, which goes to the workers with each partition."""

    connect: Any
    table: str
    where: str | None
    allow_filtering: bool
    options: tuple[tuple[str, Any], ...]

    def scan(self, columns: Iterable[str] | None, tasks: int | None = None) -> Scan:
        return _session_of(self.connect).scan(
            self.table,
            columns=None if columns is None else list(columns),
            where=self.where,
            allow_filtering=self.allow_filtering,
            tasks=tasks,
            **dict(self.options),
        )


def read_table(
    table: str,
    connect: Connect,
    *,
    columns: Iterable[str] | None = None,
    where: str | None = None,
    allow_filtering: bool = False,
    tasks: int | None = None,
    **options: Any,
) -> Any:
    """Return a table as a data frame of Dask. Its columns are those of Arrow, as in `Result.pandas`.

    The plan is made here, and nothing is read yet. A task is some hundred bytes; each worker process opens one session
    when it has the first one, and keeps it. Of a data frame of which few columns are used, only these are read. A
    partition of the table, in the sense of CQL, is never in two partitions of the data frame. Their order is that of
    the ring, and their divisions are unknown.

    Args:
        table: the table, ``"keyspace.table"``.
        connect: how workers connect: contact points; or a function of a module that they have, which takes nothing and
            returns a session of `triocql.sync`, by its name, ``"module:function"``, or as it is. Such a function finds
            passwords by itself, in the environment or a file, as tasks should have none.
        columns: the names of columns; None for all.
        where: a condition, as CQL; see `Session.scan`.
        allow_filtering: whether nodes may read rows that do not fit, and leave them out.
        tasks: in about how many partitions; by default, such that each has about 64 MiB.
        options: others of `Session.scan`: ``consistency``, ``timeout``, ``concurrency_per_node``.

    Raises MissingExtraError, OptionError for what does not fit the table, and what connecting raises.

    >>> frame = triocql.dask.read_table("shop.events", ["10.0.0.1"])                     # doctest: +SKIP
    >>> frame.groupby("day").amount.sum().compute()                                      # doctest: +SKIP
    """
    frames = require("dask.dataframe")
    require("pyarrow")
    require("pandas")
    if options.get("limit") is not None:
        raise OptionError(
            "limit= is not for data frames, whose partitions are read each for itself; see their head()"
        )
    read = _table_of(table, connect, where, allow_filtering, options)
    scan = read.scan(columns, tasks)
    names = list(scan.order.selection.columns)
    if not names:
        raise OptionError("columns= has no column; to count rows, use triocql.dask.count")
    parts = [(part.start, part.end) for part in scan.ranges()]
    meta = _empty(_session_of(read.connect), scan.order.selection)
    return frames.from_map(_read, parts, read=read, columns=names, meta=meta, enforce_metadata=False)


def count(
    table: str,
    connect: Connect,
    *,
    where: str | None = None,
    allow_filtering: bool = False,
    tasks: int | None = None,
    **options: Any,
) -> int:
    """Return how many rows a table has, counted by the nodes, for which the workers ask them. ``len`` of a data frame
    reads all columns instead. Arguments and errors are those of `read_table`.
    """
    dask = require("dask")
    read = _table_of(table, connect, where, allow_filtering, options)
    parts = [(part.start, part.end) for part in read.scan(None, tasks).ranges()]
    counting = dask.delayed(_count, pure=False)
    total: int = sum(dask.compute(*[counting(part, read=read) for part in parts]))
    limit = options.get("limit")
    return total if limit is None else min(total, limit)


def _read(part: tuple[int, int], *, read: _Table, columns: Sequence[str]) -> Any:
    return read.scan(columns).within(*part).pandas()


def _empty(session: triocql.sync.Session, selection: Selection) -> Any:
    """Return a data frame of no rows with the columns of a selection."""
    plan = session.prepare(selection.plain_text).prepared.state.plan
    assert plan is not None, "it gives rows"
    return to_pandas(Batches(plan, None, selection.hidden).table(()))


def _count(part: tuple[int, int], *, read: _Table) -> int:
    return read.scan(None).within(*part).count()


def _table_of(
    table: str, connect: Connect, where: str | None, allow_filtering: bool, options: dict[str, Any]
) -> _Table:
    for name in options:
        if name in _HINTS:
            raise OptionError(f"unknown option {name!r}; write {_HINTS[name]}")
    if isinstance(connect, triocql.sync.Session):
        raise UsageError(f"a session belongs to its process: give contact points, or {_FUNCTION}")
    if not callable(connect) and not isinstance(connect, str):
        connect = tuple(connect)
    return _Table(connect, table, where, allow_filtering, tuple(options.items()))


def _session_of(connect: Any) -> triocql.sync.Session:
    """Return the session of this process."""
    made = triocql.sync.per_process(partial(_connected, connect))
    return _sessions.setdefault(connect, made)()


def _connected(connect: Any) -> triocql.sync.Session:
    if isinstance(connect, tuple):
        return triocql.sync.connect(list(connect))
    if isinstance(connect, str) and ":" in connect and not connect.rpartition(":")[2].isdigit():
        module, _, name = connect.partition(":")
        connect = getattr(import_module(module), name)
    return connect() if callable(connect) else triocql.sync.connect(connect)
