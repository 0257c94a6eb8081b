"""The steps of `Rule.then`: what a rule may answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import encoder, wire
from .encoder import Column, Opcode
from .errorcodes import ErrorCode, check_fields, encode_error
from .performance import Performance, Step
from .requests import Request
from .scylla.settings import RATE_LIMIT
from .statements import table_name
from .types import UserType, parse_type

# --- Messages ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message(Step):
    """An answer: the opcode and body of a frame, and what may go before the body.

    Attributes:
        opcode: what the frame holds.
        body: its bytes, or what makes them for a request.
        warnings: texts that go along (since v4).
        payload: a custom payload (since v4).
        error: the code if it is an error.
    """

    opcode: int
    body: bytes | Callable[[Request], bytes]
    warnings: Sequence[str] = ()
    payload: Mapping[str, bytes | None] | None = None
    error: int | None = None

    def perform(self, performance: Performance) -> None:
        """Send it."""
        request = performance.request
        body = self.body(request) if callable(self.body) else self.body
        performance.answer(self.opcode, body, warnings=self.warnings, payload=self.payload, error=self.error)


@dataclass(frozen=True)
class Rows:
    """Rows to answer with; called with a request, it gives the RESULT's body: a page of them.

    Attributes:
        columns: the names of the columns' types by the columns' names.
        pages: the rows; if there are several pages, each request gets one, else it says how long a page is.
        paging_state: what every answer says of where the next page begins, None to say what is true.
        table: the table's name, with or without a keyspace, None for that of the query.
    """

    columns: Mapping[str, str]
    pages: Sequence[Sequence[Any]] = field(repr=False)
    paging_state: bytes | None = None
    table: str | None = None

    def __post_init__(self) -> None:
        _check_columns(self.columns)
        for row in itertools.chain.from_iterable(self.pages):
            _check_row(row, self.columns)

    def described(self, request: Request) -> list[Column]:
        """Return the columns as the request's answer has them."""
        return columns_of(self.columns, request, self.table)

    def __call__(self, request: Request) -> bytes:
        """Return the body."""
        columns = self.described(request)
        rows, following = self._page(request)
        cells = [self._cells(columns, row) for row in rows]
        return rows_body(request, columns, cells, self.paging_state or following)

    def _page(self, request: Request) -> tuple[Sequence[Any], bytes | None]:
        """Return the rows of the page that is asked for, and where the next one begins."""
        state = request.paging_state if self.paging_state is None else None
        if state is not None and not state.isdigit():
            raise wire.BadRequest(f"Invalid value for the paging state: {state!r}")
        start = int(state or b"0")
        if len(self.pages) != 1:
            page: Sequence[Any] = self.pages[start] if start < len(self.pages) else ()
            return page, b"%d" % (start + 1) if start + 1 < len(self.pages) else None
        (everything,) = self.pages
        end = start + (request.page_size if request.page_size and request.page_size > 0 else len(everything))
        return everything[start:end], b"%d" % end if end < len(everything) else None

    @staticmethod
    def _cells(columns: Sequence[Column], row: Any) -> list[bytes | None]:
        values = [row.get(column.name) for column in columns] if isinstance(row, Mapping) else row
        return [column.type.cell(each) for column, each in zip(columns, values, strict=True)]


def columns_of(types: Mapping[str, str], request: Request, table: str | None = None) -> list[Column]:
    """Return the columns with these types, of the table that the request is about unless given."""
    keyspace = request.keyspace or request.connection.keyspace
    text = request.texts[0] if request.texts else ""
    within, name = table_name(text if table is None else f"from {table}", keyspace)
    schema = request.node.server.schema
    return [
        Column(within, name, column, schema.type(type_, within or keyspace))
        for column, type_ in types.items()
    ]


def _check_columns(columns: Any) -> None:
    """Raise a TypeError, or a ValueError for what is no type; user-defined types are left to the server to know."""
    allowed = "columns are a mapping of names to names of types, such as {'name': 'text'}"
    if not isinstance(columns, Mapping):
        raise TypeError(f"{allowed}, not {columns!r}")
    for name, type_ in columns.items():
        if not isinstance(name, str) or not isinstance(type_, str):
            raise TypeError(f"{allowed}, not of {name!r} to {type_!r}")
        parse_type(type_, lambda name: UserType("", name, ()))


