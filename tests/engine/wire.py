"""The server's side of the protocol, encoded independently of the driver: frames, segments and responses."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

ERROR, READY, AUTHENTICATE, SUPPORTED, RESULT = 0x00, 0x02, 0x03, 0x06, 0x08
EVENT, AUTH_CHALLENGE, AUTH_SUCCESS = 0x0C, 0x0E, 0x10
VOID, ROWS, SET_KEYSPACE, PREPARED = 1, 2, 3, 4
HAS_MORE_PAGES, NO_METADATA, METADATA_CHANGED = 0x02, 0x04, 0x08
QUORUM = b"\x00\x04"

TYPES = {
    "int": 0x09,
    "bigint": 0x02,
    "text": 0x0D,
    "timestamp": 0x0B,
    "uuid": 0x0C,
    "timeuuid": 0x0F,
    "inet": 0x10,
}
_GLOBAL_TABLE = 0x01
_MAX_PAYLOAD = 0x1FFFF

Column = tuple[str, str]
"""A name and one of `TYPES`, or a user-defined type of texts: "name(field, field)"."""


def integer(number: int) -> bytes:
    return struct.pack(">i", number)


def short(number: int) -> bytes:
    return struct.pack(">H", number)


def string(text: str) -> bytes:
    return short(len(text.encode())) + text.encode()


def short_bytes(data: bytes) -> bytes:
    return short(len(data)) + data


def long_bytes(data: bytes | None) -> bytes:
    return integer(-1) if data is None else integer(len(data)) + data


# --- Frames and segments ---------------------------------------------------------------------------------------


def frame(version: int, stream: int, opcode: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BBhBi", 0x80 | version, flags, stream, opcode, len(body)) + body


def segments(payload: bytes) -> bytes:
    """Return the uncompressed segments of one frame."""
    pieces = [payload[i : i + _MAX_PAYLOAD] for i in range(0, len(payload), _MAX_PAYLOAD)]
    return b"".join(segment(piece, whole=len(pieces) == 1) for piece in pieces)


def segment(payload: bytes, *, whole: bool) -> bytes:
    """Return one uncompressed segment; `whole` if no frame goes on beyond it."""
    head = (len(payload) | whole << 17).to_bytes(3, "little")
    return sealed(head, payload)


def compressed_segment(payload: bytes, plain: int) -> bytes:
    """Return one segment in the format for compression that says so of its length before."""
    return sealed((len(payload) | plain << 17 | 1 << 34).to_bytes(5, "little"), payload)


def sealed(head: bytes, payload: bytes) -> bytes:
    """Return a segment with its checksums."""
    trailer = zlib.crc32(payload, zlib.crc32(b"\xfa\x2d\x55\xca"))
    return head + _crc24(head).to_bytes(3, "little") + payload + trailer.to_bytes(4, "little")


def _crc24(data: bytes) -> int:
    register = 0x875060
    for byte in data:
        register ^= byte << 16
        for _ in range(8):
            register <<= 1
            if register & 0x1000000:
                register ^= 0x1974F0B
    return register


# --- Bodies ----------------------------------------------------------------------------------------------------


def error(code: int, message: str = "no reason", fields: bytes = b"") -> bytes:
    return integer(code) + string(message) + fields


def supported(options: Mapping[str, Sequence[str]]) -> bytes:
    parts = [short(len(options))]
    for name, values in options.items():
        parts += [string(name), short(len(values)), *map(string, values)]
    return b"".join(parts)


def void() -> bytes:
    return integer(VOID)


def set_keyspace(name: str) -> bytes:
    return integer(SET_KEYSPACE) + string(name)


def columns(specs: Iterable[Column]) -> bytes:
    return b"".join(string(name) + column_type(kind) for name, kind in specs)


def column_type(kind: str) -> bytes:
    name, _, inner = kind.rstrip(")").partition("(")
    if not inner:
        return short(TYPES[kind])
    fields = [string(field) + short(TYPES["text"]) for field in inner.split(", ")]
    return short(0x30) + string("ks") + string(name) + short(len(fields)) + b"".join(fields)


def rows(
    specs: Sequence[Column],
    cells: Sequence[Sequence[bytes | None]],
    *,
    paging_state: bytes | None = None,
    describe: bool = True,
    new_metadata_id: bytes | None = None,
) -> bytes:
    """Return a RESULT/Rows; without `describe` the columns are left out."""
    flags = _GLOBAL_TABLE if describe else NO_METADATA | _GLOBAL_TABLE  # as Cassandra sets them
    extras = b""
    if paging_state is not None:
        flags |= HAS_MORE_PAGES
        extras += long_bytes(paging_state)
    if new_metadata_id is not None:
        flags |= METADATA_CHANGED
        extras += short_bytes(new_metadata_id)
    body = integer(ROWS) + integer(flags) + integer(len(specs)) + extras
    if describe:
        body += string("ks") + string("t") + columns(specs)
    values = b"".join(long_bytes(cell) for row in cells for cell in row)
    return body + integer(len(cells)) + values


def prepared(
    version: int,
    statement_id: bytes,
    binds: Sequence[Column],
    result: Sequence[Column],
    metadata_id: bytes,
    keyspace: str = "ks",
) -> bytes:
    """Return a RESULT/Prepared; the first bind marker is the partition key."""
    head = integer(PREPARED) + short_bytes(statement_id)
    if version >= 5:
        head += short_bytes(metadata_id)
    keys = b"\x00\x00" if binds else b""
    table = string(keyspace) + string("t")
    head += integer(_GLOBAL_TABLE) + integer(len(binds))
    head += integer(len(keys) // 2) + keys if version >= 4 else b""
    head += table + columns(binds) if binds else b""
    flags = _GLOBAL_TABLE if result else NO_METADATA
    head += integer(flags) + integer(len(result))
    return head + (table + columns(result) if result else b"")
