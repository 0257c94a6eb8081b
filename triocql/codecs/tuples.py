"""Tuples (native protocol v5, section 5.16): a null or a value for each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from triocql.codecs.node import Node, pack_sized, read_sized, refused_at
from triocql.errors import BindTypeError, BindValueError, DecodeError

if TYPE_CHECKING:
    from triocql.protocol.types import TupleType

NULL = b"\xff\xff\xff\xff"

FEW = 16
"""So many elements may be missing without being counted: the value itself takes more memory than they do."""


class Padding:
    """Counts the elements that are missing at the end of values: a None is made for each, and no byte pays for it."""

    __slots__ = ("left",)
    MOST = 1 << 22

    def __init__(self) -> None:
        self.left = self.MOST

    def begin(self, size: int) -> None:
        """Begin to read a page of `size` bytes."""
        self.left = self.MOST + size

    def take(self, count: int) -> None:
        """Count the elements that one value lacks; raises DecodeError if they are too many for the page."""
        self.left -= count
        if self.left < 0:
            raise DecodeError("values lack millions of elements that their types have")


padding = Padding()
"""That of the page that is being read."""


class TupleNode(Node):
    """tuple: any sequence of the right length but a text or bytes; None for null. Read as `tuple`."""

    __slots__ = ("elements",)
    takes = "a tuple or another sequence"

    def __init__(self, cql_type: TupleType, elements: tuple[Node, ...]) -> None:
        super().__init__(cql_type)
        self.elements = elements

    def decode(self, raw: bytes) -> tuple[Any, ...]:
        """Return the elements; those that are missing at the end are None."""
        values, at = read_elements(raw, self.elements)
        if at != len(raw):
            raise DecodeError("bytes after the last element")
        return tuple(values)

    def encode(self, value: Any) -> bytes:
        """Return every element after its length."""
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
            return self.encode_other(value)
        if len(value) != len(self.elements):
            return self.encode_other(value, f"{len(self.elements)} elements are needed, not {len(value)}")
        return pack_elements(self.elements, value)


def read_elements(raw: bytes, nodes: Sequence[Node]) -> tuple[list[Any], int]:
    """Return a value for each node, None for those after the end, and where the last one ended."""
    values: list[Any] = []
    at = 0
    for node in nodes:
        if at == len(raw):
            break
        value, at = read_sized(raw, at, node)
        values.append(value)
    missing = len(nodes) - len(values)
    if missing > FEW:
        padding.take(missing)
    values += [None] * missing
    return values, at


def pack_elements(nodes: Sequence[Node], values: Sequence[Any], places: Sequence[str] = ()) -> bytes:
    """Return every value after its length, None as null; `places` are what the elements are called in messages."""
    parts = []
    for place, (node, value) in enumerate(zip(nodes, values, strict=True)):
        try:
            parts.append(NULL if value is None else pack_sized(node.encode(value)))
        except (BindTypeError, BindValueError) as error:
            name = f"field {places[place]!r}" if places else f"element {place}"
            raise refused_at(name, error) from error.__cause__
    return b"".join(parts)
