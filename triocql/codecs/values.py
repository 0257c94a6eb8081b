"""The Python values of CQL that no standard class stands for."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Empty:
    """The class of `EMPTY`."""

    __slots__ = ()
    _only: Empty | None = None

    def __new__(cls) -> Empty:
        """Return the only instance."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "EMPTY"

    def __reduce__(self) -> str:
        return "EMPTY"


EMPTY: Final = Empty()
"""A value of no bytes in a type whose values have some, such as an ``int``: neither null nor a number.

Cassandra allows it for historical reasons. It is read as this object, and may be bound, too. Texts and blobs
of no bytes are simply ``""`` and ``b""``.
"""


class FrozenMap(Mapping[K, V]):
    """A read-only, hashable mapping: what a ``map`` becomes inside a ``set`` or as the key of another
    ``map``.

    It equals every mapping of the same items.

    >>> FrozenMap({"a": 1}) == {"a": 1}
    True
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # A dict's own views, which cannot change it, are faster than those that a Mapping makes.

    def keys(self) -> KeysView[K]:
        """Return its keys, in order."""
        return self._items.keys()

    def values(self) -> ValuesView[V]:
        """Return its values, in order."""
        return self._items.values()

    def items(self) -> ItemsView[K, V]:
        """Return its items, in order."""
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        # Most are alone with their kind: as dicts they are compared at once.
        return self._items == (other._items if isinstance(other, FrozenMap) else other)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(sum(map(hash, self._items.items())))  # linear, whatever they are
        return self._hash

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMap, (self._items,)
