"""Vectors, as Cassandra 5.0's VectorType writes them: packed if its elements are of fixed size, else each
after its length, a variable-length integer.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from triocql.codecs.collections import is_array, is_elements
from triocql.codecs.node import Node
from triocql.codecs.vint import pack_unsigned_vint, read_unsigned_vint
from triocql.codecs.widths import fixed_width
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from triocql.protocol.types import VectorType


class VectorNode(Node):
    """vector: any sequence of the right length, or a numpy array of one dimension. Read as `list`."""

    __slots__ = ("dimension", "element", "hashable", "width")
    takes = "a list, another sequence, or a numpy array"

    def __init__(self, cql_type: VectorType, element: Node, *, hashable: bool) -> None:
        super().__init__(cql_type)
        self.element = element
        self.dimension = cql_type.dimension
        self.hashable = hashable
        self.width = fixed_width(cql_type.element)

    def decode(self, raw: bytes) -> Any:
        """Return the elements; EMPTY for no bytes."""
        if not raw:
            return self.odd_length(raw)
        values = self._fixed(raw) if self.width else self._variable(raw)
        return tuple(values) if self.hashable else values

    def _fixed(self, raw: bytes) -> list[Any]:
        width = self.width
        if len(raw) != self.dimension * width:
            raise DecodeError(f"{len(raw)} bytes are not a valid {self.type}")
        decode = self.element.decode
        return [decode(raw[at : at + width]) for at in range(0, len(raw), width)]

    def _variable(self, raw: bytes) -> list[Any]:
        if self.dimension > len(raw):
            raise DecodeError(f"{len(raw)} bytes are too few for a {self.type}")
        values = []
        at = 0
        for _ in range(self.dimension):
            length, at = read_unsigned_vint(raw, at)
            if length > len(raw) - at:
                raise DecodeError("an element goes beyond its value")
            values.append(self.element.decode(raw[at : at + length]))
            at += length
        if at != len(raw):
            raise DecodeError("bytes after the last element")
        return values

    def encode(self, value: Any) -> bytes:
        """Return the elements; exactly as many as the type has are needed, and no null."""
        if not is_elements(value) or isinstance(value, Set):
            return self.encode_other(value)
        if self._is_packed_alike(value):
            return bytes(value.astype(">" + self.element.code).tobytes())  # type: ignore[attr-defined]
        parts = [self.element.encode(element) for element in value]
        if len(parts) != self.dimension:
            return self.encode_other(value, f"{self.dimension} elements are needed, not {len(parts)}")
        if not self.width:
            return b"".join(pack_unsigned_vint(len(part)) + part for part in parts)
        if any(len(part) != self.width for part in parts):
            return self.encode_other(value, "an element cannot be EMPTY")
        return b"".join(parts)

    def _is_packed_alike(self, value: Any) -> bool:
        """Return whether a numpy array of floats can be written in one go: from no wider floats, so that none
        of them can be out of range."""
        return (
            is_array(value)
            and value.shape == (self.dimension,)
            and value.dtype.kind == "f"
            and value.dtype.itemsize <= self.width
            and getattr(self.element, "code", "") in ("f", "d")
        )
