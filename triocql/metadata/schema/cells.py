"""Values in the rows of system tables. They come from a server: they are checked first."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from triocql.codecs.values import FrozenMap
from triocql.metadata.schema.columns import NOTHING

if TYPE_CHECKING:
    from collections.abc import Container

    Row = Mapping[str, Any]

T = TypeVar("T")

_PLAIN: Final = frozenset((str, int, float, bool, bytes, UUID, type(None)))
_SHOWN: Final = 50


class Unreadable(ValueError):
    """A row, or a column of it, cannot be used; the text says why."""


def shown(value: object) -> str:
    """Return what is shown of something that a server told."""
    try:
        text = repr(value)
    except Exception:  # whatever a row has
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def text(row: Row, column: str) -> str:
    """Return a text that has to be there."""
    value = row.get(column)
    if type(value) is not str:
        raise Unreadable(f"{column} is {shown(value)}")
    return value


def text_or_none(row: Row, column: str) -> str | None:
    """Return a text, None for null."""
    return None if row.get(column) is None else text(row, column)


def texts(row: Row, column: str) -> tuple[str, ...]:
    """Return a list of texts, which may be null if there are none."""
    return listed(row, column, str)


def listed(row: Row, column: str, kind: type[T]) -> tuple[T, ...]:
    """Return a list of values of a class."""
    value = row.get(column)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(type(each) is kind for each in value):
        raise Unreadable(f"{column} is {shown(value)}")
    return tuple(value)


def text_map(row: Row, column: str) -> FrozenMap[str, str]:
    """Return a map of texts, which may be null if there are none."""
    return mapped(row, column, str)


def mapped(row: Row, column: str, kind: type[T]) -> FrozenMap[str, T]:
    """Return a map of values of a class by texts."""
    value = row.get(column)
    if value is None:
        return NOTHING
    if not isinstance(value, Mapping) or not all(
        type(key) is str and type(each) is kind for key, each in value.items()
    ):
        raise Unreadable(f"{column} is {shown(value)}")
    return FrozenMap(value) if value else NOTHING


def identity(row: Row, column: str) -> UUID | None:
    """Return an identity, None for null."""
    value = row.get(column)
    if value is not None and not isinstance(value, UUID):
        raise Unreadable(f"{column} is {shown(value)}")
    return value


def flag(row: Row, column: str) -> bool:
    """Return whether something is so; null is no."""
    value = row.get(column)
    if value is not None and type(value) is not bool:
        raise Unreadable(f"{column} is {shown(value)}")
    return value is True


def frozen(value: Any) -> Hashable:
    """Return a value that nobody can change."""
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, Mapping):
        return FrozenMap({frozen(key): frozen(each) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(map(frozen, value))
    try:
        hash(value)
    except Exception:  # whatever a row has
        return shown(value)
    return value  # type: ignore[no-any-return]


def others(row: Row, known: Container[str]) -> FrozenMap[str, Any]:
    """Return what a row has in columns that triocql does not know, without nulls."""
    found = {name: frozen(row[name]) for name in row if name not in known and row[name] is not None}
    return FrozenMap(found) if found else NOTHING


def put(found: dict[str, T], name: str, each: T) -> None:
    """Add something that was read; it may have been told several times, but not differently."""
    if found.setdefault(name, each) != each:
        raise Unreadable(f"there are two of {shown(name)}, which differ")


def alike(rows: Sequence[Row]) -> Row:
    """Return the only row there is, which may have been told several times."""
    if any(row != rows[0] for row in rows[1:]):
        raise Unreadable("there are two of it, which differ")
    return rows[0]
