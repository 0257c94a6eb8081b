"""What the codec tests share: columns of types, one value to bytes and back, both implementations."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from triocql.codecs.typeparser import parse_type
from triocql.protocol.types import ColumnSpec, CqlType, NativeType, UserType

if TYPE_CHECKING:
    from triocql._impl import Impl
    from triocql.codecs.registry import Registry

IMPLS: tuple[Impl, ...] = ("python", "cython") if find_spec("triocql.codecs._node") else ("python",)

ADDRESS = UserType(
    "ks",
    "address",
    (("street", NativeType("text")), ("number", NativeType("int")), ("class", NativeType("text"))),
)


def cql(text: str) -> CqlType:
    """Parse a type in which ``address`` is the user-defined type of these tests."""
    return parse_type(text, lambda keyspace, name: ADDRESS)


def columns(*types: str | CqlType) -> tuple[ColumnSpec, ...]:
    """Return columns c0, c1, ... of a table ks.t."""
    parsed = [cql(each) if isinstance(each, str) else each for each in types]
    return tuple(ColumnSpec("ks", "t", f"c{i}", each) for i, each in enumerate(parsed))


def encode(registry: Registry, cql_type: str | CqlType, value: Any) -> bytes:
    """Return the bytes of one value."""
    raw = registry.binder(columns(cql_type)).encode(0, value)
    assert raw is not None
    return raw


def decode(registry: Registry, cql_type: str | CqlType, raw: bytes | None) -> Any:
    """Return the value of these bytes, read as the only cell of a page."""
    length = -1 if raw is None else len(raw)
    body = length.to_bytes(4, signed=True) + (raw or b"")
    return registry.plan(columns(cql_type)).page(body, 0, 1).rows()[0][0]


def round_trip(registry: Registry, cql_type: str | CqlType, value: Any) -> Any:
    """Write a value and read it back."""
    return decode(registry, cql_type, encode(registry, cql_type, value))
