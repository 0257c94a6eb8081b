"""Types of CQL by their names: as [option]s of the protocol, and their values to and from bytes."""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import wire
from .scalars import SCALARS, Scalar, decode_vint, encode_vint

_MARSHAL = "org.apache.cassandra.db.marshal."
_LIST, _MAP, _SET, _USER_TYPE, _TUPLE, _CUSTOM = 0x20, 0x21, 0x22, 0x30, 0x31, 0x00


class CqlType(ABC):
    """A type of CQL.

    Attributes:
        size: bytes of each value in a vector, None if they vary.
    """

    size: int | None = None

    @abstractmethod
    def option(self, version: int) -> bytes:
        """Return the [option] that stands for it."""

    @property
    @abstractmethod
    def marshal(self) -> str:
        """The name of its class in Cassandra."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value that is not null."""

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """Return the value of these bytes."""

    def cell(self, value: Any) -> bytes | None:
        """Return a value's bytes. None is null, and `bytes` wrapped in `Raw` go as they are."""
        if value is None:
            return None
        return value.data if isinstance(value, Raw) else self.encode(value)


@dataclass(frozen=True)
class Raw:
    """The bytes of a cell as they are, whatever its type says: for cells that are empty, or not valid."""

    data: bytes


@dataclass(frozen=True)
class ScalarType(CqlType):
    """A type without parts."""

    scalar: Scalar

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.scalar.size)

    def option(self, version: int) -> bytes:
        """Return its number, or its class if the version has none for it."""
        return wire.short(self.scalar.id) if version >= self.scalar.since else _custom(self)

    @property
    def marshal(self) -> str:
        """The name of its class."""
        return _MARSHAL + self.scalar.marshal

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value."""
        return self.scalar.encode(value)

    def decode(self, data: bytes) -> Any:
        """Return the value."""
        return self.scalar.decode(data)


@dataclass(frozen=True)
class ListType(CqlType):
    """A list or a set of elements of one type."""

    id: int
    element: CqlType

    def option(self, version: int) -> bytes:
        """Return its number and the element's option."""
        return wire.short(self.id) + self.element.option(version)

    @property
    def marshal(self) -> str:
        """The name of its class."""
        return f"{_MARSHAL}{'ListType' if self.id == _LIST else 'SetType'}({self.element.marshal})"

    def encode(self, value: Any) -> bytes:
        """Return the number of elements, and each as [bytes]."""
        return _counted([wire.value(self.element.cell(each)) for each in value])

    def decode(self, data: bytes) -> Any:
        """Return a list, of a set too."""
        reader = wire.Reader(data)
        return [_part(self.element, reader) for _ in range(reader.integer())]


@dataclass(frozen=True)
class MapType(CqlType):
    """A map."""

    key: CqlType
    element: CqlType

    def option(self, version: int) -> bytes:
        """Return its number and the options of keys and values."""
        return wire.short(_MAP) + self.key.option(version) + self.element.option(version)

    @property
    def marshal(self) -> str:
        """The name of its class."""
        return f"{_MARSHAL}MapType({self.key.marshal},{self.element.marshal})"

    def encode(self, value: Any) -> bytes:
        """Return the number of entries, and each key and value as [bytes]."""
        entries = value.items() if isinstance(value, Mapping) else value
        return _counted(
            [wire.value(self.key.cell(key)) + wire.value(self.element.cell(each)) for key, each in entries]
        )

    def decode(self, data: bytes) -> Any:
        """Return a list of pairs: keys need not be hashable."""
        reader = wire.Reader(data)
        return [(_part(self.key, reader), _part(self.element, reader)) for _ in range(reader.integer())]


@dataclass(frozen=True)
class TupleType(CqlType):
    """A tuple."""

    elements: tuple[CqlType, ...]

    def option(self, version: int) -> bytes:
        """Return its number and the options of its elements."""
        parts = b"".join(each.option(version) for each in self.elements)
        return wire.short(_TUPLE) + wire.short(len(self.elements)) + parts

    @property
    def marshal(self) -> str:
        """The name of its class."""
        return f"{_MARSHAL}TupleType({','.join(each.marshal for each in self.elements)})"

    def encode(self, value: Any) -> bytes:
        """Return each element as [bytes]; missing ones at the end are left out."""
        return b"".join(
            wire.value(type_.cell(each)) for type_, each in zip(self.elements, value, strict=False)
        )

    def decode(self, data: bytes) -> Any:
        """Return a tuple, of as many elements as there are bytes for."""
        reader = wire.Reader(data)
        return tuple(_part(element, reader) for element in self.elements[: _count_parts(data)])


