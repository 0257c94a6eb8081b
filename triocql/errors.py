"""Every exception that triocql raises: one tree under `Error`.

``except triocql.Error`` catches them all. Exceptions of sockets, TLS and event loops never leave triocql as they
are: they are the ``__cause__`` of one of these. Cancellation is the exception to that: it is never converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from triocql.metadata.node import Node

E = TypeVar("E", bound=BaseException)

FIRST, LAST = 8, 24
"""How many attempts are kept and shown at least: the first ones and the last ones."""

_LONGEST = 300
"""The number of characters of an attempt's error that are shown."""


class Attempt(NamedTuple):
    """One try of a request, or of a connection.

    Attributes:
        node: the node that it was tried on.
        error: what went wrong.
        elapsed: the seconds that this try took.
        decision: what was decided then, such as "next node" or "same node"; "" if there was nothing to decide.
    """

    node: Node
    error: Exception
    elapsed: float
    decision: str = ""

    def __str__(self) -> str:
        what = " ".join(f"{type(self.error).__name__}: {self.error}".split())
        if len(what) > _LONGEST:
            what = f"{what[: _LONGEST - 1]}…"
        following = f"  -> {self.decision}" if self.decision else ""
        return f"{self.node}  {self.elapsed:.3f} s  {what}{following}"


class Spent(NamedTuple):
    """Where a part of a request's time went.

    Attributes:
        phase: what the request was doing, as in `RequestTimeout.phase`, or "backing off".
        seconds: how long, in all.
        node: the node that it was on; None if it was on no connection.
    """

    phase: str
    seconds: float
    node: Node | None = None


class FailedRange(NamedTuple):
    """A range of a table that could not be read.

    Attributes:
        range: its tokens: behind the first number, up to and with the second.
        error: why the last attempt failed.
    """

    range: tuple[int, int]
    error: BaseException


class Error(Exception):
    """The base of all errors of triocql.

    Attributes:
        attempts: what was tried before, in order. The error itself is what the last attempt ended with, and not among
            them, but for `NoNodeAvailable` and `ConnectError`, which say what all of them ended with.
        attempts_left_out: how many more there were after the first 8: of very many, the last 24 are kept besides.
        maybe_executed: whether a node may have carried out the request. False is a promise, True is not.
        is_transient: whether it makes sense to come back later: the cluster, or the way to it, is not in a state to
            do this now, and the request itself is not what is wrong. What waits for an answer by then is a matter of
            `maybe_executed`.
        index: which statement it was of those that `execute_concurrent` and its kin were given, counted from 0; None
            elsewhere.
    """

    attempts: tuple[Attempt, ...] = ()
    attempts_left_out: int = 0
    maybe_executed: bool = False
    is_transient: bool = False
    index: int | None = None

    def __str__(self) -> str:
        text = super().__str__()
        if not self.attempts:
            return text
        return "\n  ".join([text, *_lines(self.attempts, self.attempts_left_out)])

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _lines(attempts: tuple[Attempt, ...], left_out: int) -> Iterator[str]:
    """Yield the text of `attempts`, a line each, and of how many are not shown."""
    last = max(FIRST, len(attempts) - LAST)
    left_out += last - FIRST
    yield from map(str, attempts[:FIRST])
    if left_out > 0:
        yield f"… {left_out:,} more …"
    yield from map(str, attempts[last:])


