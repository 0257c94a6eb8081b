"""What users choose of the Arrow types of some columns, where the type map leaves a choice: `types=`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.codecs.columns.layout import Layout, layout_of
from triocql.codecs.node import type_name
from triocql.errors import OptionError
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.protocol.types import ColumnSpec, CqlType

Choices = tuple[tuple[str, str], ...]
"""Names of columns, or of what is in them, each with the Arrow type as text."""

_DECIMAL = re.compile(r"decimal128\(([0-9]{1,9}), ?([0-9]{1,9})\)")
_MAX_PRECISION = 38
_TEXTS = {"decimal": "decimal", "inet": "inet", "timeuuid": "uuid", "uuid": "uuid", "varint": "varint"}
"""What is text by choice, or without one, and the kernels that write it."""


def choices_of(types: Mapping[str, Any] | None) -> Choices:
    """Return the option `types` as something that can be compared. Raises OptionError if it is none.

    The types are those of pyarrow, or the same as text: both are spelled alike.
    """
    if not types:
        return ()
    try:
        chosen = tuple((name, str(arrow_type)) for name, arrow_type in types.items())
    except AttributeError:
        raise OptionError(
            f"types is {type_name(types)}; it has to be a dict of columns and their Arrow types, "
            'such as {"price": "decimal128(18, 2)"}'
        ) from None
    for name, _ in chosen:
        if not isinstance(name, str):
            raise OptionError(f"types has {brief(name)}; its keys have to be names of columns")
    return chosen


def layouts_of(columns: Iterable[ColumnSpec], choices: Choices) -> tuple[Layout, ...]:
    """Return the layouts of some columns.

    What is in a column has the name of the column and, after a point, that of Arrow: ``item`` of lists, sets and
    vectors, ``key`` and ``value`` of maps, ``f0``, ``f1``... of tuples, the names of the fields of user-defined types.

    Raises OptionError for a choice that there is not.
    """
    choosing = _Choosing(dict(choices))
    layouts = tuple(choosing.layout(column.name, column.type) for column in columns)
    choosing.check()
    return layouts


class _Choosing:
    """Finds what was chosen, by its name."""

    def __init__(self, chosen: dict[str, str]) -> None:
        self._chosen = chosen
        self._names: dict[str, list[str]] = {"": []}  # by what they are in, of columns by nothing

    def layout(self, name: str, cql_type: CqlType, within: str = "") -> Layout:
        self._names.setdefault(within, []).append(name)
        layout = layout_of(cql_type)
        if name in self._chosen:
            return _chosen(name, cql_type, layout, self._chosen[name])
        if not any(each.startswith(f"{name}.") for each in self._chosen):
            return layout
        children = zip(layout.children, _inner(cql_type), strict=True)
        return replace(
            layout,
            children=tuple((each, self.layout(f"{name}.{each}", kind, name)) for (each, _), kind in children),
        )

    def check(self) -> None:
        """Raise OptionError for a name that was not met."""
        met = set().union(*self._names.values())
        for name in self._chosen:
            if name not in met:
                within = name.rpartition(".")[0]
                known = ", ".join(map(repr, self._names.get(within) or self._names[""]))
                what = f"in {within!r} there is" if self._names.get(within) and within else "the columns are"
                raise OptionError(f"types has {brief(name)}; {what} {known or 'none'}")


def _inner(cql_type: CqlType) -> tuple[CqlType, ...]:
    """Return the types that another one consists of, as `layout_of` orders them."""
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element, _):
            return (element,)
        case MapType(key, value):
            return key, value
        case TupleType(elements):
            return elements
        case UserType(fields=fields):
            return tuple(each for _, each in fields)
    return ()


def _chosen(name: str, cql_type: CqlType, layout: Layout, text: str) -> Layout:
    native = cql_type.name if isinstance(cql_type, NativeType) else ""
    decimal = _DECIMAL.fullmatch(text)
    if decimal and native in ("decimal", "varint"):
        precision, scale = map(int, decimal.groups())
        if not scale <= precision or not 1 <= precision <= _MAX_PRECISION:
            raise OptionError(
                f"types: {brief(name)} cannot be {text}: the precision goes from 1 to {_MAX_PRECISION}, "
                "and the scale from 0 to the precision"
            )
        return Layout(f"{native}128", f"d:{precision},{scale}", count=precision, scale=scale)
    if text == "string" and native in _TEXTS:
        return Layout(_TEXTS[native], "u")
    inner = "".join(f"; what is in it is {f'{name}.{each}'!r}" for each, _ in layout.children[:1])
    raise OptionError(
        f"types: {brief(name)} is {cql_type}, which cannot be {text[:60]}; decimal and varint can be "
        f"'decimal128(precision, scale)', uuid and timeuuid can be 'string'{inner}"
    )
