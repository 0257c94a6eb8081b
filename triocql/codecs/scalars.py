"""Numbers, texts, blobs, UUIDs and addresses."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import index
from typing import Any
from uuid import UUID, SafeUUID

from triocql.codecs.digits import EXACT, to_decimal
from triocql.codecs.node import INT, FixedNode, Node, plain
from triocql.errors import DecodeError
from triocql.protocol.constants import MAX_INT

_WITHOUT_BYTES = re.compile("[OPuw&]")
"""Codes of buffers whose items are objects, pointers, or characters as they lie in memory."""
_set_uuid_int = UUID.__dict__["int"].__set__
_set_uuid_safety = UUID.__dict__["is_safe"].__set__
_unknown_safety = SafeUUID.unknown
_new = object.__new__


class IntegerNode(FixedNode):
    """tinyint, smallint, int, bigint, counter: `int`, and whatever says that it is one by ``__index__``.

    A `bool` counts as 0 or 1, as everywhere in Python.
    """

    __slots__ = ()
    takes = "an int"

    def encode(self, value: Any) -> bytes:
        """Return the number in two's complement."""
        try:
            return self._pack(value)
        except TypeError:
            return self.encode_other(value)
        except (struct.error, OverflowError):
            is_integer = hasattr(value, "__index__")
            return self.encode_other(value, f"out of range for {self.width} bytes" if is_integer else "")


class FloatingNode(FixedNode):
    """float, double: `float`, `int`, and whatever has ``__float__``."""

    __slots__ = ()
    takes = "a float"

    def encode(self, value: Any) -> bytes:
        """Return the number in IEEE 754."""
        if getattr(value, "ndim", 0):
            return self.encode_other(value)  # an array of one number, which NumPy takes for it
        try:
            return self._pack(value)
        except OverflowError:
            return self.encode_other(value, "out of range")
        except (struct.error, TypeError):
            return self.encode_other(value, "out of range" if isinstance(value, int) else "")


class BooleanNode(FixedNode):
    """boolean: `bool`, a numpy bool, and the ints 0 and 1."""

    __slots__ = ()
    takes = "a bool"

    def encode(self, value: Any) -> bytes:
        """Return one byte, 1 or 0."""
        if value is True:
            return b"\x01"
        if value is False:
            return b"\x00"
        if isinstance(value, int):
            return bytes((value,)) if value in (0, 1) else self.encode_other(value, "an int has to be 0 or 1")
        return self.encode_other(value)


class TextNode(Node):
    """text, ascii: `str`."""

    __slots__ = ("encoding",)
    takes = "a str"

    def __init__(self, cql_type: Any, encoding: str) -> None:
        super().__init__(cql_type)
        self.encoding = encoding

    def decode(self, raw: bytes) -> str:
        """Return the text; DecodeError for bytes that are not valid in its encoding.

        Half a pair of surrogates, and NUL in two bytes, are not valid and yet taken by the server; so they are read.
        """
        try:
            return raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            if self.encoding == "utf-8":
                with suppress(UnicodeDecodeError):
                    return raw.replace(b"\xc0\x80", b"\0").decode(self.encoding, "surrogatepass")
            raise DecodeError(f"the bytes are not valid {self.encoding} at position {error.start}") from None

    def encode(self, value: Any) -> bytes:
        """Return the text in its encoding."""
        if not isinstance(value, str):
            return self.encode_other(value)
        try:
            return str.encode(value, self.encoding)
        except UnicodeEncodeError as error:
            return self.encode_other(
                value, f"the character at {error.start} does not exist in {self.encoding}"
            )


class BlobNode(Node):
    """blob, and types known only by the name of their class: `bytes`, and whatever shows its bytes as a
    buffer, but for texts, objects and single numbers of NumPy: what they show is how they lie in memory.
    """

    __slots__ = ()
    takes = "bytes"

    def decode(self, raw: bytes) -> bytes:
        """Return the bytes as they are."""
        return raw

    def encode(self, value: Any) -> bytes:
        """Return the bytes as they are."""
        if isinstance(value, str) or plain(value) is not value:
            return self.encode_other(value)
        try:
            view = memoryview(value)
        except (TypeError, ValueError):
            return self.encode_other(value)
        if _WITHOUT_BYTES.search(view.format):
            return self.encode_other(value)
        return view.tobytes()


