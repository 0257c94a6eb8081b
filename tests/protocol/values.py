"""The values of a request, in order or with their names, as `QueryParameters.values` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.protocol.constants import Unset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def in_order(values: Sequence[bytes | Unset | None]) -> bytes:
    return len(values).to_bytes(2) + b"".join(map(encoded, values))


def with_names(values: Mapping[str, bytes | Unset | None]) -> bytes:
    parts = [len(values).to_bytes(2)]
    for name, value in values.items():
        parts += (len(name).to_bytes(2), name.encode(), encoded(value))
    return b"".join(parts)


def encoded(value: bytes | Unset | None) -> bytes:
    """Return a [value]."""
    if isinstance(value, Unset):
        return b"\xff\xff\xff\xfe"
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4) + value
