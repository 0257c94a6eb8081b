"""Records: a value for a user-defined type is taken apart into one value for each field of the type.

A class is asked in the same way in which its instances are made, so that what is read by a name is written by it. What
a class merely has - methods, constants, properties that its instances are not made of - is no field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

from triocql._brief import some_names
from triocql.codecs.classes import Field, Shape, shape_of
from triocql.errors import BindValueError, OptionError

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType


def values_of(value: Any, cql_type: CqlType, names: tuple[str, ...]) -> Sequence[Any] | None:
    """Return what is written for the fields of a type, None for those that `value` lacks; None if it is no record.

    Raises:
        BindValueError: the value has something under other names, which would be lost.
    """
    if isinstance(value, Enum):
        return values_of(value.value, cql_type, names)
    if isinstance(value, Mapping):
        _refuse(cql_type, names, [name for name in value if name not in names])
        return [value.get(name) for name in names]
    if isinstance(value, (str, bytes, bytearray, memoryview, type)):
        return None
    if isinstance(value, tuple) and _has_names(value):
        return _of_named_tuple(value, cql_type, names)
    if isinstance(value, Sequence):
        if len(value) > len(names):
            raise BindValueError(f"{cql_type} has {len(names)} fields, not {len(value)}")
        return [*value, *[None] * (len(names) - len(value))]
    return _of_object(value, cql_type, names)


def _refuse(cql_type: CqlType, names: tuple[str, ...], unknown: list[Any]) -> None:
    if unknown:
        raise BindValueError(f"{cql_type} has no field {some_names(unknown)}, but {', '.join(names)}")


def _has_names(value: tuple[Any, ...]) -> bool:
    fields = getattr(type(value), "_fields", None)
    return isinstance(fields, tuple) and len(fields) == len(value)


def _of_named_tuple(value: Any, cql_type: CqlType, names: tuple[str, ...]) -> list[Any]:
    by_name = dict(zip(value._fields, value, strict=True))
    defaults = getattr(type(value), "_field_defaults", {})
    known = any(name in by_name for name in names)
    unknown = [
        name
        for name, item in by_name.items()
        if name not in names and not (known and name in defaults and _is_nothing(item, defaults[name]))
    ]
    _refuse(cql_type, names, unknown)
    return [by_name.get(name) for name in names]


class _Fit(NamedTuple):
    """How the fields of a record are matched with the fields of a type.

    Attributes:
        attributes: the attribute for each field of the type, None if there is none for it.
        others: the fields of the record that the type lacks.
    """

    attributes: tuple[str | None, ...]
    others: tuple[Field, ...]


def _fit(fields: Iterable[Field], names: tuple[str, ...]) -> _Fit:
    found: dict[str, str] = {}
    others = []
    for field in fields:
        name = next((name for name in field.names if name in names), None)
        if name is None:
            others.append(field)
        else:
            found.setdefault(name, field.attribute)
    return _Fit(tuple(map(found.get, names)), tuple(others))


def _of_object(value: Any, cql_type: CqlType, names: tuple[str, ...]) -> list[Any] | None:
    cls: Any = type(value)
    kept: Mapping[str, Any] = {}
    fit = _fit_of_class(cls, names)
    if fit is None:
        kept = _kept(value)
        fit = _fit(_fields_of_instance(cls, kept, names), names)
    elif getattr(value, "__pydantic_extra__", None):
        kept = value.__pydantic_extra__
        fit = _fit([*(_declared(cls, names) or ()), *map(_plain, kept)], names)
    if not any(fit.attributes):
        _refuse(cql_type, names, [field.read_by[0] for field in fit.others])
        return None

    def get(attribute: str) -> Any:
        return kept[attribute] if attribute in kept else getattr(value, attribute)

    unknown = [
        each for each in fit.others if each.required or not _is_nothing(get(each.attribute), each.default)
    ]
    _refuse(cql_type, names, [field.read_by[0] for field in unknown])
    return [None if attribute is None else get(attribute) for attribute in fit.attributes]


def _is_nothing(value: Any, default: Any) -> bool:
    """Whether nothing is lost if a value is not written: it is empty, or what the class puts there by itself."""
    return not value or bool(value == default)


@lru_cache(maxsize=1024)
def _fit_of_class(cls: type[Any], names: tuple[str, ...]) -> _Fit | None:
    """Return how the fields that a class declares fit; None if it declares none."""
    declared = _declared(cls, names)
    return None if declared is None else _fit(declared, names)


def _declared(cls: type[Any], names: tuple[str, ...]) -> list[Field] | None:
    """Return the fields of a dataclass, a class of attrs, a Struct of msgspec or a model of pydantic."""
    shape = _shape(cls)
    if dataclasses.is_dataclass(cls):
        attributes = {field.name for field in dataclasses.fields(cls)}
    elif hasattr(cls, "__attrs_attrs__"):
        attributes = {field.name for field in cls.__attrs_attrs__}
    elif shape is not None and shape.keeps_all:
        attributes = {field.attribute for field in shape.fields}
    else:
        return None
    return _only_kept(cls, shape, attributes, names)


def _fields_of_instance(cls: type[Any], kept: Mapping[str, Any], names: tuple[str, ...]) -> list[Field]:
    """Return the fields of an instance whose class does not declare them: what it is made of, and what it keeps."""
    shape = _shape(cls)
    made_of = {field.attribute for field in shape.fields} if shape else set()
    attributes = {name for name in made_of if name in kept or isinstance(getattr(cls, name, None), property)}
    return _only_kept(cls, shape, attributes | kept.keys(), names)


def _only_kept(
    cls: type[Any], shape: Shape | None, attributes: set[str], names: tuple[str, ...]
) -> list[Field]:
    """Return the fields that are kept as one of these attributes. Refuse a class that would lose what it is made of;
    what it keeps besides is its own business, unless the type has a field of that name.
    """
    made_of = shape.fields if shape else ()
    for field in made_of:
        whole = not set(field.names).isdisjoint(names)
        if whole and field.attribute not in attributes:
            raise BindValueError(
                f"{cls.__qualname__} takes {field.names[0]} and does not keep it as the attribute {field.attribute}"
            )
        if not whole and not set(field.sources).isdisjoint(names):
            raise BindValueError(
                f"{cls.__qualname__}.{field.attribute} is taken out of {field.sources[0]}, which cannot be written"
            )
    others = attributes - {field.attribute for field in made_of}
    return [
        *(field for field in made_of if field.attribute in attributes),
        *(_plain(name) for name in sorted(others) if name in names or not (made_of or name.startswith("_"))),
    ]


def _plain(name: str) -> Field:
    return Field(name, (name,), True, None)


def _shape(cls: type[Any]) -> Shape | None:
    try:
        return shape_of(cls)  # type: ignore[arg-type]
    except OptionError:
        return None


def _kept(value: Any) -> dict[str, Any]:
    """Return what an instance keeps: what is in its dict, and in its slots."""
    kept = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name, slot in vars(cls).items():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):  # it is empty
                    kept.setdefault(name, slot.__get__(value))
    return kept
