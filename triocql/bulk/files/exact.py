"""Rows for files: the values that a node has sent, in its order, whatever codecs and classes a session has.

A set of Python would have some values only once that are two for the server, such as 0.0 and -0.0, and would lose its
order; a dict the same of its keys. Here a set is a list, and a map a list of pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.codecs.collections import ListNode, MapNode, check_end, read_count
from triocql.codecs.node import read_sized
from triocql.codecs.registry import NATIVE
from triocql.codecs.scalars import BlobNode
from triocql.codecs.tuples import TupleNode
from triocql.codecs.udt import UserTypeNode
from triocql.codecs.vector import VectorNode
from triocql.errors import DecodeError
from triocql.protocol.types import (
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

if TYPE_CHECKING:
    from triocql.codecs.node import Node
    from triocql.codecs.rows import RowPlan
    from triocql.protocol.types import CqlType


def exact_plan(plan: RowPlan, visible: int) -> RowPlan:
    """Return a plan for the same columns; all but the first ones, the visible ones, are merely passed over."""
    nodes = [
        node_of(column.type) if i < visible else BlobNode(column.type)
        for i, column in enumerate(plan.columns)
    ]
    return type(plan)(plan.columns, tuple(nodes))


def node_of(cql_type: CqlType) -> Node:
    """Return what reads the values of a type: a set is read as a list, a map as a list of pairs."""
    match cql_type:
        case NativeType(name) if name in NATIVE:
            return NATIVE[name](cql_type)
        case ListType(element) | SetType(element):
            return ListNode(ListType(element), node_of(element), hashable=False)
        case MapType(key, value):
            return PairsNode(cql_type, node_of(key), node_of(value), hashable=False)
        case TupleType(elements):
            return TupleNode(cql_type, tuple(map(node_of, elements)))
        case UserType(fields=fields):
            return UserTypeNode(cql_type, tuple(node_of(each) for _, each in fields))
        case VectorType(element):
            return VectorNode(cql_type, node_of(element), hashable=False)
    return BlobNode(cql_type)


class PairsNode(MapNode):
    """map: a list of its keys and values."""

    __slots__ = ()

    def decode(self, raw: bytes) -> Any:
        """Return the items; EMPTY for no bytes. A key that is null, which no server stores, is refused."""
        if len(raw) < 4:
            return self.odd_length(raw)
        pairs = []
        at = 4
        for _ in range(read_count(raw, 8)):
            key, at = read_sized(raw, at, self.key)
            if key is None:
                raise DecodeError("a key of a map is null")
            value, at = read_sized(raw, at, self.value)
            pairs.append((key, value))
        check_end(raw, at)
        return pairs
