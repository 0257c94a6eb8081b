"""A type node: how the values of one CQL type are read and written."""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from triocql.codecs.values import EMPTY
from triocql.errors import BindTypeError, BindValueError, DecodeError
from triocql.protocol.constants import UNSET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.protocol.types import CqlType

INT = struct.Struct(">i")


class Node:
    """Reads and writes the values of one CQL type. Null and unset never reach a node, its container keeps
    them.

    A subclass gives `decode`, and `encode` for the values that it takes; what it does not take it hands to
    `encode_other`.
    """

    __slots__ = ("type",)
    takes: ClassVar[str]
    """The values that are taken, in words for error messages."""

    def __init__(self, cql_type: CqlType) -> None:
        self.type = cql_type

    def decode(self, raw: bytes) -> Any:
        """Return the Python value of `raw`; DecodeError if it is none of this type."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """Return the bytes of `value`; BindTypeError or BindValueError if this type does not have it."""
        raise NotImplementedError

    def encode_other(self, value: Any, problem: str = "") -> bytes:
        """Encode EMPTY, and the value inside an enum member or a numpy scalar; refuse everything else.

        With a `problem` the value is of a right type, and out of range.
        """
        if problem:
            raise BindValueError(f"{self.type}: {problem}")
        if value is EMPTY:
            return b""
        inner = plain(value)
        if inner is not value:
            return self.encode(inner)
        if value is None or value is UNSET:
            raise BindValueError(
                f"{'null' if value is None else 'UNSET'} cannot stand inside a value ({self.type})"
            )
        raise BindTypeError(f"{self.type} takes {self.takes}, not {type_name(value)}")

    def odd_length(self, raw: bytes) -> Any:
        """Return EMPTY for no bytes; refuse every other length."""
        if raw:
            raise DecodeError(f"{len(raw)} bytes are not a valid {self.type}")
        return EMPTY


class FixedNode(Node):
    """A type whose values all have `width` bytes, read by the struct code `code` and the function `convert`,
    if any.
    """

    __slots__ = ("_pack", "_unpack", "code", "width")
    convert: ClassVar[Any] = None

    def __init__(self, cql_type: CqlType, code: str) -> None:
        super().__init__(cql_type)
        packer = struct.Struct(">" + code)
        self.code = code
        self.width = packer.size
        self._pack = packer.pack
        self._unpack = packer.unpack

    def decode(self, raw: bytes) -> Any:
        """Return the Python value of `raw`; EMPTY if it has no bytes."""
        if len(raw) != self.width:
            return self.odd_length(raw)
        value = self._unpack(raw)[0]
        return value if self.convert is None else self.convert(value)


class FixedRun:
    """Values of fixed size side by side, each after its length: read at once, lengths included."""

    __slots__ = ("_converts", "_unpack", "_widths", "size")

    def __init__(self, nodes: Sequence[FixedNode]) -> None:
        layout = struct.Struct(">" + "".join("i" + node.code for node in nodes))
        self.size = layout.size
        self._unpack = layout.unpack_from
        self._widths = tuple(node.width for node in nodes)
        self._converts = [(i, node.convert) for i, node in enumerate(nodes) if node.convert is not None]

    def read(self, raw: bytes, at: int) -> list[Any] | None:
        """Return the values that start at `at`; None if the length of one is not its type's, as of null."""
        pairs = self._unpack(raw, at)
        if pairs[::2] != self._widths:
            return None
        values = list(pairs[1::2])
        for i, convert in self._converts:
            values[i] = convert(values[i])
        return values


def refused_at(place: str, error: BindTypeError | BindValueError) -> BindTypeError | BindValueError:
    """Return an error like `error` that says where within its value a part was refused; to be raised from its cause."""
    return type(error)(f"{place}: {error}")


def pack_sized(raw: bytes) -> bytes:
    """Return `raw` after its length in 4 bytes."""
    return INT.pack(len(raw)) + raw


def read_sized(raw: bytes, at: int, node: Node) -> tuple[Any, int]:
    """Return the value of `node` that starts at `at` after its length, None for null, and where it ends."""
    if at + 4 > len(raw):
        raise DecodeError("an element goes beyond its value")
    length = INT.unpack_from(raw, at)[0]
    at += 4
    if length < 0:
        return None, at
    if length > len(raw) - at:
        raise DecodeError("an element goes beyond its value")
    return node.decode(raw[at : at + length]), at + length


def plain(value: Any) -> Any:
    """Return the Python value inside an enum member, a numpy scalar or a numpy array of one; else `value`
    itself.
    """
    if isinstance(value, Enum):
        return value.value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "dtype"):
        inner = value.item()
        return value if type(inner) is type(value) else inner  # of a longdouble it is another one
    return value


def type_name(value: Any) -> str:
    """Return the name of a value's type as messages give it: its module, too, if it is not a builtin."""
    cls = type(value)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
