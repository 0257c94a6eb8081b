"""Statements that a node has prepared: what it said of them, what users hold, and bound values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from triocql._hints import BOUND, PREPARED, old_names
from triocql.codecs import routing_key
from triocql.codecs.bindv3 import BinderV3
from triocql.codecs.cache import weight_of_columns
from triocql.codecs.changes import still_fit
from triocql.codecs.registry import Registry
from triocql.config.requests import INHERIT, RequestKeywords, RequestOptions, with_options
from triocql.errors import PreparedIdMismatch, UsageError
from triocql.protocol.constants import V4, V5
from triocql.protocol.requests import execute_id, extended_execute_id
from triocql.protocol.responses import Prepared, RowsMetadata, rows_head
from triocql.protocol.scylla import LAYOUT_METADATA_ID
from triocql.protocol.types import ColumnSpec
from triocql.statements.statement import Parameters
from triocql.statements.texts import SELECT, answers_to, is_conditional

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from triocql.codecs.bind import Binder
    from triocql.codecs.rows import RowPlan


@dataclass(frozen=True, slots=True, eq=False)
class PreparedState:
    """A statement's ids with the columns that they stand for. Never changed: news make another one.

    Attributes:
        id: the statement's id on the nodes.
        prefix: how EXECUTE's body begins: the id and, in v5, the id of the result's metadata.
        prefix_with_id: the same where an extension of v4 has ids of metadata: an empty one if it is not known.
        bind_columns: the bind markers.
        partition_key: the indexes of the bind markers that make up the partition key, () if not all of it is bound.
        binder: encodes values for the bind markers.
        metadata: the columns of the result, None if it gives no rows.
        plan: decodes them.
        metadata_id: that id, if it is known.
        is_described: whether PREPARE told of columns of the result.
        skip_metadata: whether results need not repeat their columns, because an id tells when they change.
        skips_by_id: the same where the extension is in use.
        rows_head: how a last page of these columns begins, by which it is recognized without being parsed.
        is_lwt_marked: whether it is a lightweight transaction, as nodes of ScyllaDB say; None if none has said so.
    """

    id: bytes
    prefix: bytes
    prefix_with_id: bytes
    bind_columns: tuple[ColumnSpec, ...]
    partition_key: tuple[int, ...]
    binder: Binder | BinderV3
    metadata: RowsMetadata | None = None
    plan: RowPlan | None = None
    metadata_id: bytes | None = None
    is_described: bool = False
    skip_metadata: bool = False
    skips_by_id: bool = False
    rows_head: bytes = b""
    is_lwt_marked: bool | None = None

    @classmethod
    def from_answer(cls, answer: Prepared, registry: Registry, version: int) -> PreparedState:
        """Make the state that a RESULT/Prepared tells, but for the columns of the result."""
        binder = registry.binder(answer.bind_columns, answer.pk_indexes)
        return cls(
            id=answer.id,
            prefix=execute_id(version, answer.id, answer.metadata_id),
            prefix_with_id=extended_execute_id(answer.id, None),
            bind_columns=binder.columns,
            partition_key=answer.pk_indexes,
            binder=binder if version >= V4 else BinderV3(binder),
            is_described=answer.result_metadata is not None and bool(answer.result_metadata.columns),
            is_lwt_marked=answer.is_lwt,
        )

    @property
    def keyspace(self) -> str | None:
        """The keyspace of its bind markers, None if it has none."""
        columns = self.bind_columns
        return columns[0].keyspace if columns else None

    @property
    def table(self) -> str:
        """The table of its bind markers, or else of its rows; "" if neither is known."""
        columns = self.bind_columns or (() if self.metadata is None else self.metadata.columns)
        return columns[0].table if columns else ""

    def with_result(
        self, metadata: RowsMetadata, metadata_id: bytes | None, plan: RowPlan, version: int
    ) -> PreparedState:
        """Return the state after a node said that the columns of the result are these, which `plan` reads."""
        is_known = bool(metadata_id)  # an empty one says that it is not
        by_id = version >= V5 and is_known
        # Nodes that did not know the columns of a statement when it was prepared may leave them out for ever.
        by_extension = version == V4 and is_known and self.is_described
        return replace(
            self,
            prefix=execute_id(version, self.id, metadata_id) if by_id else self.prefix,
            prefix_with_id=extended_execute_id(self.id, metadata_id),
            metadata=metadata,
            plan=plan,
            metadata_id=metadata_id,
            skip_metadata=by_id,
            skips_by_id=by_extension,
            rows_head=rows_head(metadata, described=not (by_id or by_extension)),
        )

    def prefix_in(self, layout: int) -> bytes:
        """Return how EXECUTE's body begins where it has what `layout` says."""
        return self.prefix_with_id if layout & LAYOUT_METADATA_ID else self.prefix

    def skips_in(self, layout: int) -> bool:
        """Return whether results need not repeat their columns where EXECUTE has what `layout` says."""
        return self.skips_by_id if layout & LAYOUT_METADATA_ID else self.skip_metadata

    def after(self, former: PreparedState, version: int) -> PreparedState:
        """Return this state with what `former` knows, and a node without the extensions that tell it has not said."""
        state = self
        if state.is_lwt_marked is None and former.is_lwt_marked is not None:
            state = replace(state, is_lwt_marked=former.is_lwt_marked)
        metadata, plan, metadata_id = state.metadata, state.plan, former.metadata_id
        if metadata is None or plan is None or metadata_id is None:
            return state
        if version != V4 or state.metadata_id is not None or metadata != former.metadata:
            return state
        return state.with_result(metadata, metadata_id, plan, version)

    def routing_key(self, values: bytes) -> bytes | None:
        """Return the partition key in bound values, as `codecs.routing` has it."""
        return routing_key(values, self.partition_key)

    @property
    def weight(self) -> int:
        """The size of it as caches count: the number of its columns."""
        columns = () if self.metadata is None else self.metadata.columns
        return weight_of_columns(self.bind_columns) + weight_of_columns(columns)

    def says_the_same(self, other: PreparedState) -> bool:
        """Whether a node that told `other` has said nothing new."""
        return (
            self.prefix == other.prefix
            and self.prefix_with_id == other.prefix_with_id
            and self.is_lwt_marked == other.is_lwt_marked
            and self.bind_columns == other.bind_columns
            and self.partition_key == other.partition_key
            and self.metadata == other.metadata
            and self.skip_metadata == other.skip_metadata
            and self.skips_by_id == other.skips_by_id
        )

    def recoded(self, registry: Registry, version: int) -> PreparedState:
        """Return the state with the codecs that are registered now."""
        binder = registry.binder(self.bind_columns, self.partition_key)
        return replace(
            self,
            binder=binder if version >= V4 else BinderV3(binder),
            plan=None if self.metadata is None else registry.plan(self.metadata.columns),
        )


