"""Whole tables, read piece by piece: what the scans of both kinds of sessions stand on."""

from __future__ import annotations

from dataclasses import fields, replace
from inspect import signature
from math import inf
from os import PathLike
from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql._hints import SCAN_OPTIONS, check_options
from triocql.bulk.batch import RowBatch
from triocql.bulk.checkpoint import Checkpoint
from triocql.bulk.coordinators import at_once
from triocql.bulk.counts import count_of
from triocql.bulk.estimates import MOST_TASKS, size_of, tasks_for
from triocql.bulk.estimating import SECONDS, Estimating
from triocql.bulk.intervals import Intervals, TokenRange, space_of
from triocql.bulk.keys import Keys
from triocql.bulk.naming import find_relation
from triocql.bulk.order import ScanOrder
from triocql.bulk.pieces import Discarded, Piece
from triocql.bulk.planner import Task, asked, divided, placed, plan
from triocql.bulk.progress import Tally
from triocql.bulk.scanning import Scanning
from triocql.bulk.selection import select
from triocql.bulk.terms import Terms
from triocql.cluster.waiting import nothing, sliced, until
from triocql.config.checks import require, require_integer, require_type
from triocql.config.requests import INHERIT, RequestOptions
from triocql.errors import OptionError, SchemaChanged, UsageError
from triocql.metadata.node import Distance
from triocql.metadata.partitioners import MURMUR3
from triocql.observability.logs import get_logger
from triocql.protocol.constants import MAX_INT
from triocql.results.columns import no_page
from triocql.statements.prepared import bind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triocql.abc import Waiter
    from triocql.bulk.intervals import TokenSpace
    from triocql.codecs.rows import RowPlan
    from triocql.config.requests import RequestKeywords
    from triocql.errors import FailedRange
    from triocql.metadata.node import Node
    from triocql.session.blocks import Block
    from triocql.session.context import SessionContext


logger = get_logger(__name__)


def scan_order(
    context: SessionContext,
    table: str,
    *,
    columns: Iterable[str] | None,
    where: str | None,
    parameters: Sequence[Any] | None,
    allow_filtering: bool,
    writetime: Iterable[str],
    ttl: Iterable[str],
    limit: int | None,
    ordered: bool,
    concurrency_per_node: int | None,
    max_bytes: int,
    tasks: int | None,
    resume: Checkpoint | str | PathLike[str] | None,
    on_error: str,
    options: RequestKeywords,
) -> ScanOrder:
    """Return what `Session.scan` is to do. Raises OptionError and UsageError; nothing was sent."""
    if concurrency_per_node is not None:
        require_integer(concurrency_per_node, "concurrency_per_node", 1, MAX_INT)
    require_integer(max_bytes, "max_bytes", 1, 2**63 - 1)
    if tasks is not None:
        require_integer(tasks, "tasks", 1, MOST_TASKS)
    require(on_error in ("continue", "raise"), "on_error", on_error, "'continue' or 'raise'")
    for name in _OF_ONE_REQUEST:
        if options.get(name) is not None:
            raise OptionError(f"{name}= is for a single request, and means nothing to a scan")
    check_options([name for name in options if name not in _OF_ONE_REQUEST], _OPTIONS, SCAN_OPTIONS)
    snapshot = context.cluster.nodes.snapshot
    keyspace = options.get("keyspace") or context.executor.keyspaces.current
    relation = find_relation(snapshot.keyspaces, table, keyspace)
    selection = select(
        relation,
        columns,
        where=where,
        parameters=parameters,
        allow_filtering=allow_filtering,
        writetime=writetime,
        ttl=ttl,
        limit=limit,
        releases=[node.release for node in snapshot.nodes if node.release is not None],
    )
    call = context.call_options(options)
    consistency = context.executor.settings.get(INHERIT, call).options.consistency.name
    return ScanOrder(
        selection=selection,
        call=call,
        page_size=call.page_size,
        concurrency_per_node=concurrency_per_node,
        max_bytes=max_bytes,
        tasks=tasks,
        ordered=ordered,
        raises=on_error == "raise",
        before=_resumed(Checkpoint.of(selection, consistency), resume),
    )


