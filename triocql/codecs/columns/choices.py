"""What users choose of the Arrow types of some columns, where the type map leaves a choice: `types=`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns.layout import Layout, layout_of
from triocql.codecs.node import type_name
from triocql.errors import OptionError
from triocql.protocol.types import NativeType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.protocol.types import ColumnSpec, CqlType

Choices = tuple[tuple[str, str], ...]
"""Names of columns, each with the Arrow type as text."""

_DECIMAL = re.compile(r"decimal128\((\d+), ?(\d+)\)")
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
            raise OptionError(f"types has {name!r}; its keys have to be names of columns")
    return chosen


def layouts_of(columns: Iterable[ColumnSpec], choices: Choices) -> tuple[Layout, ...]:
    """Return the layouts of some columns. Raises OptionError for a choice that there is not."""
    chosen = dict(choices)
    names = [column.name for column in columns]
    for name in chosen:
        if name not in names:
            raise OptionError(f"types has {name!r}; the columns are {', '.join(map(repr, names))}")
    return tuple(
        _chosen(column, chosen[column.name]) if column.name in chosen else layout_of(column.type)
        for column in columns
    )


def _chosen(column: ColumnSpec, text: str) -> Layout:
    layout = layout_of(column.type)
    name = _name(column.type)
    decimal = _DECIMAL.fullmatch(text)
    if decimal and name in ("decimal", "varint"):
        precision, scale = map(int, decimal.groups())
        if not scale <= precision or not 1 <= precision <= _MAX_PRECISION:
            raise OptionError(
                f"types: {column.name!r} cannot be {text}: the precision goes from 1 to {_MAX_PRECISION}, "
                "and the scale from 0 to the precision"
            )
        return Layout(f"{name}128", f"d:{precision},{scale}", count=precision, scale=scale)
    if text == "string" and name in _TEXTS:
        return Layout(_TEXTS[name], "u")
    raise OptionError(
        f"types: {column.name!r} is {column.type}, which cannot be {text}; decimal and varint can be "
        "'decimal128(precision, scale)', uuid and timeuuid can be 'string'" + _nested(layout)
    )


def _nested(layout: Layout) -> str:
    return ", if they are no part of another type" if layout.children else ""


def _name(cql_type: CqlType) -> str:
    return cql_type.name if isinstance(cql_type, NativeType) else ""
