"""Codecs of users: how a value of theirs stands for a value of CQL."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from triocql.codecs.node import Node, type_name
from triocql.codecs.values import EMPTY
from triocql.errors import BindTypeError, BindValueError, DecodeError


@runtime_checkable
class Codec(Protocol):
    """A user's own reading and writing of a CQL type or of one column, on top of the built-in one.

    It works on Python values, never on bytes: `decode` gets what triocql reads, and `encode` returns what
    triocql takes. Null (None), UNSET and EMPTY do not go through it. An exception from it fails the request,
    as the cause of a DecodeError or BindValueError.

    >>> class Cents:                                       # a bigint that is an amount of money
    ...     def encode(self, value):
    ...         return int(value * 100)
    ...     def decode(self, value):
    ...         return Decimal(value) / 100
    """

    def encode(self, value: Any) -> Any:
        """Return the value that the built-in codec takes for the user's `value`."""

    def decode(self, value: Any) -> Any:
        """Return the user's value for the `value` that the built-in codec has read."""


class CodecNode(Node):
    """A type whose values go through a user's codec."""

    __slots__ = ("codec", "inner")

    def __init__(self, inner: Node, codec: Codec) -> None:
        super().__init__(inner.type)
        self.inner = inner
        self.codec = codec

    def decode(self, raw: bytes) -> Any:
        """Read with the built-in codec, then with the user's."""
        value = self.inner.decode(raw)
        if value is EMPTY:
            return value
        try:
            return self.codec.decode(value)
        except MemoryError:
            raise
        except Exception as error:
            raise DecodeError(f"{type_name(self.codec)}.decode raised {type(error).__name__}") from error

    def encode(self, value: Any) -> bytes:
        """Write with the user's codec, then with the built-in one."""
        if value is EMPTY or value is None:
            return self.inner.encode(value)
        try:
            inner = self.codec.encode(value)
        except (BindTypeError, BindValueError, MemoryError):
            raise
        except Exception as error:
            raise BindValueError(f"{type_name(self.codec)}.encode raised {type(error).__name__}") from error
        return self.inner.encode(inner)