_OF_ONE_REQUEST = ("node", "paging_state", "idempotent", "lwt", "timestamp")
_OWN = (name for name, each in signature(scan_order).parameters.items() if each.kind is each.KEYWORD_ONLY)
_OPTIONS = frozenset((*_OWN, *(each.name for each in fields(RequestOptions)))) - {"options", *_OF_ONE_REQUEST}
"""The keywords of `Session.scan`."""


def _resumed(scan: Checkpoint, resume: Checkpoint | str | PathLike[str] | None) -> Checkpoint:
    """Return where a scan begins: at `resume`, a checkpoint or the file of one. Raises CheckpointError."""
    if resume is None:
        return scan
    if not isinstance(resume, Checkpoint):
        require_type(resume, (str, PathLike), "resume", "a Checkpoint, or the path of one")
        resume = Checkpoint.load(resume)
    resume.check(scan)
    return replace(resume, consistency=scan.consistency)


class ScanReader:
    """Reads one table, or counts its rows.

    Args:
        context: starts the requests.
        order: what is wanted.
        block: the block that it has to be read in.

    Attributes:
        order: what is wanted.
        tally: counts what was given, and what is done.
    """

    __slots__ = (
        "_acknowledging",
        "_block",
        "_context",
        "_ended",
        "_plan_of_rows",
        "_scanning",
        "_space",
        "order",
        "tally",
    )

    def __init__(self, context: SessionContext, order: ScanOrder, block: Block) -> None:
        self._context = context
        self.order = order
        self._block = block
        self._scanning: Scanning | None = None
        self._plan_of_rows: RowPlan = no_page().plan
        self._acknowledging: Task | None = None
        self._ended: dict[TokenRange, Piece] = {}
        self._space = self._divided()
        self.tally = Tally(self._space, order.before, context.reactor.now)

    # --- The block -----------------------------------------------------------------------------------------

    async def open(self, *, counts: bool = False) -> None:
        """Make the plan, and ask for the first pages. Raises what preparing a statement can raise."""
        order = self.order
        selection = order.selection
        ring = self._context.cluster.nodes.snapshot.ring
        self._space = self._divided()
        has_ranges = self._space is not None
        is_pinned = not has_ranges and ring is not None and space_of(ring.partitioner) is not None
        if not (has_ranges or is_pinned):
            logger.warning(
                "%s is read page after page: its partitioner has no ranges", selection.table.cql_name
            )
        self.tally = Tally(self._space, order.before, self._context.reactor.now)
        if counts:
            text = selection.count_text if has_ranges else selection.plain_count_text
        else:
            text = selection.range_text if has_ranges else selection.plain_text
        statement = await self._context.prepare(text, None, order.call.timeout)
        self._plan_of_rows = statement.prepared.state.plan or self._plan_of_rows
        tasks = await self.tasks()
        keys = None if ring is None or not has_ranges else Keys(ring.partitioner, selection.key)
        has_tablets = has_ranges and self._has_tablets
        whole = _ALL.range if has_ranges else None
        values = selection.count_values(whole) if counts else selection.values(whole)
        bind(statement, values)  # or else, raise now
        terms = Terms(
            order=order,
            statement=statement,
            counts=counts,
            keys=keys,
            has_tablets=has_tablets,
            is_pinned=is_pinned,
        )
        self._scanning = scanning = Scanning(self._context.executor, terms, tasks, self._replicas)
        self._context.protected(scanning.start)

    @property
    def hidden(self) -> int:
        """How many columns at the end of the rows nobody has asked for."""
        return self.order.selection.hidden

    @property
    def plan(self) -> RowPlan:
        """What reads the rows, hidden columns included; there once it was opened."""
        return self._plan_of_rows

    def close(self) -> None:
        """Abandon what is under way."""
        if self._scanning is not None:
            self.tally.end()
            self._scanning.close()

    @property
    def failed_ranges(self) -> list[FailedRange]:
        """The ranges that could not be read, up to now."""
        return [] if self._scanning is None else list(self._scanning.failed)

    # --- Reading -------------------------------------------------------------------------------------------

    async def next(self) -> RowBatch | None:
        """Return the next batch, None after the last one; what was given before is done then. A checkpoint, always.

        Raises UsageError outside the block, what the requests raise, and ScanIncomplete at the end.
        """
        self._acknowledge()
        while (piece := await self.next_piece()) is not None:
            if isinstance(piece, Discarded):
                continue
            if piece.ended:
                self._acknowledging = piece.task
            if piece.page is not None:
                return RowBatch(piece.page, self.hidden, piece.task.range, piece.node)
            self._acknowledge()
        return None

    async def next_piece(self) -> Piece | Discarded | None:
        """Return the next piece, None after the last one. Raises as `next` does."""
        scanning = self._open_scanning()
        while not scanning.is_over:
            await self._wait(scanning)
            scanning = self._open_scanning()
            piece = self._context.protected(scanning.take)
            if piece is not None:
                self._check_table()
                self._tell(piece)
                return piece
        await self._context.cluster.schema.read_told(SECONDS)
        self._check_table()
        scanning.check_complete()
        if self._space is None:
            self.tally.finish()
        return None

    async def count(self) -> int:
        """Return the sum of what nodes have counted, or the limit if that is less: then, nothing more is asked for."""
        limit = self.order.selection.limit
        wanted = inf if limit is None else max(limit - self.order.before.rows, 0)
        total = 0
        while total < wanted and (piece := await self.next_piece()) is not None:
            if isinstance(piece, Piece):
                if piece.page is not None:
                    total += count_of(piece.page)
                if piece.ended:
                    self.acknowledge(piece.task)
        return int(min(total, wanted))

    def acknowledge(self, task: Task) -> None:
        """Take the range of a task for done. Raises UsageError if it has not ended, or was taken for it before."""
        piece = self._ended.pop(task.range, None)
        if piece is None:
            raise UsageError(
                f"the task {tuple(task.range)} was acknowledged before, or has not come to its end"
            )
        if self._space is not None:
            self.tally.complete(task.range, piece.rows, piece.size)

    def _tell(self, piece: Piece | Discarded) -> None:
        """Count what is given."""
        if isinstance(piece, Discarded):
            self.tally.give(-piece.rows, -piece.size)
            return
        if piece.page is not None:
            self.tally.give(piece.page.row_count, len(piece.page.body))
        if piece.ended:
            self._ended[piece.task.range] = piece._replace(page=None)

    def _acknowledge(self) -> None:
        task, self._acknowledging = self._acknowledging, None
        if task is not None:
            self.acknowledge(task)

    def _check_table(self) -> None:
        """Raise SchemaChanged where there is another table of the name than at the beginning: one that was dropped, and
        made again, has the same statements. That it is not there at all, nodes say by themselves.
        """
        table = self.order.selection.table
        keyspace = self._context.cluster.nodes.snapshot.keyspaces.get(table.keyspace)
        if keyspace is None:
            return
        now = keyspace.tables.get(table.name) or keyspace.views.get(table.name)
        if now is not None and now.id != table.id:
            raise SchemaChanged(
                f"{table.cql_name} was dropped while it was read, and there is another one of that name now"
            )

    def _open_scanning(self) -> Scanning:
        self._block.check_open()
        assert self._scanning is not None, "there is one in an open block"
        return self._scanning

    async def _wait(self, scanning: Scanning) -> None:
        if scanning.waiter is not None:
            raise UsageError("two tasks iterate over the same scan; give each its own")
        waiter: Waiter[None] = self._context.waiter(nothing)
        try:
            scanning.attach(waiter)
            await waiter.wait()
        finally:
            scanning.waiter = None  # without a call: the stack may be at its end

    # --- Planning ------------------------------------------------------------------------------------------

    async def tasks(self) -> Sequence[Task]:
        """Return the parts in which it is read, in the order of the ring; all of the table where it has no ranges."""
        order = self.order
        if self._space is None:
            return [_ALL]
        if self._has_tablets:
            await self._learn_tablets()
        count = order.tasks or await self._count_of_tasks()
        snapshot = self._context.cluster.nodes.snapshot
        table = order.selection.table
        ring, replicas = placed(snapshot, table.keyspace, table.name)
        return await sliced(self._context.reactor, plan(ring, replicas, order.before.done, count))

    @property
    def _has_tablets(self) -> bool:
        table = self.order.selection.table
        return self._context.cluster.nodes.snapshot.has_tablets(table.keyspace, table.name)

    async def _learn_tablets(self) -> None:
        """Have all tablets of the table be known, if a node tells them: else, those that answers have told of are all
        that is."""
        context, table = self._context, self.order.selection.table
        if table.id is not None:
            hints = await context.cluster.schema.read_tablets(table.id, SECONDS)
            tablets = context.cluster.nodes.snapshot.tablets
            await sliced(context.reactor, tablets.learn(table.keyspace, table.name, hints))

    async def _count_of_tasks(self) -> int:
        """Return in how many parts to read the table: nodes are asked how large it is."""
        context, table = self._context, self.order.selection.table
        waiter: Waiter[None] = context.waiter(lambda: estimating.close())
        estimating = Estimating(context.executor, table, lambda: waiter.resolve(None))
        context.protected(estimating.start)
        await until(context.reactor, waiter, context.reactor.now() + SECONDS, None)
        estimating.close()
        snapshot = context.cluster.nodes.snapshot
        local = [node for node in snapshot.nodes if node.distance is Distance.LOCAL]
        shards = sum(node.shard_count or 0 for node in local)
        ring, space = snapshot.ring, self._space
        assert ring is not None, "else, there are no parts"
        assert space is not None, "else, there are no parts"
        size = size_of(estimating.rows, ring.partitioner, space)
        if not self.order.ordered:
            return tasks_for(size, len(local), shards=shards)
        # All that nodes are asked for at once has to have room, and so much again: it waits for the first of them.
        pages = sum(at_once(node, self.order.concurrency_per_node) for node in local or (None,))
        return tasks_for(size, len(local), self.order.max_bytes // (2 * pages), shards=shards)

    def order_of(self, start: int, end: int) -> ScanOrder:
        """Return the order of a part of the same. Raises OptionError if it is none."""
        whole = _ALL.range if self._space is None else self._space.whole
        if not (type(start) is type(end) is int and whole.start <= start < end <= whole.end):
            raise OptionError(
                f"({brief(start)}, {brief(end)}) is no range of tokens from {whole.start} to {whole.end}"
            )
        order, part = self.order, TokenRange(start, end)
        if self._space is None:
            if part != whole:
                raise OptionError(
                    f"{order.selection.table.cql_name} is not divided into ranges: read all of it"
                )
            return order
        rest = Intervals.of([whole]) - Intervals.of([part])
        return replace(
            order, before=order.before.reached(rest | order.before.done, rows=0), tasks=order.tasks or 1
        )

    def _divided(self) -> TokenSpace | None:
        """Return the tokens that the table is divided by; None if it is not. That is decided when the block begins:
        what is read remains what it was, also if its keyspace is dropped meanwhile."""
        return divided(self._context.cluster.nodes.snapshot, self.order.selection.table.keyspace)

    def _replicas(self, part: TokenRange) -> tuple[Node, ...]:
        if self._space is None:  # then, there are no such tokens
            return ()
        snapshot = self._context.cluster.nodes.snapshot
        table = self.order.selection.table
        return asked(snapshot, table.keyspace, table.name, part)


_ALL: Any = Task(space_of(MURMUR3).whole)  # type: ignore[union-attr]
"""All of a table that is not read by ranges."""
