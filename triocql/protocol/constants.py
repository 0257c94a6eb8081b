"""The numbers and names of the native protocol (sections 2, 3, 4.2.5 and 9 of its v5 specification)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

V3 = 3
V4 = 4
V5 = 5
VERSIONS = (V5, V4, V3)
"""The versions spoken here, newest first."""

CQL_VERSION = "3.0.0"

HEADER_SIZE = 9
RESPONSE_BIT = 0x80
"""Set in the version byte of whatever a server sends."""

MAX_FRAME = 256 * 1024 * 1024
"""The longest frame body that is accepted, in bytes; servers have the same limit."""

MAX_SHORT = 0xFFFF
MAX_INT = 0x7FFFFFFF

EVENT_STREAM = -1
"""The stream id of what a server sends unasked."""

# Flags of the frame header.
FLAG_COMPRESSED = 0x01
FLAG_TRACING = 0x02
FLAG_CUSTOM_PAYLOAD = 0x04
FLAG_WARNING = 0x08
FLAG_BETA = 0x10

# Flags of the query parameters.
QUERY_VALUES = 0x0001
QUERY_SKIP_METADATA = 0x0002
QUERY_PAGE_SIZE = 0x0004
QUERY_PAGING_STATE = 0x0008
QUERY_SERIAL_CONSISTENCY = 0x0010
QUERY_TIMESTAMP = 0x0020
QUERY_VALUE_NAMES = 0x0040
QUERY_KEYSPACE = 0x0080
QUERY_NOW_IN_SECONDS = 0x0100

PREPARE_KEYSPACE = 0x01

# Flags of the metadata of rows.
ROWS_GLOBAL_TABLE_SPEC = 0x0001
ROWS_HAS_MORE_PAGES = 0x0002
ROWS_NO_METADATA = 0x0004
ROWS_METADATA_CHANGED = 0x0008


class Opcode(IntEnum):
    """The kinds of messages: what the body of a frame is."""

    ERROR = 0x00
    STARTUP = 0x01
    READY = 0x02
    AUTHENTICATE = 0x03
    OPTIONS = 0x05
    SUPPORTED = 0x06
    QUERY = 0x07
    RESULT = 0x08
    PREPARE = 0x09
    EXECUTE = 0x0A
    REGISTER = 0x0B
    EVENT = 0x0C
    BATCH = 0x0D
    AUTH_CHALLENGE = 0x0E
    AUTH_RESPONSE = 0x0F
    AUTH_SUCCESS = 0x10


class ResultKind(IntEnum):
    """The kinds of results: what the body of a RESULT is."""

    VOID = 1
    ROWS = 2
    SET_KEYSPACE = 3
    PREPARED = 4
    SCHEMA_CHANGE = 5


class Consistency(IntEnum):
    """How many replicas have to answer a request.

    >>> Consistency.LOCAL_QUORUM
    <Consistency.LOCAL_QUORUM: 6>
    """

    ANY = 0x00
    ONE = 0x01
    TWO = 0x02
    THREE = 0x03
    QUORUM = 0x04
    ALL = 0x05
    LOCAL_QUORUM = 0x06
    EACH_QUORUM = 0x07
    SERIAL = 0x08
    LOCAL_SERIAL = 0x09
    LOCAL_ONE = 0x0A

    @property
    def is_serial(self) -> bool:
        """Whether this is a level for the serial phase of conditional updates (and for serial reads)."""
        return self in (Consistency.SERIAL, Consistency.LOCAL_SERIAL)


class BatchKind(IntEnum):
    """The type byte of a BATCH."""

    LOGGED = 0
    UNLOGGED = 1
    COUNTER = 2


class ErrorCode(IntEnum):
    """The code of an ERROR."""

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


class Unset:
    """The type of `UNSET`, of which there is one instance."""

    _instance: Unset | None = None

    def __new__(cls) -> Unset:  # noqa: D102
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = Unset()
"""Bind this to leave a column as it is: neither written nor, as None does, deleted. Needs protocol v4."""

SERVER: Final = -(2**63)
"""Give this as the option `timestamp` to leave the write time to the node, by its clock. It is the one number of 64
bits that is no timestamp: the server itself writes it for "none".
"""
