"""User-defined types within other values, read as the classes that a user's class is annotated with."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from triocql.codecs.classes import Shape, is_hashable, shape_of
from triocql.codecs.collections import ListNode, MapNode, SetNode
from triocql.codecs.node import Node
from triocql.codecs.tuples import TupleNode
from triocql.codecs.udt import UserTypeNode, UserValue
from triocql.codecs.vector import VectorNode
from triocql.errors import OptionError

_OPEN = (Any, object, tuple, Sequence)
_MAPPINGS = (dict, Mapping, MutableMapping)


def annotated_nodes(
    shape: Shape, names: Sequence[str], nodes: Sequence[Node], *, hashable: bool = False
) -> tuple[Node, ...]:
    """Return type nodes for the fields of a class: `nodes`, but user-defined types as it is annotated.

    ``Place``, ``Place | None``, ``list[Place]``, ``dict[str, list[Place]]``; whatever an annotation leaves open
    is read as if there was none.

    Raises:
        OptionError: an annotation cannot be resolved, or its class does not fit the type.
    """
    if not any(map(_has_user_type, nodes)):
        return tuple(nodes)
    try:
        hints = shape.annotations()
    except Exception as error:
        raise OptionError(
            f"the annotations of {shape.cls.__qualname__} cannot be resolved ({error}): what they name has to be "
            "defined in its module when the program runs"
        ) from error
    return tuple(
        _field(shape, name, node, hints.get(name, Any), hashable)
        for name, node in zip(names, nodes, strict=True)
    )


def _field(shape: Shape, name: str, node: Node, hint: Any, hashable: bool) -> Node:
    try:
        return _annotated(node, hint, hashable)
    except OptionError as error:
        raise OptionError(f"{shape.cls.__qualname__}.{name}: {error}") from error.__cause__


def _has_user_type(node: Node) -> bool:
    match node:
        case UserTypeNode():
            return True
        case ListNode() | SetNode() | VectorNode():
            return _has_user_type(node.element)
        case MapNode():
            return _has_user_type(node.key) or _has_user_type(node.value)
        case TupleNode():
            return any(map(_has_user_type, node.elements))
    return False


def _annotated(node: Any, hint: Any, hashable: bool) -> Node:
    """Return the node that reads what `hint` asks for."""
    if not _has_user_type(node):
        return node  # type: ignore[no-any-return]
    hint = _bare(hint)
    cql_type: Any = node.type
    match node:
        case UserTypeNode():
            return _user_type(node, hint, hashable)
        case SetNode():
            return SetNode(cql_type, _annotated(node.element, _argument(hint, 0), True), hashable=hashable)
        case MapNode():
            key = _annotated(node.key, _argument(hint, 0), True)
            value = _annotated(node.value, _argument(hint, 1), hashable)
            return MapNode(cql_type, key, value, hashable=hashable)
        case TupleNode():
            elements = (
                _annotated(each, _argument(hint, place), hashable) for place, each in enumerate(node.elements)
            )
            return TupleNode(cql_type, tuple(elements))
    element = _annotated(node.element, _argument(hint, 0), hashable)
    return type(node)(cql_type, element, hashable=hashable)  # type: ignore[no-any-return]


def _user_type(node: UserTypeNode, hint: Any, hashable: bool) -> UserTypeNode:
    cls = get_origin(hint) or hint
    if not isinstance(cls, type) or cls in _OPEN or issubclass(cls, UserValue):
        return node
    if cls in _MAPPINGS:
        cls = dict
    if hashable and not is_hashable(cls):
        raise OptionError(f"{cls.__qualname__} has to be hashable to be in a set or the key of a map")
    shape = shape_of(cls)
    missing = shape.missing(node.names)
    if missing:
        raise OptionError(f"{node.type} has no {', '.join(missing)}, which {cls.__qualname__} needs")
    fields = annotated_nodes(shape, node.names, node.fields, hashable=hashable)
    return UserTypeNode(node.type, fields, cls, hashable=hashable)  # type: ignore[arg-type]


def _bare(hint: Any) -> Any:
    """Return what is left of an annotation without None and notes; Any for a choice of several classes."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _bare(get_args(hint)[0])
    if origin in (Union, UnionType):
        members = [each for each in get_args(hint) if each is not NoneType]
        return _bare(members[0]) if len(members) == 1 else Any
    return hint


def _argument(hint: Any, place: int) -> Any:
    """Return what an annotation says of the elements at `place`: ``list[X]``, ``dict[X, Y]``, ``tuple[X, ...]``."""
    arguments = get_args(hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    return arguments[place] if place < len(arguments) else Any