_MEANINGS = 16


class PreparedQuery:
    """A statement's text and the newest state that is known of it, shared by everybody who prepared the text.

    Attributes:
        text: the CQL.
        keyspace: where its unqualified names are looked up.
        state: the newest state.
        idempotent: whether it may be executed twice, as far as the text tells.
        answers: which answers it can have, as far as the text tells.
        trusts_ids: whether rows may come without their columns, which an id stands for.
    """

    __slots__ = (
        "__weakref__",
        "_is_conditional",
        "_meanings",
        "answers",
        "idempotent",
        "keyspace",
        "state",
        "text",
        "trusts_ids",
    )

    def __init__(self, text: str, keyspace: str | None, state: PreparedState) -> None:
        self.text = text
        self.keyspace = keyspace
        self.state = state
        self.answers = answers_to(text)
        self.idempotent = self.answers is SELECT
        self._is_conditional = is_conditional(text)
        self.trusts_ids = True
        self._meanings: dict[bytes, int] = {}  # hashes, for a node says how many columns there are

    @property
    def is_lwt(self) -> bool:
        """Whether it is a lightweight transaction: as nodes say, or else as far as the text tells."""
        marked = self.state.is_lwt_marked
        return self._is_conditional if marked is None else marked

    @property
    def table_keyspace(self) -> str | None:
        """The keyspace of its parameters; where it has none, that in which its names are looked up."""
        return self.state.keyspace or self.keyspace

    def stands_for(self, metadata_id: bytes, metadata: RowsMetadata) -> bool:
        """Remember that the id was said to stand for these columns; return whether it is the first time, or the same
        as before.
        """
        meanings = self._meanings
        columns = hash(metadata.columns)
        known = meanings.setdefault(metadata_id, columns)
        if len(meanings) > _MEANINGS:
            del meanings[next(iter(meanings))]
        return known == columns


