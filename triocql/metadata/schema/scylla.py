"""Options of tables that Scylla keeps as bytes among the ``extensions``, as its ``DESCRIBE`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from triocql.codecs.values import FrozenMap

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAPS: Final = ("cdc", "per_partition_rate_limit", "tombstone_gc")
_NUMBERS: Final = ("paxos_grace_seconds",)
_TAGS: Final = "scylla_tags"
_SYNCHRONOUS: Final = "system:synchronous_view_updates"


def decoded(extensions: Mapping[str, bytes]) -> tuple[dict[str, Any], FrozenMap[str, bytes]]:
    """Return the options that are among some extensions, and those of these that are none, or cannot be read."""
    options: dict[str, Any] = {}
    rest: dict[str, bytes] = {}
    for name, raw in extensions.items():
        try:
            if name in _MAPS:
                options[name] = FrozenMap(_map(raw))
            elif name in _NUMBERS and len(raw) == 4:
                options[name] = int.from_bytes(raw, "little", signed=True)
            elif name == _TAGS and _map(raw).keys() == {_SYNCHRONOUS}:
                options["synchronous_updates"] = _map(raw)[_SYNCHRONOUS] == "true"
            else:
                rest[name] = raw
        except ValueError:
            rest[name] = raw
    return options, FrozenMap(rest)


def _map(raw: bytes) -> dict[str, str]:
    """Read a map of texts: their number, and each with its length before it, the lowest byte of numbers first."""
    found: dict[str, str] = {}
    count, at = _length(raw, 0), 4
    if count * 8 > len(raw):
        raise ValueError("too short")
    for _ in range(count):
        key, at = _text(raw, at)
        found[key], at = _text(raw, at)
    if at != len(raw):
        raise ValueError("too long")
    return found


def _text(raw: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + _length(raw, at)
    if end > len(raw):
        raise ValueError("too short")
    return raw[at + 4 : end].decode(), end


def _length(raw: bytes, at: int) -> int:
    if at + 4 > len(raw):
        raise ValueError("too short")
    return int.from_bytes(raw[at : at + 4], "little")
