"""The errors that a node can answer with, and their fields (section 8 of the protocol's v5 specification)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from . import wire


class ErrorCode(IntEnum):
    """The codes of ERROR."""

    SERVER_ERROR = 0x0000
    PROTOCOL_ERROR = 0x000A
    BAD_CREDENTIALS = 0x0100
    UNAVAILABLE = 0x1000
    OVERLOADED = 0x1001
    IS_BOOTSTRAPPING = 0x1002
    TRUNCATE_ERROR = 0x1003
    WRITE_TIMEOUT = 0x1100
    READ_TIMEOUT = 0x1200
    READ_FAILURE = 0x1300
    FUNCTION_FAILURE = 0x1400
    WRITE_FAILURE = 0x1500
    CDC_WRITE_FAILURE = 0x1600
    CAS_WRITE_UNKNOWN = 0x1700
    SYNTAX_ERROR = 0x2000
    UNAUTHORIZED = 0x2100
    INVALID = 0x2200
    CONFIG_ERROR = 0x2300
    ALREADY_EXISTS = 0x2400
    UNPREPARED = 0x2500


class Consistency(IntEnum):
    """The consistency levels and their numbers."""

    ANY = 0
    ONE = 1
    TWO = 2
    THREE = 3
    QUORUM = 4
    ALL = 5
    LOCAL_QUORUM = 6
    EACH_QUORUM = 7
    SERIAL = 8
    LOCAL_SERIAL = 9
    LOCAL_ONE = 10


_LONGEST = 0xFFFF
"""Bytes of a message."""

_COUNTS: dict[str, Any] = {"consistency": Consistency.ONE, "received": 0, "required": 1}
_FAILED = _COUNTS | {"reasons": {}, "failures": None}
FIELDS: dict[ErrorCode, dict[str, Any]] = {
    ErrorCode.UNAVAILABLE: {"consistency": Consistency.ONE, "required": 1, "alive": 0},
    ErrorCode.WRITE_TIMEOUT: _COUNTS | {"write_type": "SIMPLE", "contentions": 0},
    ErrorCode.READ_TIMEOUT: _COUNTS | {"data_present": False},
    ErrorCode.READ_FAILURE: _FAILED | {"data_present": False},
    ErrorCode.FUNCTION_FAILURE: {"keyspace": "", "function": "", "arg_types": ()},
    ErrorCode.WRITE_FAILURE: _FAILED | {"write_type": "SIMPLE"},
    ErrorCode.CAS_WRITE_UNKNOWN: dict(_COUNTS),
    ErrorCode.ALREADY_EXISTS: {"keyspace": "", "table": ""},
    ErrorCode.UNPREPARED: {"id": b""},
}
"""The fields of the codes that have some, with what they are unless given."""

_SINCE_V4: dict[int, int] = {
    ErrorCode.READ_FAILURE: ErrorCode.READ_TIMEOUT,
    ErrorCode.WRITE_FAILURE: ErrorCode.WRITE_TIMEOUT,
    ErrorCode.FUNCTION_FAILURE: ErrorCode.INVALID,
    ErrorCode.CDC_WRITE_FAILURE: ErrorCode.INVALID,
}
_SINCE_V5: dict[int, int] = {ErrorCode.CAS_WRITE_UNKNOWN: ErrorCode.WRITE_TIMEOUT}
_INSTEAD: dict[int, dict[int, int]] = {3: _SINCE_V4 | _SINCE_V5, 4: _SINCE_V5}
"""For each version, the codes that it lacks and what stands for them there."""


def check_fields(code: int, fields: Mapping[str, Any]) -> None:
    """Raise a TypeError for fields that the code does not have."""
    known = FIELDS[ErrorCode(code)] if code in FIELDS else {}
    if unknown := fields.keys() - known.keys():
        raise TypeError(
            f"error 0x{code:04X} has no field {', '.join(sorted(unknown))}; it has: {', '.join(known) or 'none'}"
        )


def encode_error(
    version: int, code: int, message: str, fields: Mapping[str, Any], tail: bytes = b""
) -> bytes:
    """Return the body of an ERROR. Versions that lack a code get the one that stood for it then."""
    if code == ErrorCode.CAS_WRITE_UNKNOWN and version < 5:
        fields = {"write_type": "CAS", **fields}
    code = _INSTEAD.get(version, {}).get(code, code)
    whole = message.encode()[:_LONGEST].decode(errors="ignore")  # it may name a query, which may be longer
    body = wire.integer(code) + wire.string(whole)
    if code in FIELDS:
        known = FIELDS[ErrorCode(code)]
        body += _encode_fields(version, code, {**known, **{k: v for k, v in fields.items() if k in known}})
    return body + tail


def _encode_fields(version: int, code: int, fields: Mapping[str, Any]) -> bytes:
    body = b""
    for name, content in fields.items():
        if name == "failures" or (name == "contentions" and (version < 5 or fields["write_type"] != "CAS")):
            continue
        if name == "reasons":
            body += _reasons(version, content, fields["failures"])
        else:
            body += _ENCODERS[name](content)
    return body


def _reasons(version: int, reasons: Mapping[Any, int], failures: int | None) -> bytes:
    body = wire.integer(len(reasons) if failures is None else failures)
    if version >= 5:
        body += b"".join(wire.inetaddr(address) + wire.short(reason) for address, reason in reasons.items())
    return body


_ENCODERS: dict[str, Any] = {
    "consistency": wire.short,
    "required": wire.integer,
    "alive": wire.integer,
    "received": wire.integer,
    "write_type": wire.string,
    "contentions": wire.short,
    "data_present": lambda present: bytes([present]),
    "keyspace": wire.string,
    "function": wire.string,
    "arg_types": wire.string_list,
    "table": wire.string,
    "id": wire.short_bytes,
}
