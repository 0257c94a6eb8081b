"""Values as JSON, such that they can be read back exactly, whatever their type has within."""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.files.texts import optional, text_of
from triocql.codecs.values import EMPTY
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triocql.protocol.types import CqlType

    Rendering = Callable[[Any], str]

_NUMBERS: Final = frozenset(("bigint", "boolean", "counter", "int", "smallint", "tinyint"))
"""What is written without quotes. Of decimal and varint, most readers would make floats."""
_FLOATS: Final = frozenset(("double", "float"))
_TEXTS: Final = frozenset(("ascii", "text"))
_LETTERS: Final = frozenset("aI")
"""What is in NaN and Infinity, which are no numbers of JSON, and in no number."""


def json_of(cql_type: CqlType) -> Rendering:
    """Return what makes JSON of the values of a type: null is null, and a value of no bytes, whose type has none such,
    is an empty text.
    """
    return optional(_present(cql_type), "null")


def name_of(name: str) -> str:
    """Return the name of a column, or a field, as JSON."""
    return encode_basestring(name)


def _present(cql_type: CqlType) -> Rendering:
    """Return what makes JSON of a value that is there."""
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element):
            render = json_of(element)
            return lambda value: f"[{', '.join(map(render, value))}]"
        case MapType(key, item):
            return _map(key, item)
        case TupleType(elements):
            renders = tuple(map(json_of, elements))
            return lambda value: f"[{', '.join(_each(renders, value))}]"
        case UserType(fields=fields):
            names = [f"{name_of(name)}: " for name, _ in fields]
            renders = tuple(json_of(each) for _, each in fields)
            return lambda value: _object(names, _each(renders, tuple.__iter__(value)))
    return _native(cql_type)


def _native(cql_type: CqlType) -> Rendering:
    name = cql_type.name if isinstance(cql_type, NativeType) else ""
    text = text_of(cql_type)
    if name in _NUMBERS:
        return text
    if name in _TEXTS:
        return encode_basestring
    if name in _FLOATS:
        return lambda value: _number(text(value))
    return lambda value: f'"{text(value)}"'


def _number(text: str) -> str:
    return f'"{text}"' if _LETTERS.intersection(text) else text


def _map(key: CqlType, item: CqlType) -> Rendering:
    """Return what makes JSON of maps, as lists of pairs: objects, whose keys are the texts of scalars, or the JSON of
    all else.
    """
    name = _key_of(key)
    render = json_of(item)

    def rendered(value: Any) -> str:
        return _object([f"{name(each)}: " for each, _ in value], [render(each) for _, each in value])

    return rendered


def _key_of(cql_type: CqlType) -> Rendering:
    scalar = not isinstance(cql_type, (ListType, SetType, MapType, TupleType, UserType, VectorType))
    text = text_of(cql_type) if scalar else json_of(cql_type)
    return lambda value: encode_basestring("" if value is EMPTY else text(value))


def _each(renders: Iterable[Rendering], values: Iterable[Any]) -> list[str]:
    return [render(value) for render, value in zip(renders, values, strict=True)]


def _object(names: Iterable[str], values: Iterable[str]) -> str:
    return "{" + ", ".join(map(str.__add__, names, values)) + "}"
