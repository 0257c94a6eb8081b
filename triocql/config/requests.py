"""The options of requests: those of a session, a profile, a statement and a call, laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from operator import attrgetter
from typing import Any, TypeAlias, TypedDict, cast

from triocql._brief import brief
from triocql._hints import check_options
from triocql.config.checks import require, require_integer, require_keyspace, require_seconds, require_type
from triocql.errors import OptionError
from triocql.metadata.node import Node
from triocql.protocol.constants import MAX_INT, SERVER, Consistency

Payload: TypeAlias = "Mapping[str, bytes | None] | Callable[[], Mapping[str, bytes | None]]"
"""A custom payload, or a function that makes one for each request."""


class RequestKeywords(TypedDict, total=False):
    """The fields of `RequestOptions` as keyword arguments."""

    timeout: float | None
    attempt_timeout: float | None
    consistency: Consistency | str | None
    serial_consistency: Consistency | str | None
    page_size: int | None
    paging_state: bytes | None
    timestamp: int | None
    tracing: bool | None
    custom_payload: Payload | None
    keyspace: str | None
    now_in_seconds: int | None
    idempotent: bool | None
    lwt: bool | None
    node: Node | None
    profile: str | None


def _check_consistency(value: object, name: str) -> None:
    allowed = f"one of triocql.Consistency, or its name: {', '.join(Consistency.__members__)}"
    require(isinstance(value, Consistency), name, value, allowed)


def _check_serial(value: object, name: str) -> None:
    serial = isinstance(value, Consistency) and value.is_serial
    require(serial, name, value, "triocql.Consistency.SERIAL or LOCAL_SERIAL, or the name of one")


def _check_bool(value: object, name: str) -> None:
    require(isinstance(value, bool), name, value, "True or False")


def _check_payload(value: Any, name: str) -> None:
    if not callable(value):
        check_payload(value, name, ", or a function that returns one")


def check_payload(value: Any, name: str, otherwise: str = "") -> None:
    """Raise OptionError for what is no custom payload."""
    require_type(value, Mapping, name, f"a mapping of str to bytes{otherwise}")
    for key, item in value.items():
        require_type(key, str, f"a key of {name}", "a str")
        require_type(item, (bytes, type(None)), f"{name}[{brief(key)}]", "bytes, or None")


def _check_profile(value: object, name: str) -> None:
    require(isinstance(value, str) and value != "", name, value, "the name of a profile of the session")


_CHECKS: dict[str, Callable[[Any, str], None]] = {
    "timeout": require_seconds,
    "attempt_timeout": require_seconds,
    "consistency": _check_consistency,
    "serial_consistency": _check_serial,
    "page_size": lambda value, name: require_integer(value, name, 1, MAX_INT),
    "timestamp": lambda value, name: require_integer(value, name, SERVER, 2**63 - 1),
    "tracing": _check_bool,
    "custom_payload": _check_payload,
    "keyspace": require_keyspace,
    "now_in_seconds": lambda value, name: require_integer(value, name, 0, MAX_INT),
    "idempotent": _check_bool,
    "lwt": _check_bool,
    "paging_state": lambda value, name: require_type(value, bytes, name, "bytes"),
    "node": lambda value, name: require_type(value, Node, name, "a Node"),
    "profile": _check_profile,
}
_OF_ONE_REQUEST = ("paging_state", "node", "profile")
_NAMES = tuple(_CHECKS)
_SHARED = tuple(name for name in _NAMES if name not in _OF_ONE_REQUEST)
_values = attrgetter(*_NAMES)


def _check(options: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None:
            _CHECKS[name](value, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOptions:
    """Options of requests that many of them may share: those of calls and statements, and of profiles. None stands for
    "as the layer below says". What they mean is said at `RequestOptions`.
    """

    timeout: float | None = None
    attempt_timeout: float | None = None
    consistency: Consistency | str | None = None
    serial_consistency: Consistency | str | None = None
    page_size: int | None = None
    timestamp: int | None = None
    tracing: bool | None = None
    custom_payload: Payload | None = field(default=None, repr=False)
    keyspace: str | None = None
    now_in_seconds: int | None = None
    idempotent: bool | None = None
    lwt: bool | None = None

    def __post_init__(self) -> None:
        for name in ("consistency", "serial_consistency"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Consistency.__members__.get(value.upper(), value))
        _check(self, _SHARED)
        timeout, attempt = self.timeout, self.attempt_timeout
        if timeout is not None and attempt is not None and timeout <= attempt < inf:
            raise OptionError(
                f"attempt_timeout is {attempt!r}; it has to be less than timeout, which is {timeout!r}, of the "
                "whole call, or it never counts"
            )

    @property
    def shared(self) -> RequestOptions:
        """These options, as those of a request."""
        return RequestOptions(**{name: getattr(self, name) for name in _SHARED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions(SharedOptions):
    """Options of a request. None stands for "as the layer below says".

    A call's own arguments go before those of its statement, these before those of its profile, if it has one, and
    those before the session's.

    Attributes:
        timeout: seconds for the whole call: queueing, connecting, preparing, sending, waiting, and retries;
            `math.inf` for no bound.
        attempt_timeout: seconds for one attempt of the call on a node, from when it is given to a connection;
            after that, the next node gets it, if it may be executed twice. By default, and with `math.inf`, there is no
            bound but the call's.
        consistency: how many replicas have to answer: one of `triocql.Consistency`, or its name.
        serial_consistency: SERIAL or LOCAL_SERIAL, for the condition of a conditional update.
        page_size: the most rows in a page.
        timestamp: the write time of the cells, in microseconds since 1970; by default the client's clock,
            `triocql.SERVER` for the node's.
        tracing: whether the server records what it does: see `Result.trace`.
        custom_payload: for a query handler of the server's own; protocol v4 or newer. A function is called for each
            call without arguments, and returns what its requests have, an empty mapping for none.
        keyspace: where unqualified table names are looked up; protocol v5.
        now_in_seconds: the time that the server takes for "now", in seconds since 1970; protocol v5.
        idempotent: whether executing it twice does no harm, so that it may be retried. By default a SELECT is
            and nothing else.
        lwt: whether it is a lightweight transaction, which goes to the first replica of its partition; by default, one
            is that has an IF, or a serial consistency.
        paging_state: where to go on: the `Result.paging_state` of an earlier result of the same statement.
        node: the only node that it goes to: one that the session knows, such as `result.coordinator`. It does not
            wait for room there, unless many are started at once by what bounds itself, as `execute_concurrent`, and is
            not tried again at once where the next node would be.
        profile: the name of the profile whose options and policies it has, one of the session's `profiles`;
            "default" for the session's own, where the statement names another one.

    Raises OptionError for a value out of range or of a wrong type.

    >>> RequestOptions(page_size=100).page_size
    100
    """

    consistency: Consistency | None = None
    serial_consistency: Consistency | None = None
    paging_state: bytes | None = field(default=None, repr=False)
    node: Node | None = field(default=None, repr=False)
    profile: str | None = None

    def __post_init__(self) -> None:
        SharedOptions.__post_init__(self)
        _check(self, _OF_ONE_REQUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOptions(RequestOptions):
    """Request options that leave nothing open: the session's defaults, and what `merge` makes of them.

    >>> ResolvedOptions().timeout, ResolvedOptions().page_size
    (10.0, 5000)
    """

    timeout: float = 10.0
    attempt_timeout: float | None = None
    consistency: Consistency = Consistency.LOCAL_ONE
    serial_consistency: Consistency = Consistency.SERIAL
    page_size: int = 5000
    tracing: bool = False
    custom_payload: Payload | None = field(default=None, repr=False)

    @property
    def attempt_seconds(self) -> float:
        """The bound of each attempt; 0.0 for none."""
        return 0.0 if self.attempt_timeout is None or self.attempt_timeout == inf else self.attempt_timeout


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
