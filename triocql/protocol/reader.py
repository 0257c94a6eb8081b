"""A cursor over the body of a message: the notations of section 3, each length checked against what is left."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from triocql.errors import LimitExceeded, ProtocolError
from triocql.protocol.types import (
    NATIVE_TYPES,
    CqlType,
    CustomType,
    ListType,
    MapType,
    SetType,
    TupleType,
    UserType,
)

IPAddress = IPv4Address | IPv6Address

MAX_TYPE_DEPTH = 64
"""How deep types may be nested in one another; the stack bounds it, no schema comes near it."""

_SHORT = struct.Struct(">H")
_INT = struct.Struct(">i")


class Reader:
    """Reads one notation after the other; raises ProtocolError where the body ends too soon."""

    __slots__ = ("body", "pos")

    def __init__(self, body: bytes, pos: int = 0) -> None:
        self.body = body
        self.pos = pos

    def check(self, length: int) -> None:
        """Check that `length` bytes are left."""
        if self.pos + length > len(self.body):
            raise ProtocolError(
                f"a message ends early: {length} bytes are needed at {self.pos} of {len(self.body)}"
            )

    def raw(self, length: int) -> bytes:
        """Read `length` bytes."""
        self.check(length)
        start, self.pos = self.pos, self.pos + length
        return self.body[start : self.pos]

    def byte(self) -> int:
        """Read a [byte]."""
        return self.raw(1)[0]

    def short(self) -> int:
        """Read a [short]."""
        value: int = _SHORT.unpack(self.raw(2))[0]
        return value

    def int32(self) -> int:
        """Read an [int]."""
        value: int = _INT.unpack(self.raw(4))[0]
        return value

    def count(self, value: int, least: int) -> int:
        """Check a count of elements of at least `least` bytes each against the bytes left."""
        if value < 0:
            raise ProtocolError(f"a count is negative: {value} at {self.pos}")
        left = len(self.body) - self.pos
        if value * least > left:
            raise LimitExceeded(
                f"{value} elements of at least {least} bytes are announced, {left} bytes are left"
            )
        return value

    def string(self) -> str:
        """Read a [string]."""
        start = self.pos
        try:
            return self.raw(self.short()).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a string at {start} is not valid UTF-8") from error

    def name(self) -> str:
        """Read a [string] in a change of the schema. Cassandra writes the names there with a byte a character, and a
        "?" for what is in none: not as UTF-8. Others do it right.
        """
        raw = self.raw(self.short())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def nullable_bytes(self) -> bytes | None:
        """Read [bytes], None for null."""
        length = self.int32()
        return None if length < 0 else self.raw(length)

    def short_bytes(self) -> bytes:
        """Read [short bytes]."""
        return self.raw(self.short())

    def uuid(self) -> UUID:
        """Read a [uuid]."""
        return UUID(bytes=self.raw(16))

    def string_list(self) -> tuple[str, ...]:
        """Read a [string list]."""
        return tuple(self.string() for _ in range(self.count(self.short(), 2)))

    def names(self) -> tuple[str, ...]:
        """Read a [string list] in a change of the schema."""
        return tuple(self.name() for _ in range(self.count(self.short(), 2)))

    def string_multimap(self) -> dict[str, tuple[str, ...]]:
        """Read a [string multimap]."""
        return {self.string(): self.string_list() for _ in range(self.count(self.short(), 4))}

    def bytes_map(self) -> dict[str, bytes | None]:
        """Read a [bytes map]."""
        return {self.string(): self.nullable_bytes() for _ in range(self.count(self.short(), 6))}

    def address(self) -> IPAddress:
        """Read an [inetaddr]."""
        size = self.byte()
        if size == 4:
            return IPv4Address(self.raw(4))
        if size == 16:
            return IPv6Address(self.raw(16))
        raise ProtocolError(f"an address has {size} bytes; it can have 4 or 16")

    def cql_type(self, depth: int = 0) -> CqlType:
        """Read the [option] that describes a type."""
        if depth > MAX_TYPE_DEPTH:
            raise LimitExceeded(f"types are nested deeper than {MAX_TYPE_DEPTH}")
        code = self.short()
        native = NATIVE_TYPES.get(code)
        if native is not None:
            return native
        # Types with parameters, which follow their number (v5, section 4.2.5.2).
        depth += 1
        if code == 0x00:
            return CustomType(self.string())
        if code == 0x20:
            return ListType(self.cql_type(depth))
        if code == 0x21:
            return MapType(self.cql_type(depth), self.cql_type(depth))
        if code == 0x22:
            return SetType(self.cql_type(depth))
        if code == 0x30:
            return self._user_type(depth)
        if code == 0x31:
            return TupleType(tuple(self.cql_type(depth) for _ in range(self.count(self.short(), 2))))
        raise ProtocolError(f"type {code:#06x} is not known")

    def _user_type(self, depth: int) -> UserType:
        keyspace, name = self.string(), self.string()
        fields = tuple((self.string(), self.cql_type(depth)) for _ in range(self.count(self.short(), 4)))
        return UserType(keyspace, name, fields)
