"""Bytes of an EXECUTE body put together, and looked at. `_joining.pxd` has the same functions for compiled modules."""

from __future__ import annotations

from triocql.protocol.constants import SERVER


def join(
    payload: bytes, prefix: bytes, head: bytes, values: bytes, before: bytes, timestamp: int, after: bytes
) -> bytes:
    """Return the parts of an EXECUTE body in one piece; `timestamp` in microseconds, `SERVER` for none."""
    stamp = b"" if timestamp == SERVER else timestamp.to_bytes(8, "big", signed=True)
    return b"".join((payload, prefix, head, values, before, stamp, after))


def begins_with(body: bytes, head: bytes) -> bool:
    """Whether `body` begins with `head`, and an [int] follows."""
    return len(body) >= len(head) + 4 and body.startswith(head)


def int_at(body: bytes, offset: int) -> int:
    """Return the [int] at `offset`."""
    return int.from_bytes(body[offset : offset + 4], "big", signed=True)
