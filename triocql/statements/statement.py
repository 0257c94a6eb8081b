"""The statements besides a bare string: text with options, and batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from triocql._hints import BATCH, STATEMENT, forgotten_await, old_names
from triocql.config.checks import require, require_type
from triocql.config.requests import RequestKeywords, RequestOptions, request_options, with_options
from triocql.errors import BindValueError, UsageError
from triocql.protocol.constants import MAX_SHORT, BatchKind

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Unpack

BatchType = BatchKind
_BATCH_TYPES = f"one of triocql.BatchType, or its name: {', '.join(BatchType.__members__)}"

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
"""The values of a statement: in order, or by name, or none."""


def snapshot(parameters: Parameters) -> Parameters:
    """Return parameters as they are now, for a caller may fill the same list or dict anew for the next call."""
    if isinstance(parameters, list):
        return tuple(parameters)
    return dict(parameters) if isinstance(parameters, dict) else parameters


class HasOptions(Protocol):
    """A statement with options: a `Statement`, or one that is prepared or bound."""

    options: RequestOptions


@old_names(STATEMENT)
class Statement:
    """The text of a statement with options of its own.

    >>> from triocql import Consistency
    >>> recent = Statement("SELECT * FROM events LIMIT 10", consistency=Consistency.ONE)
    >>> recent.with_options(timeout=2.0).options.consistency
    <Consistency.ONE: 1>
    """

    __slots__ = ("options", "text")

    def __init__(self, text: str, **options: Unpack[RequestKeywords]) -> None:
        require_type(text, str, "the text of a statement", "a str")
        self.text = text
        self.options = request_options(options)

    def with_options(self, **options: Unpack[RequestKeywords]) -> Statement:
        """Return a copy with some options changed; None goes back to the session's."""
        changed = Statement(self.text)
        changed.options = with_options(self.options, options)
        return changed

    def __repr__(self) -> str:
        return f"Statement({self.text!r})"


@old_names(BATCH)
class Batch:
    """Statements that are sent and carried out together: INSERT, UPDATE and DELETE only.

    A LOGGED batch is carried out as a whole or not at all, an UNLOGGED one is only sent together, a COUNTER
    one is for the updates of counters. (Native protocol v5, section 4.1.7 "BATCH".)

    >>> batch = Batch(BatchType.UNLOGGED, timeout=2.0)
    >>> len(batch.add("DELETE FROM t WHERE id = ?", [1]).add("DELETE FROM t WHERE id = ?", [2]))
    2
    """

    __slots__ = ("_entries", "options", "type")

    def __init__(self, type: BatchType | str = BatchType.LOGGED, **options: Unpack[RequestKeywords]) -> None:  # noqa: A002
        kind = BatchType.__members__.get(type.upper(), type) if isinstance(type, str) else type
        require(isinstance(kind, BatchType), "the type of a batch", type, _BATCH_TYPES)
        self.type = cast("BatchType", kind)
        self.options = request_options(options)
        self._entries: list[tuple[str | HasOptions, Parameters]] = []

    def add(self, statement: str | HasOptions, parameters: Parameters = None) -> Self:
        """Add a statement: text, a `Statement`, or one that is prepared or bound. Returns the batch itself.

        Raises UsageError for a batch in a batch, and for values with a bound statement, which has its own;
        BindValueError for more than 65,535 statements.
        """
        if isinstance(statement, Batch):
            raise UsageError("a batch cannot hold a batch; add its statements one by one")
        if not isinstance(statement, str) and not hasattr(statement, "options"):
            raise UsageError(
                f"a batch holds statements, not {type(statement).__name__}{forgotten_await(statement)}"
            )
        if parameters is not None and hasattr(statement, "values"):
            raise UsageError(
                "a BoundStatement has its values already; add its PreparedStatement with other values"
            )
        if len(self._entries) == MAX_SHORT:
            raise BindValueError(f"a batch holds {MAX_SHORT:,} statements at most; start another one")
        self._entries.append((statement, parameters))
        return self

    def with_options(self, **options: Unpack[RequestKeywords]) -> Batch:
        """Return a copy with some options changed; None goes back to the session's."""
        changed = Batch(self.type)
        changed.options = with_options(self.options, options)
        changed._entries = self._entries.copy()
        return changed

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str | HasOptions, Parameters]]:
        """Iterate over the pairs of a statement and its parameters."""
        return iter(self._entries)

    def __repr__(self) -> str:
        return f"Batch({self.type.name}, {len(self)} statements)"