class UuidNode(FixedNode):
    """uuid, timeuuid: `uuid.UUID`, and its text."""

    __slots__ = ("time_based",)
    takes = "a uuid.UUID or its text"

    def __init__(self, cql_type: Any, *, time_based: bool) -> None:
        super().__init__(cql_type, "16s")
        self.time_based = time_based

    @staticmethod
    def convert(raw: bytes) -> UUID:
        """Make a UUID without its constructor, which takes three times as long."""
        value: UUID = _new(UUID)
        _set_uuid_int(value, int.from_bytes(raw))
        _set_uuid_safety(value, _unknown_safety)
        return value

    def encode(self, value: Any) -> bytes:
        """Return the 16 bytes."""
        if isinstance(value, str):
            try:
                value = UUID(str.__str__(value))
            except ValueError:
                return self.encode_other(value, "the str is not the text of a UUID")
        if not isinstance(value, UUID):
            return self.encode_other(value)
        number = value.int
        if self.time_based and (number >> 76) & 0xF != 1:
            return self.encode_other(value, "a UUID of version 1 is needed")
        return int.to_bytes(number, 16)


class InetNode(Node):
    """inet: `ipaddress.IPv4Address`, `ipaddress.IPv6Address`, and their texts."""

    __slots__ = ()
    takes = "an address of ipaddress, or its text"

    def decode(self, raw: bytes) -> Any:
        """Return the address."""
        if len(raw) == 4:
            return IPv4Address(raw)
        return IPv6Address(raw) if len(raw) == 16 else self.odd_length(raw)

    def encode(self, value: Any) -> bytes:
        """Return 4 or 16 bytes."""
        if isinstance(value, str):
            try:
                value = ip_address(str.__str__(value))
            except ValueError:
                return self.encode_other(value, "the str is not the text of an IP address")
        if not isinstance(value, (IPv4Address, IPv6Address)):
            return self.encode_other(value)
        if getattr(value, "scope_id", None):
            return self.encode_other(value, "an address cannot have a scope")
        return int(value).to_bytes(4 if isinstance(value, IPv4Address) else 16)


class VarintNode(Node):
    """varint: `int` of any size, and whatever says that it is one by ``__index__``."""

    __slots__ = ()
    takes = "an int"

    def decode(self, raw: bytes) -> Any:
        """Return the number; EMPTY for no bytes."""
        return int.from_bytes(raw, signed=True) if raw else self.odd_length(raw)

    def encode(self, value: Any) -> bytes:
        """Return the number in the fewest bytes of two's complement."""
        try:
            return pack_varint(index(value))
        except TypeError:
            return self.encode_other(value)


class DecimalNode(Node):
    """decimal: `decimal.Decimal`, exactly, and `int`. A `float` is refused: it rarely is what it shows."""

    __slots__ = ()
    takes = "a decimal.Decimal or an int"

    def decode(self, raw: bytes) -> Any:
        """Return the number with its scale; EMPTY for no bytes."""
        return self.odd_length(raw) if len(raw) < 4 else read_decimal(raw)

    def encode(self, value: Any) -> bytes:
        """Return the scale, and the digits as a varint."""
        if isinstance(value, int):
            value = Decimal(value)
        if not isinstance(value, Decimal):
            return self.encode_other(value)
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            return self.encode_other(value, "NaN and infinity do not exist")
        if not -MAX_INT <= exponent <= MAX_INT + 1:
            return self.encode_other(value, "the exponent is out of range")
        return INT.pack(-exponent) + pack_varint(int(EXACT.scaleb(value, -exponent)))


def read_decimal(raw: bytes) -> Decimal:
    """Return the number of a scale and digits; the server also stores a scale without any, which is 0."""
    return EXACT.scaleb(to_decimal(raw[4:]), -INT.unpack_from(raw)[0])


def pack_varint(value: int) -> bytes:
    """Return an int in the fewest bytes of two's complement, one at least."""
    value = int.__index__(value)  # of a subclass the number, not what its methods say
    bits = value.bit_length() if value >= 0 else (~value).bit_length()
    return value.to_bytes(bits // 8 + 1, signed=True)
