"""ERROR messages: one exception class a code, with the fields that go along with it (v5, section 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql import errors
from triocql.errors import ProtocolError, ResponseError
from triocql.protocol.constants import V5, Consistency, ErrorCode
from triocql.protocol.features import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.protocol.features import Features
    from triocql.protocol.reader import IPAddress, Reader

Fields = dict[str, Any]


def read_error(reader: Reader, version: int, features: Features = PLAIN) -> ResponseError:
    """Return the exception that an ERROR stands for; ResponseError itself for a code that is not known."""
    code = reader.int32()
    message = reader.string()
    if code == features.rate_limit_code:
        return _rate_limit(reader, message, code)
    kind, fields = _ERRORS.get(code, (ResponseError, _none))
    error = kind(message, code=code, **fields(reader, version))
    error.maybe_executed = code not in _NOT_EXECUTED and (code, message) not in _NOT_BEGUN
    return error


def _rate_limit(reader: Reader, message: str, code: int) -> ResponseError:
    operation, by_coordinator = reader.byte(), bool(reader.byte())
    return errors.RateLimitReached(
        message, code=code, op_type=operation, rejected_by_coordinator=by_coordinator
    )


def _none(reader: Reader, version: int) -> Fields:
    return {}


def _consistency(reader: Reader) -> Consistency:
    number = reader.short()
    try:
        return Consistency(number)
    except ValueError as error:
        raise ProtocolError(f"consistency {number:#06x} is not known") from error


def _unavailable(reader: Reader, version: int) -> Fields:
    return {"consistency": _consistency(reader), "required": reader.int32(), "alive": reader.int32()}


def _acknowledged(reader: Reader) -> Fields:
    return {"consistency": _consistency(reader), "received": reader.int32(), "required": reader.int32()}


def _read_timeout(reader: Reader, version: int) -> Fields:
    return _acknowledged(reader) | {"data_present": bool(reader.byte())}


def _write_timeout(reader: Reader, version: int) -> Fields:
    fields = _acknowledged(reader) | {"write_type": reader.string(), "contentions": None}
    # Sent for conditional writes alone: how often others came in between.
    if version >= V5 and fields["write_type"] == "CAS":
        fields["contentions"] = reader.short()
    return fields


def _failures(reader: Reader, version: int) -> Fields:
    """Read how many replicas failed, and from v5 on which and why."""
    count = reader.int32()
    if version < V5:
        return {"failures": count, "reasons": {}}
    reasons: dict[IPAddress, int] = {}
    for _ in range(reader.count(count, 7)):  # an address has 5 bytes at least, a code 2
        address = reader.address()
        reasons[address] = reader.short()
    return {"failures": count, "reasons": reasons}


def _read_failure(reader: Reader, version: int) -> Fields:
    return _acknowledged(reader) | _failures(reader, version) | {"data_present": bool(reader.byte())}


def _write_failure(reader: Reader, version: int) -> Fields:
    return _acknowledged(reader) | _failures(reader, version) | {"write_type": reader.string()}


def _cas_write_unknown(reader: Reader, version: int) -> Fields:
    return _acknowledged(reader)


def _function_failure(reader: Reader, version: int) -> Fields:
    return {"keyspace": reader.string(), "function": reader.string(), "arg_types": reader.string_list()}


def _already_exists(reader: Reader, version: int) -> Fields:
    return {"keyspace": reader.string(), "table": reader.string()}


def _unprepared(reader: Reader, version: int) -> Fields:
    return {"id": reader.short_bytes()}


_ERRORS: dict[int, tuple[type[ResponseError], Callable[[Reader, int], Fields]]] = {
    ErrorCode.SERVER_ERROR: (errors.ServerError, _none),
    ErrorCode.PROTOCOL_ERROR: (errors.ProtocolViolation, _none),
    ErrorCode.BAD_CREDENTIALS: (errors.BadCredentials, _none),
    ErrorCode.UNAVAILABLE: (errors.Unavailable, _unavailable),
    ErrorCode.OVERLOADED: (errors.Overloaded, _none),
    ErrorCode.IS_BOOTSTRAPPING: (errors.IsBootstrapping, _none),
    ErrorCode.TRUNCATE_ERROR: (errors.TruncateError, _none),
    ErrorCode.WRITE_TIMEOUT: (errors.WriteTimeout, _write_timeout),
    ErrorCode.READ_TIMEOUT: (errors.ReadTimeout, _read_timeout),
    ErrorCode.READ_FAILURE: (errors.ReadFailure, _read_failure),
    ErrorCode.FUNCTION_FAILURE: (errors.FunctionFailure, _function_failure),
    ErrorCode.WRITE_FAILURE: (errors.WriteFailure, _write_failure),
    ErrorCode.CDC_WRITE_FAILURE: (errors.CdcWriteFailure, _none),
    ErrorCode.CAS_WRITE_UNKNOWN: (errors.CasWriteUnknown, _cas_write_unknown),
    ErrorCode.SYNTAX_ERROR: (errors.SyntaxError, _none),
    ErrorCode.UNAUTHORIZED: (errors.Unauthorized, _none),
    ErrorCode.INVALID: (errors.InvalidQuery, _none),
    ErrorCode.CONFIG_ERROR: (errors.ConfigurationError, _none),
    ErrorCode.ALREADY_EXISTS: (errors.AlreadyExists, _already_exists),
    ErrorCode.UNPREPARED: (errors.Unprepared, _unprepared),
}

_NOT_EXECUTED = frozenset(
    {
        ErrorCode.PROTOCOL_ERROR,
        ErrorCode.BAD_CREDENTIALS,
        ErrorCode.UNAVAILABLE,
        ErrorCode.IS_BOOTSTRAPPING,
        ErrorCode.SYNTAX_ERROR,
        ErrorCode.UNAUTHORIZED,
        ErrorCode.INVALID,
        ErrorCode.CONFIG_ERROR,
        ErrorCode.ALREADY_EXISTS,
        ErrorCode.UNPREPARED,
    }
)
"""The codes after which nothing was executed: the statement was refused before any replica was asked."""

_NOT_BEGUN = frozenset(
    {
        (ErrorCode.OVERLOADED, "Server is shutting down"),
        (ErrorCode.OVERLOADED, "Query timed out before it could start"),
    }
)
"""What Cassandra 5.0 answers in place of executing a request, which nobody has looked at. (Other answers of that code
come in the middle of a write, from a replica's queue of hints.)"""