def _rebuild(cls: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    error: Error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


def copy_of(error: E) -> E:
    """Return an error like `error` to be raised in another task: tracebacks of several tasks must not mix.

    >>> copy_of(ConnectionLost("gone"))
    ConnectionLost('gone')
    """
    if not isinstance(error, Error):
        return error
    copy = _rebuild(type(error), error.args, error.__dict__)
    copy.__cause__ = error.__cause__
    return cast("E", copy)


# --- Mistakes of the caller, found before anything is sent -------------------------------------------------


class UsageError(Error):
    """A call that cannot be carried out as it was made; nothing was sent."""


class BindTypeError(UsageError, TypeError):
    """A value of a type that its column or parameter does not take."""


class BindValueError(UsageError, ValueError):
    """A value out of range, or the wrong number of values."""


class OptionError(UsageError, ValueError):
    """An option or URL that is not valid."""


class MissingExtraError(UsageError, ImportError):
    """An optional package is needed: the message names the extra to install."""


class UnknownAttribute(UsageError, AttributeError):
    """An attribute that an object does not have, read or set: the message says what to write instead."""


class SessionClosed(UsageError):
    """The session was closed, or is closing."""


class PagesRemain(UsageError):
    """A plain loop over a result that has more pages, or `exactly_one()` on such a page."""


class NoSingleRow(UsageError, LookupError):
    """`exactly_one()` found no row, or several."""


class RowTypeError(UsageError, TypeError):
    """Rows that cannot be had as classes of yours: the fields of `row_type` are not the columns, or it refused a row,
    or a class for a user-defined type a value, with what it raised as the cause.
    """


class PagingStateMismatch(UsageError, ValueError):
    """A paging state that belongs to another statement, or is no paging state."""


class CheckpointError(UsageError, ValueError):
    """A checkpoint that is of another scan, or is none, or was damaged."""


# --- The wire ----------------------------------------------------------------------------------------------


class ProtocolError(Error):
    """The peer sent something that the protocol does not allow. The connection is given up."""


class ChecksumError(ProtocolError):
    """A checksum over received bytes is wrong."""


class LimitExceeded(ProtocolError):
    """A length or count on the wire is over its limit; nothing was allocated for it."""


class UnfitAnswer(ProtocolError):
    """A node answered with what cannot be the answer to this request. No other answer on its connection is trusted."""


class DecodeError(ProtocolError):
    """A value in a page is not valid for its type. The connection goes on."""


# --- Connecting --------------------------------------------------------------------------------------------


class ConnectError(Error):
    """No connection could be made; `attempts` says what was tried.

    It is transient unless the node gave a reason that is not, such as that the keyspace does not exist.
    """

    is_transient = True


class ConnectTimeout(ConnectError):
    """Connecting took longer than the connect timeout; the message names the step."""


class UnsupportedVersion(ConnectError):
    """No protocol version that both sides speak."""

    is_transient = False


class TlsError(ConnectError):
    """The TLS handshake failed, or the certificate was refused; the message gives the reason."""

    is_transient = False


class AuthenticationError(ConnectError):
    """The node refused the credentials, or asks for an authentication that the session has no answer to."""

    is_transient = False


# --- Requests ----------------------------------------------------------------------------------------------


class RequestError(Error):
    """A request that did not succeed."""


class RequestTimeout(RequestError):
    """The deadline of the call passed.

    Attributes:
        phase: what the request was doing: "connecting", "preparing", "throttled", "queued", "backing off", "sending" or
            "waiting".
        written: whether it was handed to a socket.
        timeout: the bound, in seconds.
        node: the node that did not answer, None if the request was on no connection.
        statement: the beginning of the statement's text, without its values; "" if it is not known.
        phases: where the time went, in the order in which it began to: waits, and attempts by their nodes.
    """

    is_transient = True

    def __init__(
        self,
        message: str,
        *,
        phase: str,
        written: bool,
        timeout: float,
        node: Node | None = None,
        statement: str = "",
        phases: tuple[Spent, ...] = (),
    ) -> None:
        super().__init__(message)
        self.node = node
        self.statement = statement
        self.phases = phases
        self.phase = phase
        self.written = written
        self.timeout = timeout
        self.maybe_executed = written


class AttemptTimeout(RequestTimeout):
    """One attempt took longer than `attempt_timeout`, its bound, and no other one followed or was worth while.

    The attributes tell of that attempt: `timeout` is its bound, `phases` what its time went into.
    """


class ConnectionLost(RequestError):
    """The connection ended while the request was under way."""

    is_transient = True


class NoNodeAvailable(RequestError):
    """Every node was tried, or none was there to be tried: `attempts` and the message say which."""

    is_transient = True


class QueueFull(RequestError):
    """Too many requests, or too many bytes of them, wait for a free stream id: more were started at once than the nodes
    answer. `execute_concurrent` and request nurseries wait for room instead.
    """

    is_transient = True


class Abandoned(RequestError):
    """The request was cancelled by its handle, or its nursery ended before the answer came."""


class Overtaken(Abandoned):
    """A copy of the request was answered first by another node: how an attempt ended, and never what is raised."""


class UnpreparedLoop(RequestError):
    """A node goes on answering UNPREPARED, however often the statement is prepared again."""


class PreparedIdMismatch(RequestError):
    """Preparing a statement again gave another id; the statement has to be prepared anew."""


class PagingLoop(RequestError):
    """A node gives a paging state that it gave before, and so would give the same pages for ever."""


class SchemaChanged(RequestError):
    """A table was altered while it was scanned, so that its rows have other columns from then on: scan it again."""


class ScanIncomplete(RequestError):
    """A scan has come to its end, but ranges of it could not be read, though each was tried again, on all replicas, and
    in ever smaller parts.

    Attributes:
        failed_ranges: these ranges, each with the error of its last attempt.
    """

    is_transient = True
    failed_ranges: tuple[FailedRange, ...] = ()


class InternalError(RequestError):
    """A bug of triocql, or of what it calls, ended this request or, if the message says so, the session.

    `__cause__` is the bug.
    """


# --- Answers of the server (native protocol v5, section 8 "Error codes") -----------------------------------


class ResponseError(RequestError):
    """The server answered with an error: one subclass a code, this one for codes that are not known.

    Attributes:
        code: the protocol's error code.
        message: the server's text.
        coordinator: the node that answered; None if unknown.
    """

    code: int = -1
    coordinator: Node | None = None

    def __init__(self, message: str, *, code: int | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        for name, value in fields.items():
            setattr(self, name, value)


class ServerError(ResponseError):
    """0x0000: something unexpected happened in the node."""

    code = 0x0000


class ProtocolViolation(ResponseError):
    """0x000A: the node found our message not valid."""

    code = 0x000A


class BadCredentials(ResponseError):
    """0x0100: authentication was required and failed."""

    code = 0x0100


class Unavailable(ResponseError):
    """0x1000: not enough replicas were alive; nothing was executed."""

    is_transient = True
    code = 0x1000
    consistency: Any
    required: int
    alive: int


class Overloaded(ResponseError):
    """0x1001: the coordinator has too much to do."""

    is_transient = True
    code = 0x1001


class IsBootstrapping(ResponseError):
    """0x1002: the coordinator is bootstrapping; nothing was executed."""

    is_transient = True
    code = 0x1002


class TruncateError(ResponseError):
    """0x1003: an error during a truncation."""

    is_transient = True
    code = 0x1003


class WriteTimeout(ResponseError):
    """0x1100: replicas did not acknowledge a write in time."""

    is_transient = True
    code = 0x1100
    consistency: Any
    received: int
    required: int
    write_type: str
    contentions: int | None


class ReadTimeout(ResponseError):
    """0x1200: replicas did not answer a read in time."""

    is_transient = True
    code = 0x1200
    consistency: Any
    received: int
    required: int
    data_present: bool


class ReadFailure(ResponseError):
    """0x1300: replicas failed to carry out a read. `reasons` (v5) maps addresses to reason codes."""

    code = 0x1300
    consistency: Any
    received: int
    required: int
    failures: int
    reasons: Mapping[Any, int]
    data_present: bool


class FunctionFailure(ResponseError):
    """0x1400: a user-defined function failed."""

    code = 0x1400
    keyspace: str
    function: str
    arg_types: tuple[str, ...]


class WriteFailure(ResponseError):
    """0x1500: replicas failed to carry out a write. `reasons` (v5) maps addresses to reason codes."""

    code = 0x1500
    consistency: Any
    received: int
    required: int
    failures: int
    reasons: Mapping[Any, int]
    write_type: str


class CdcWriteFailure(ResponseError):
    """0x1600: the space for the change-data-capture log is used up."""

    is_transient = True
    code = 0x1600


class CasWriteUnknown(ResponseError):
    """0x1700: a compare-and-set ended without it being known whether it was applied."""

    is_transient = True
    code = 0x1700
    consistency: Any
    received: int
    required: int


class SyntaxError(ResponseError):  # noqa: A001 - the protocol's name; reached as triocql.errors.SyntaxError
    """0x2000: the query has a syntax error."""

    code = 0x2000


class Unauthorized(ResponseError):
    """0x2100: the user may not do this."""

    code = 0x2100


class InvalidQuery(ResponseError):
    """0x2200: the query is syntactically right but not valid."""

    code = 0x2200


class ConfigurationError(ResponseError):
    """0x2300: the query is not valid because of some configuration issue."""

    code = 0x2300


class AlreadyExists(ResponseError):
    """0x2400: the keyspace or table exists already; `table` is "" for a keyspace."""

    code = 0x2400
    keyspace: str
    table: str


class Unprepared(ResponseError):
    """0x2500: the node does not know the prepared statement's id."""

    code = 0x2500
    id: bytes


class RateLimitReached(ResponseError):
    """A partition is read or written more often in a second than the `per_partition_rate_limit` of its table allows
    (ScyllaDB). Nothing was executed, and nothing is tried again by default: that would make too much even more.

    Attributes:
        op_type: 0 for a read, 1 for a write; whatever else the node says.
        rejected_by_coordinator: whether the coordinator refused it, without asking a replica.
    """

    is_transient = True
    op_type: int
    rejected_by_coordinator: bool


_OLD_NAMES = {
    "AuthenticationFailed": "AuthenticationError",
    "CoordinationFailure": "ReadFailure, WriteFailure",
    "DriverException": "Error",
    "InvalidRequest": "InvalidQuery",
    "NoHostAvailable": "NoNodeAvailable, or ConnectError while connecting",
    "OperationTimedOut": "RequestTimeout",
    "RequestExecutionException": "ResponseError",
    "UnavailableException": "Unavailable",
}


def __getattr__(name: str) -> Any:
    """Say what the errors of cassandra-driver have become: with an ImportError, whose text `from` does not hide."""
    if name in _OLD_NAMES:
        raise ImportError(f"there is no error {name!r}; write {_OLD_NAMES[name]}", name=__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