def _check_row(row: Any, columns: Mapping[str, str]) -> None:
    if isinstance(row, (str, bytes)) or not isinstance(row, (Sequence, Mapping)):
        raise TypeError(f"a row is a sequence of values or a mapping by column, not {row!r}")
    if isinstance(row, Mapping):
        if unknown := row.keys() - columns.keys():
            raise ValueError(f"a row with {', '.join(map(repr, unknown))}, which is no column")
    elif len(row) != len(columns):
        raise ValueError(f"a row of {len(row)} values for {len(columns)} columns")


def rows_body(
    request: Request,
    columns: Sequence[Column],
    cells: Sequence[Sequence[bytes | None]],
    paging_state: bytes | None = None,
) -> bytes:
    """Return the body of a RESULT of rows. The columns are left out where the client knows them, told anew (v5, or by
    an extension) where it has others in mind."""
    describe, changed = True, None
    if request.opcode == Opcode.EXECUTE:
        describe = not request.skip_metadata
        if request.has_metadata_ids and request.metadata_id != (now := _metadata_id(request, columns)):
            describe, changed = True, now
            if request.node.scylla is not None and request.node.scylla.new_id_without_columns:
                describe = False
    return encoder.rows(
        request.version,
        columns,
        cells,
        paging_state=paging_state,
        describe=describe,
        new_metadata_id=changed,
    )


def _metadata_id(request: Request, columns: Sequence[Column]) -> bytes:
    """Return the id of the columns, or that of none where the node has the fault that it knows no other."""
    scylla = request.node.scylla
    return encoder.metadata_id(() if scylla is not None and scylla.prepared_without_metadata else columns)


def rows(
    columns: Mapping[str, str],
    rows: Iterable[Sequence[Any] | Mapping[str, Any]] = (),
    *,
    paging_state: bytes | None = None,
    table: str | None = None,
    warnings: Sequence[str] = (),
    payload: Mapping[str, bytes | None] | None = None,
) -> Message:
    """Answer with rows, in pages as long as the client asks for.

    Args:
        columns: for each column's name the name of its type: ``{"id": "int", "tags": "set<text>"}``.
        rows: each a sequence of values, or a mapping by column. None is null; a `Raw` cell is sent as it is.
        paging_state: say in every answer that another page begins here, whatever is true.
        table: the table (``"users"`` or ``"shop.users"``), that of the query unless given.
        warnings: texts that go along.
        payload: a custom payload.

    >>> rows({"name": "text"}, [["Ann"], {"name": "Bob"}]).opcode
    <Opcode.RESULT: 8>
    """
    answer = Rows(columns, [list(rows)], paging_state, table)
    return Message(Opcode.RESULT, answer, warnings, payload)


def pages(columns: Mapping[str, str], pages: Iterable[Iterable[Any]], *, table: str | None = None) -> Message:
    """Answer with these pages of rows, empty ones too, however long a page the client asks for."""
    return Message(Opcode.RESULT, Rows(columns, [list(page) for page in pages], None, table))


def void(*, warnings: Sequence[str] = (), payload: Mapping[str, bytes | None] | None = None) -> Message:
    """Answer that it is done, as to an INSERT."""
    return Message(Opcode.RESULT, encoder.void(), warnings, payload)


def error(code: int, message: str = "primed", /, **fields: Any) -> Message:
    """Answer with an error.

    Args:
        code: an `ErrorCode`, or any other number.
        message: its text.
        **fields: those of this code (`errorcodes.FIELDS`); the others have defaults.

    >>> error(ErrorCode.UNAVAILABLE, required=3, alive=1).error
    <ErrorCode.UNAVAILABLE: 4096>
    """
    if not isinstance(code, int):
        raise TypeError(f"the code of an error is an ErrorCode, such as ErrorCode.INVALID, not {code!r}")
    check_fields(code, fields)

    def body(request: Request) -> bytes:
        return encode_error(request.version, code, message, fields)

    return Message(Opcode.ERROR, body, error=code)