@dataclass(frozen=True)
class UserType(CqlType):
    """A user-defined type; values are mappings by field or sequences."""

    keyspace: str
    name: str
    fields: tuple[tuple[str, CqlType], ...]

    def option(self, version: int) -> bytes:
        """Return its number, its name, and the names and options of its fields."""
        parts = b"".join(wire.string(name) + type_.option(version) for name, type_ in self.fields)
        names = wire.string(self.keyspace) + wire.string(self.name)
        return wire.short(_USER_TYPE) + names + wire.short(len(self.fields)) + parts

    @property
    def marshal(self) -> str:
        """The name of its class."""
        fields = ",".join(f"{name.encode().hex()}:{type_.marshal}" for name, type_ in self.fields)
        return f"{_MARSHAL}UserType({self.keyspace},{self.name.encode().hex()},{fields})"

    def encode(self, value: Any) -> bytes:
        """Return each field as [bytes]."""
        if isinstance(value, Mapping):
            value = [value.get(name) for name, _ in self.fields]
        return self._as_tuple().encode(value)

    def decode(self, data: bytes) -> Any:
        """Return a mapping of the fields that there are bytes for."""
        values = self._as_tuple().decode(data)
        return {name: value for (name, _), value in zip(self.fields, values, strict=False)}

    def _as_tuple(self) -> TupleType:
        return TupleType(tuple(type_ for _, type_ in self.fields))


@dataclass(frozen=True)
class VectorType(CqlType):
    """A vector of a fixed number of elements that are not null."""

    element: CqlType
    dimension: int

    def __post_init__(self) -> None:
        size = self.element.size
        object.__setattr__(self, "size", None if size is None else size * self.dimension)

    def option(self, version: int) -> bytes:
        """Return its class: no version has a number for it."""
        return _custom(self)

    @property
    def marshal(self) -> str:
        """The name of its class."""
        return f"{_MARSHAL}VectorType({self.element.marshal} , {self.dimension})"

    def encode(self, value: Any) -> bytes:
        """Return the elements; those of varying size have it as a vint before them."""
        parts = [self.element.encode(each) for each in value]
        if self.element.size is not None:
            return b"".join(parts)
        return b"".join(encode_vint(len(part)) + part for part in parts)

    def decode(self, data: bytes) -> Any:
        """Return a list."""
        at, found = 0, []
        for _ in range(self.dimension):
            size = self.element.size
            if size is None:
                size, at = decode_vint(data, at)
            found.append(self.element.decode(data[at : at + size]))
            at += size
        return found


def _custom(type_: CqlType) -> bytes:
    return wire.short(_CUSTOM) + wire.string(type_.marshal)


def _counted(parts: Sequence[bytes]) -> bytes:
    return struct.pack(">i", len(parts)) + b"".join(parts)


def _part(type_: CqlType, reader: wire.Reader) -> Any:
    data = reader.nullable_bytes()
    return None if data is None else type_.decode(data)


def _count_parts(data: bytes) -> int:
    at = count = 0
    while at < len(data):
        at += 4 + max(0, int.from_bytes(data[at : at + 4], "big", signed=True))
        count += 1
    return count


# --- From their names ----------------------------------------------------------------------------------------

UserTypes = Callable[[str], UserType | None]
_TOKEN = re.compile(r'\s*("(?:[^"]|"")*"|[\w.]+|[<>,])')


def parse_type(text: str, user_types: UserTypes = lambda name: None) -> CqlType:
    """Return the type with this name; `user_types` finds user-defined ones.

    Raises:
        ValueError: there is no such type.

    >>> parse_type("map<text, frozen<list<int>>>").option(5).hex()
    '0021000d00200009'
    """
    tokens = _TOKEN.findall(text)
    if _TOKEN.sub("", text).strip():
        raise ValueError(f"{text!r} is not a CQL type")
    parsed = _Parser(tokens, text, user_types).type()
    if tokens:
        raise ValueError(f"{text!r} is not a CQL type: {''.join(tokens)!r} is too much")
    return parsed


class _Parser:
    def __init__(self, tokens: list[str], text: str, user_types: UserTypes) -> None:
        self._tokens = tokens
        self._text = text
        self._user_types = user_types

    def type(self) -> CqlType:
        name = self._next()
        if name.lower() in SCALARS:
            return ScalarType(SCALARS[name.lower()])
        if self._tokens[:1] == ["<"]:
            return self._composed(name.lower())
        found = self._user_types(name.strip('"') if name.startswith('"') else name.lower())
        if found is None:
            raise ValueError(f"there is no type {name!r} (in {self._text!r}); declare it with CREATE TYPE")
        return found

    def _composed(self, name: str) -> CqlType:
        if name == "vector":
            self._expect("<")
            element = self.type()
            self._expect(",")
            dimension = int(self._next())
            self._expect(">")
            return VectorType(element, dimension)
        elements = self._elements()
        if name == "tuple":
            return TupleType(tuple(elements))
        makers: dict[tuple[str, int], Callable[..., CqlType]] = {
            ("frozen", 1): lambda element: element,
            ("list", 1): lambda element: ListType(_LIST, element),
            ("set", 1): lambda element: ListType(_SET, element),
            ("map", 2): MapType,
        }
        maker = makers.get((name, len(elements)))
        if maker is None:
            raise ValueError(f"{name}<...> of {len(elements)} elements is not a CQL type (in {self._text!r})")
        return maker(*elements)

    def _elements(self) -> list[CqlType]:
        self._expect("<")
        found = [self.type()]
        while (sign := self._next()) == ",":
            found.append(self.type())
        if sign != ">":
            raise ValueError(f"{self._text!r} is not a CQL type: {sign!r} where '>' belongs")
        return found

    def _next(self) -> str:
        if not self._tokens:
            raise ValueError(f"{self._text!r} is not a CQL type: it ends too early")
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise ValueError(f"{self._text!r} is not a CQL type: {token!r} is missing")