@old_names(PREPARED)
class PreparedStatement:
    """A statement that the nodes know; made by `Session.prepare`. Values are bound to it in order or by name.

    It stays valid when nodes forget it, restart, or when its table changes: it is prepared again as needed.

    >>> insert = await session.prepare("INSERT INTO users (id, name) VALUES (?, ?)")    # doctest: +SKIP
    >>> await session.execute(insert, [7, "Ada"])                                       # doctest: +SKIP
    """

    __slots__ = ("options", "prepared")

    def __init__(self, prepared: PreparedQuery, options: RequestOptions = INHERIT) -> None:
        self.prepared = prepared
        self.options = options

    @property
    def text(self) -> str:
        """The CQL text."""
        return self.prepared.text

    @property
    def keyspace(self) -> str | None:
        """The keyspace of its parameters, None if it has none."""
        return self.prepared.table_keyspace

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """The keyspace, table, name and type of each parameter."""
        return self.prepared.state.bind_columns

    @property
    def partition_key_indexes(self) -> tuple[int, ...]:
        """The indexes of the parameters that form the partition key, in its order; empty if not all of it is bound."""
        return self.prepared.state.partition_key

    @property
    def result_columns(self) -> tuple[ColumnSpec, ...]:
        """The columns of the rows it gives, as far as known; empty if it gives none."""
        plan = self.prepared.state.plan
        return () if plan is None else plan.columns

    def bind(self, *values: Any, **named: Any) -> BoundStatement:
        """Bind values now: ``bind(7, "Ada")``, ``bind([7, "Ada"])``, ``bind(id=7, name="Ada")`` or ``bind({...})``.

        A single list, tuple or mapping stands for all values, unless the statement has one parameter and that takes
        it as its value: then give ``bind([value])``.

        Raises BindTypeError or BindValueError, naming the column.
        """
        if values and named:
            raise UsageError("bind() takes values in order or by name, not both")
        parameters: Sequence[Any] | Mapping[str, Any] = named or values
        if len(values) == 1 and isinstance(values[0], (list, tuple, Mapping)):
            parameters = values[0]
        return bind(self, parameters)

    def with_options(self, **options: Unpack[RequestKeywords]) -> PreparedStatement:
        """Return a copy with some options changed; None goes back to the session's."""
        return PreparedStatement(self.prepared, with_options(self.options, options))

    def __repr__(self) -> str:
        return f"PreparedStatement({self.text!r})"


@old_names(BOUND)
class BoundStatement:
    """A prepared statement with its values, already encoded."""

    __slots__ = ("options", "prepared", "state", "values")

    def __init__(
        self, prepared: PreparedQuery, state: PreparedState, values: bytes, options: RequestOptions
    ) -> None:
        self.prepared = prepared
        self.state = state
        self.values = values
        self.options = options

    @property
    def routing_key(self) -> bytes | None:
        """The partition key among the values, as nodes hash it; None if a part of it is not bound, null or too long."""
        return self.state.routing_key(self.values)

    def newest_state(self) -> PreparedState:
        """Return the newest state of the statement. Raises PreparedIdMismatch if the values do not fit it."""
        newest = self.prepared.state
        check_values_fit(self.prepared, self.state, newest)
        return newest

    def with_options(self, **options: Unpack[RequestKeywords]) -> BoundStatement:
        """Return a copy with some options changed; None goes back to the session's."""
        changed = with_options(self.options, options)
        return BoundStatement(self.prepared, self.state, self.values, changed)

    def __repr__(self) -> str:
        return f"BoundStatement({self.prepared.text!r})"


def bind(statement: PreparedStatement, parameters: Parameters) -> BoundStatement:
    """Encode `parameters` for `statement`."""
    state = statement.prepared.state
    return BoundStatement(statement.prepared, state, state.binder.bind(parameters), statement.options)


def check_values_fit(text: PreparedQuery, old: PreparedState, new: PreparedState) -> None:
    """Raise PreparedIdMismatch if values that were encoded for `old` cannot be sent with `new`."""
    if new is not old and not still_fit(old.bind_columns, new.bind_columns):
        raise PreparedIdMismatch(
            f"the types of the parameters of {text.text!r} have changed (its table was altered or created anew); "
            "bind the values again, or execute the statement with them: they are then encoded for the new types"
        )
