"""What ScyllaDB adds to the protocol: what its nodes say of themselves in SUPPORTED, and what is echoed in STARTUP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from uuid import UUID

from triocql._brief import brief
from triocql.protocol.constants import (
    MAX_INT,
    MAX_SHORT,
    ROWS_GLOBAL_TABLE_SPEC,
    ROWS_HAS_MORE_PAGES,
    ROWS_METADATA_CHANGED,
    ROWS_NO_METADATA,
    ErrorCode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Supported = Mapping[str, tuple[str, ...]]

T = TypeVar("T")

TABLETS_V1: Final = "TABLETS_ROUTING_V1"
TABLETS_V2: Final = ("TABLETS_ROUTING_V2_EXPERIMENTAL_V2", "TABLETS_ROUTING_V2_EXPERIMENTAL")
"""The names of one and the same, the newest first. Others that begin alike may mean something else."""
METADATA_ID: Final = "SCYLLA_USE_METADATA_ID"
LWT_MARK: Final = "SCYLLA_LWT_ADD_METADATA_MARK"
LWT_MASK: Final = "LWT_OPTIMIZATION_META_BIT_MASK="
RATE_LIMIT: Final = "SCYLLA_RATE_LIMIT_ERROR"
HOST_ID: Final = "SCYLLA_HOST_ID"
SHARDS: Final = "SCYLLA_NR_SHARDS"
PORT: Final = "SCYLLA_SHARD_AWARE_PORT"
TLS_PORT: Final = "SCYLLA_SHARD_AWARE_PORT_SSL"

LAYOUT_METADATA_ID: Final = 1
LAYOUT_TABLET_BLOCK: Final = 2
"""What EXECUTE has more than the protocol says, on a connection where that was agreed upon: after the statement's id
that of its result's metadata; and at the end a byte of the version of a tablet."""

_PREFIXES = ("SCYLLA_", "TABLETS_ROUTING_")
_SHARD, _IGNORE_MSB = "SCYLLA_SHARD", "SCYLLA_SHARDING_IGNORE_MSB"
_SHARDING = {
    "SCYLLA_SHARDING_ALGORITHM": "biased-token-round-robin",
    "SCYLLA_PARTITIONER": "org.apache.cassandra.dht.Murmur3Partitioner",
}
_CODE = "ERROR_CODE="
_MOST_MSB = 63
_MOST_MASK = 0xFFFF_FFFF
_USUAL_FLAGS = ROWS_GLOBAL_TABLE_SPEC | ROWS_HAS_MORE_PAGES | ROWS_NO_METADATA | ROWS_METADATA_CHANGED
_MOST_DIGITS = 10


class Unreadable(Exception):
    """What a node says of an extension means nothing. Internal."""


class Sharding(NamedTuple):
    """How a node spreads its partitions over its shards, and which of these serves a connection.

    Attributes:
        shard: the one that serves the connection.
        shard_count: how many there are.
        ignore_msb: how many of a token's most significant bits do not count.
        port: where a client chooses the shard by its own port; None if there is no such port.
        tls_port: the same, for TLS.
    """

    shard: int
    shard_count: int
    ignore_msb: int
    port: int | None = None
    tls_port: int | None = None


class Faults:
    """Takes in what is unreadable, by the names of the extensions: these are off then."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def ask(self, name: str, read: Callable[[Supported], T | None], supported: Supported) -> T | None:
        """Return what `read` finds; None if that is unreadable."""
        try:
            return read(supported)
        except Unreadable as error:
            self.found[name] = str(error)
            return None


def is_scylla(supported: Supported) -> bool:
    """Return whether a node that says this is one of ScyllaDB."""
    return any(name.startswith(_PREFIXES) for name in supported)


def read_sharding(supported: Supported) -> Sharding | None:
    """Return how a node shards; None if it says nothing of that. Raises Unreadable for parts, and for nonsense."""
    needed = (_SHARD, SHARDS, _IGNORE_MSB, *_SHARDING)
    if not any(name in supported for name in needed):
        return None
    for name, usual in _SHARDING.items():
        if (value := _value(supported, name)) != usual:
            raise Unreadable(f"{name} is {brief(value)}, not {usual!r}")
    count = _number(supported, SHARDS, 1, MAX_SHORT)
    shard = _number(supported, _SHARD, 0, count - 1)
    return Sharding(shard, count, _number(supported, _IGNORE_MSB, 0, _MOST_MSB))


def read_port(supported: Supported) -> int | None:
    """Return the port where clients choose the shard, for connections without TLS. Raises Unreadable."""
    return _number(supported, PORT, 1, MAX_SHORT) if PORT in supported else None


def read_tls_port(supported: Supported) -> int | None:
    """Return the port where clients choose the shard, for connections with TLS. Raises Unreadable."""
    return _number(supported, TLS_PORT, 1, MAX_SHORT) if TLS_PORT in supported else None


def read_host_id(supported: Supported) -> UUID | None:
    """Return which node it is; None if it does not say. Raises Unreadable."""
    if HOST_ID not in supported:
        return None
    value = _value(supported, HOST_ID)
    try:
        return UUID(value)
    except ValueError:
        raise Unreadable(f"{HOST_ID} is {brief(value)}, which is no UUID") from None


def read_lwt_mask(supported: Supported) -> int | None:
    """Return the flags by which a prepared statement is marked that is a lightweight transaction. Raises Unreadable."""
    mask = _parameter(supported, LWT_MARK, LWT_MASK, _MOST_MASK)
    if mask is not None and mask & _USUAL_FLAGS:  # every other statement would be one
        raise Unreadable(
            f"{LWT_MARK} has the mask {mask:#x}, of which the protocol has given a meaning to a part"
        )
    return mask


def read_rate_limit_code(supported: Supported) -> int | None:
    """Return the code of the error of whoever is asked too often. Raises Unreadable."""
    code = _parameter(supported, RATE_LIMIT, _CODE, MAX_INT)
    if code in tuple(ErrorCode):
        raise Unreadable(f"{RATE_LIMIT} has the code {code:#06x}, which is that of another error")
    return code


def _parameter(supported: Supported, name: str, key: str, most: int) -> int | None:
    """Return the number that an extension has as its parameter, from 1 to `most`; None if it is not offered."""
    if name not in supported:
        return None
    found = [value[len(key) :] for value in supported[name] if value.startswith(key)]
    if len(found) != 1:
        raise Unreadable(f"{name} is {brief(supported[name])}, without one {key}")
    return _in_range(name, found[0], 1, most)


def _number(supported: Supported, name: str, least: int, most: int) -> int:
    return _in_range(name, _value(supported, name), least, most)


def _in_range(name: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and least <= int(text) <= most:
        return int(text)
    raise Unreadable(f"{name} is {brief(text)}, which is no number from {least} to {most}")


def _value(supported: Supported, name: str) -> str:
    """Return the value of an option that has one."""
    if name not in supported:
        raise Unreadable(f"{name} is missing")
    values = supported[name]
    if len(values) != 1:
        raise Unreadable(f"{name} has {len(values)} values")
    return values[0]