def unprepared(statement_id: bytes | None = None) -> Message:
    """Answer that a prepared statement is not known: the request's own one unless given."""

    def body(request: Request) -> bytes:
        missing = (
            statement_id or request.id or next(filter(None, (entry.id for entry in request.entries)), b"")
        )
        message = f"Prepared query with ID {missing.hex()} not found"
        return encode_error(request.version, ErrorCode.UNPREPARED, message, {"id": missing})

    return Message(Opcode.ERROR, body, error=ErrorCode.UNPREPARED)


@dataclass(frozen=True)
class _RateLimited(Step):
    op: int
    by_coordinator: bool
    message: str

    def perform(self, performance: Performance) -> None:
        scylla, request = performance.request.node.scylla, performance.request
        code: int = ErrorCode.CONFIG_ERROR
        tail = b""
        if scylla is not None and RATE_LIMIT in request.connection.extensions:
            code, tail = scylla.rate_limit_code or 0, bytes([self.op, self.by_coordinator])
        performance.entry.executed = False
        body = encode_error(request.version, code, self.message, {}, tail)
        performance.answer(Opcode.ERROR, body, error=code)


def rate_limited(
    op: Literal["read", "write"] | int = "read",
    *,
    by_coordinator: bool = False,
    message: str = "Per-partition rate limit reached",
) -> Step:
    """Answer as ScyllaDB does where a partition is asked too often: with an error of its own where this was agreed on.

    Args:
        op: what was asked, or any number in its place.
        by_coordinator: whether the coordinator has refused it, not a replica.
        message: the text.
    """
    number = {"read": 0, "write": 1}[op] if isinstance(op, str) else op
    return _RateLimited(number, by_coordinator, message)


@dataclass(frozen=True)
class _FrameStep(Step):
    opcode: int
    body: bytes
    flags: int

    def perform(self, performance: Performance) -> None:
        performance.send(self.opcode, self.body, self.flags, as_is=True)


def frame(opcode: int, body: bytes, *, flags: int = 0) -> Step:
    """Answer with a frame whose body and flags go as they are, never compressed for v3 and v4; faults apply."""
    return _FrameStep(opcode, body, flags)


@dataclass(frozen=True)
class _RawStep(Step):
    data: bytes

    def perform(self, performance: Performance) -> None:
        performance.connection.send_raw(self.data)


def raw(data: bytes) -> Step:
    """Send bytes as they are, in place of an answer; no fault applies, and no segment is around them."""
    return _RawStep(data)


# --- Other steps ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Delay(Step):
    seconds: float

    def perform(self, performance: Performance) -> None:
        performance.wait(self.seconds)


def delay(seconds: float) -> Step:
    """Let time pass before the next step; other requests are answered meanwhile."""
    return _Delay(seconds)


class _NoResponse(Step):
    def perform(self, performance: Performance) -> None:
        """Do nothing."""


def no_response() -> Step:
    """Never answer."""
    return _NoResponse()


class _AsUsual(Step):
    def perform(self, performance: Performance) -> None:
        performance.as_usual()


def as_usual() -> Step:
    """Answer as if the rule were not there, an older rule of the same request included."""
    return _AsUsual()


@dataclass(frozen=True)
class _End(Step):
    how: Literal["close", "reset"]

    def perform(self, performance: Performance) -> None:
        performance.connection.end(self.how)


def close() -> Step:
    """Close the connection (FIN) after what was sent before."""
    return _End("close")


def reset() -> Step:
    """Reset the connection (RST) after what was sent before."""
    return _End("reset")


class Gate(Step):
    """Holds requests until it is opened: between its steps a rule waits for the test.

    >>> gate = Gate()
    >>> def prime(server):
    ...     server.when("SELECT ...").then(gate, void())
    ...     ...                                        # later, when the client has given up:
    ...     gate.open()
    """

    def __init__(self) -> None:
        self._held: list[Performance] = []

    def perform(self, performance: Performance) -> None:
        """Hold the request back."""
        self._held.append(performance)
        performance.hold()

    @property
    def waiting(self) -> list[Request]:
        """The requests that are held, in order."""
        return [performance.request for performance in self._held]

    def open(self, count: int | None = None) -> None:
        """Let the first `count` requests go on, all unless given. Those that come later are held again."""
        going, self._held = (self._held, []) if count is None else (self._held[:count], self._held[count:])
        for performance in going:
            performance.request.node.server.call(performance.resume)
