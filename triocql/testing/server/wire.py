"""The notations of the native protocol (section 3 of its v5 specification): written and read."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import EllipsisType
from typing import Any

UNSET = -2
"""The length of a value that is not set."""


class BadRequest(Exception):
    """A request that is not a valid message; the node answers with a protocol error."""


# --- Writing -------------------------------------------------------------------------------------------------


def short(number: int) -> bytes:
    """[short]: two bytes, unsigned."""
    return struct.pack(">H", number)


def integer(number: int) -> bytes:
    """[int]: four bytes, signed."""
    return struct.pack(">i", number)


def unsigned(number: int) -> bytes:
    """Return four bytes, unsigned: flags."""
    return struct.pack(">I", number)


def string(text: str) -> bytes:
    """[string]: a [short] and so many bytes of UTF-8."""
    return short_bytes(text.encode())


def short_bytes(data: bytes) -> bytes:
    """[short bytes]."""
    return short(len(data)) + data


def value(data: bytes | None) -> bytes:
    """[bytes]; None is null."""
    return integer(-1) if data is None else integer(len(data)) + data


def string_list(texts: Iterable[str]) -> bytes:
    """[string list]."""
    texts = list(texts)
    return short(len(texts)) + b"".join(map(string, texts))


def string_multimap(entries: Mapping[str, Sequence[str]]) -> bytes:
    """[string multimap]."""
    return short(len(entries)) + b"".join(string(key) + string_list(each) for key, each in entries.items())


def bytes_map(entries: Mapping[str, bytes | None]) -> bytes:
    """[bytes map]."""
    return short(len(entries)) + b"".join(string(key) + value(data) for key, data in entries.items())


def inetaddr(address: Any) -> bytes:
    """[inetaddr]: a byte with the size, then the address."""
    packed = ipaddress.ip_address(address).packed
    return bytes([len(packed)]) + packed


def inet(address: Any, port: int) -> bytes:
    """[inet]: an [inetaddr] and its port."""
    return inetaddr(address) + integer(port)


# --- Reading -------------------------------------------------------------------------------------------------


class Reader:
    """Reads the body of a request; what ends too early raises BadRequest."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """Return the next bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise BadRequest(f"the message of {len(self._data)} bytes ends inside a field")
        data, self._at = self._data[self._at : end], end
        return data

    def byte(self) -> int:
        """Read a [byte]."""
        return self.raw(1)[0]

    def short(self) -> int:
        """Read a [short]."""
        return int.from_bytes(self.raw(2), "big")

    def integer(self) -> int:
        """Read an [int]."""
        return int.from_bytes(self.raw(4), "big", signed=True)

    def long(self) -> int:
        """Read a [long]."""
        return int.from_bytes(self.raw(8), "big", signed=True)

    def string(self) -> str:
        """Read a [string]."""
        return _text(self.raw(self.short()))

    def long_string(self) -> str:
        """Read a [long string]."""
        return _text(self.raw(self.integer()))

    def short_bytes(self) -> bytes:
        """Read [short bytes]."""
        return self.raw(self.short())

    def value(self) -> bytes | EllipsisType | None:
        """Read a [value]: None is null, Ellipsis is a value that is not set."""
        size = self.integer()
        if size == UNSET:
            return ...
        return None if size < 0 else self.raw(size)

    def nullable_bytes(self) -> bytes | None:
        """Read [bytes]."""
        size = self.integer()
        return None if size < 0 else self.raw(size)

    def string_map(self) -> dict[str, str]:
        """Read a [string map]."""
        return {self.string(): self.string() for _ in range(self.short())}

    def string_list(self) -> list[str]:
        """Read a [string list]."""
        return [self.string() for _ in range(self.short())]

    def bytes_map(self) -> dict[str, bytes | None]:
        """Read a [bytes map]."""
        return {self.string(): self.nullable_bytes() for _ in range(self.short())}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"a text is not UTF-8: {error}") from None
