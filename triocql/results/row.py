"""`Row`: a tuple whose items also have names."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar, SupportsIndex, overload

from triocql._brief import brief
from triocql.codecs.cache import remembered, weight_of_names

if TYPE_CHECKING:
    from typing import Self

try:
    from _collections import _tuplegetter as _attribute  # type: ignore[import-not-found]
except ImportError:  # only CPython has this; it reads a tuple's item without a call

    def _attribute(index: int, doc: str) -> property:
        """Return a property that gives an item of a tuple."""
        return property(lambda row: _item(row, index), doc=doc)


_item = tuple.__getitem__


class Row(tuple[Any, ...]):
    """A row of a result: a tuple, and its columns by name.

    ``row.name``, ``row["name"]`` and ``row[0]`` all give a column. A column whose name is no identifier or
    begins with "_" has no attribute; of several columns of the same name, the name gives the last one. Rows
    are equal to, and hash as, tuples of the same values.

    >>> row = row_class(("id", "name"))((1, "Ada"))
    >>> row.name, row["id"], row
    ('Ada', 1, Row(id=1, name='Ada'))
    >>> id, name = row
    """

    __slots__ = ()

    _fields: ClassVar[tuple[str, ...]] = ()
    _positions: ClassVar[dict[str, int]] = {}

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            try:
                key = self._positions[key]
            except KeyError:
                raise KeyError(f"no column {brief(key)}; the columns are {', '.join(self._fields)}") from None
        return _item(self, key)

    def _asdict(self) -> dict[str, Any]:
        """Return the columns as a dict, in their order."""
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        columns = (
            f"{name}={value!r}" if _is_attribute(name) else f"[{name!r}]={value!r}"
            for name, value in zip(self._fields, self, strict=False)
        )
        return f"Row({', '.join(columns)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._fields, tuple(self))

    def __copy__(self) -> Self:
        return self


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")


@remembered(weight_of_names)
def row_class(names: tuple[str, ...]) -> type[Row]:
    """Return the class of rows with these columns; made once for as long as it is in use.

    Its instances may be allocated as those of `tuple` are: it has no constructor of its own.
    """
    positions = {name: index for index, name in enumerate(names)}
    attributes = {
        name: _attribute(index, f"Column {index}") for name, index in positions.items() if _is_attribute(name)
    }
    special = {
        "__slots__": (),
        "__module__": __name__,
        "__doc__": f"A row of {', '.join(names)}.",
        "__match_args__": tuple(takewhile(_is_attribute, names)),
        "_fields": names,
        "_positions": positions,
    }
    return type("Row", (Row,), attributes | special)


def _restore(names: tuple[str, ...], values: tuple[Any, ...]) -> Row:
    """Make a row that was pickled."""
    return row_class(names)(values)
