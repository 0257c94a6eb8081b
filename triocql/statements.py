"""What can be executed besides a bare string, and the options that go along with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, cast

from triocql._checks import require, require_integer, require_keyspace, require_seconds, require_type
from triocql._hints import BATCH, STATEMENT, check_options, forgotten_await, old_names
from triocql.errors import BindValueError, UsageError
from triocql.protocol.constants import MAX_INT, MAX_SHORT, SERVER, BatchKind, Consistency

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Unpack

__all__ = [
    "INHERIT",
    "Batch",
    "BatchType",
    "Parameters",
    "RequestKeywords",
    "RequestOptions",
    "ResolvedOptions",
    "Statement",
    "merge",
]

BatchType = BatchKind
_BATCH_TYPES = f"one of triocql.BatchType, or its name: {', '.join(BatchType.__members__)}"

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
"""The values of a statement: in order, or by name, or none."""


class RequestKeywords(TypedDict, total=False):
    """The fields of `RequestOptions` as keyword arguments."""

    timeout: float | None
    consistency: Consistency | str | None
    serial_consistency: Consistency | str | None
    page_size: int | None
    paging_state: bytes | None
    timestamp: int | None
    tracing: bool | None
    custom_payload: Mapping[str, bytes | None] | None
    keyspace: str | None
    now_in_seconds: int | None
    idempotent: bool | None


def _check_consistency(value: object, name: str) -> None:
    allowed = f"one of triocql.Consistency, or its name: {', '.join(Consistency.__members__)}"
    require(isinstance(value, Consistency), name, value, allowed)


def _check_serial(value: object, name: str) -> None:
    serial = isinstance(value, Consistency) and value.is_serial
    require(serial, name, value, "triocql.Consistency.SERIAL or LOCAL_SERIAL, or the name of one")


def _check_bool(value: object, name: str) -> None:
    require(isinstance(value, bool), name, value, "True or False")


def _check_payload(value: Any, name: str) -> None:
    require_type(value, Mapping, name, "a mapping of str to bytes")
    for key, item in value.items():
        require_type(key, str, f"a key of {name}", "a str")
        require_type(item, (bytes, type(None)), f"{name}[{key!r}]", "bytes, or None")


_CHECKS: tuple[tuple[str, Callable[[Any, str], None]], ...] = (
    ("timeout", require_seconds),
    ("consistency", _check_consistency),
    ("serial_consistency", _check_serial),
    ("page_size", lambda value, name: require_integer(value, name, 1, MAX_INT)),
    ("paging_state", lambda value, name: require_type(value, bytes, name, "bytes")),
    ("timestamp", lambda value, name: require_integer(value, name, SERVER, 2**63 - 1)),
    ("tracing", _check_bool),
    ("custom_payload", _check_payload),
    ("keyspace", require_keyspace),
    ("now_in_seconds", lambda value, name: require_integer(value, name, 0, MAX_INT)),
    ("idempotent", _check_bool),
)
_NAMES = tuple(name for name, _ in _CHECKS)
_values = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """How a request is to be carried out. None stands for "as the layer below says".

    A call's own arguments go before those of its statement, and those before the session's.

    Attributes:
        timeout: seconds for the whole call: queueing, connecting, preparing, sending, waiting, and retries;
            `math.inf` for no bound.
        consistency: how many replicas have to answer: one of `triocql.Consistency`, or its name.
        serial_consistency: SERIAL or LOCAL_SERIAL, for the condition of a conditional update.
        page_size: the most rows in a page.
        paging_state: where to go on: the `Result.paging_state` of an earlier result of the same statement.
        timestamp: the write time of the cells, in microseconds since 1970; by default the client's clock,
            `triocql.SERVER` for the node's.
        tracing: whether the server records what it does: see `Result.trace`.
        custom_payload: for a query handler of the server's own; protocol v4 or newer.
        keyspace: where unqualified table names are looked up; protocol v5.
        now_in_seconds: the time that the server takes for "now", in seconds since 1970; protocol v5.
        idempotent: whether executing it twice does no harm, so that it may be retried. By default a SELECT is
            and nothing else.

    Raises OptionError for a value out of range or of a wrong type.

    >>> RequestOptions(page_size=100).page_size
    100
    """

    timeout: float | None = None
    consistency: Consistency | None = None
    serial_consistency: Consistency | None = None
    page_size: int | None = None
    paging_state: bytes | None = field(default=None, repr=False)
    timestamp: int | None = None
    tracing: bool | None = None
    custom_payload: Mapping[str, bytes | None] | None = field(default=None, repr=False)
    keyspace: str | None = None
    now_in_seconds: int | None = None
    idempotent: bool | None = None

    def __post_init__(self) -> None:
        for name in ("consistency", "serial_consistency"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Consistency.__members__.get(value.upper(), value))
        for (name, check), value in zip(_CHECKS, _values(self), strict=True):
            if value is not None:
                check(value, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOptions(RequestOptions):
    """Request options that leave nothing open: the session's defaults, and what `merge` makes of them.

    >>> ResolvedOptions().timeout, ResolvedOptions().page_size
    (10.0, 5000)
    """

    timeout: float = 10.0
    consistency: Consistency = Consistency.LOCAL_ONE
    serial_consistency: Consistency = Consistency.SERIAL
    page_size: int = 5000
    tracing: bool = False


INHERIT = RequestOptions()
"""The options that change nothing."""


def request_options(keywords: RequestKeywords) -> RequestOptions:
    """Return the options that these keywords give. Raises OptionError."""
    if not keywords:
        return INHERIT
    check_options(keywords, _NAMES)
    return RequestOptions(**cast("Any", keywords))


def with_options(options: RequestOptions, keywords: RequestKeywords) -> RequestOptions:
    """Return `options` with some of them changed. Raises OptionError."""
    check_options(keywords, _NAMES)
    return replace(options, **cast("Any", keywords))


_SETTERS = tuple(getattr(RequestOptions, name).__set__ for name in _NAMES)


def merge(base: ResolvedOptions, *layers: RequestOptions) -> ResolvedOptions:
    """Return `base` with what the layers set, later layers first. `base` itself if they are all `INHERIT`."""
    merged = base
    for layer in layers:
        if layer is not INHERIT:
            merged = _overlay(merged, layer)
    return merged


def _overlay(base: ResolvedOptions, layer: RequestOptions) -> ResolvedOptions:
    """Both are checked already, so that the new object is filled without its constructor."""
    merged = object.__new__(ResolvedOptions)
    for assign, new, old in zip(_SETTERS, _values(layer), _values(base), strict=True):
        assign(merged, old if new is None else new)
    return merged


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
            raise UsageError("a BoundStatement has its values already; add its PreparedStatement with others")
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
