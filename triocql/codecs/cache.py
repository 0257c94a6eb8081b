"""A cache for what is made of descriptions that servers send: bounded by how much they describe."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from triocql.protocol.types import ListType, MapType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from triocql.protocol.types import ColumnSpec, CqlType

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
P = ParamSpec("P")

LIMIT = 100_000
"""How much is kept: so many columns, or types within types, take some tens of megabytes."""

_LARGEST_SHARE = 8
_ENTRY = 16


class Cache(Generic[K, V]):
    """Keeps what was made last, as much of it as weighs no more than `limit` in all.

    A server says how large it is: by their number alone, a thousand could fill the memory. What would push out most of
    the others is not kept at all. May be used by several threads.

    Attributes:
        get: returns what is kept for a key, None if nothing is.
    """

    def __init__(self, limit: int = LIMIT, on_dropped: Callable[[K], object] | None = None) -> None:
        self._limit = limit
        self._on_dropped = on_dropped
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._weights: dict[K, int] = {}
        self.get = self._kept.get

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: K, value: V, weight: int) -> bool:
        """Keep what was made for `key`, and drop the oldest others as needed; return whether it is kept."""
        weight += _ENTRY
        if weight * _LARGEST_SHARE > self._limit or self._kept.setdefault(key, value) is not value:
            return False
        self._weights[key] = weight
        # Summed up each time: a number that several threads change would not stay right.
        while sum(self._weights.values()) > self._limit:
            oldest, _ = self._kept.popitem(last=False)
            self._weights.pop(oldest, None)
            if self._on_dropped is not None:
                self._on_dropped(oldest)
        return True


def remembered(weigh: Callable[P, int]) -> Callable[[Callable[P, V]], Callable[P, V]]:
    """Decorate a function of positional arguments so that what it makes is kept in a `Cache`, by its arguments.

    `weigh` gives the weight of what is made of the same arguments.
    """

    def decorate(make: Callable[P, V]) -> Callable[P, V]:
        cache: Cache[Any, V] = Cache()

        @wraps(make)
        def get(*args: P.args, **kwargs: P.kwargs) -> V:
            made = cache.get(args)
            if made is None:
                made = make(*args, **kwargs)
                cache.keep(args, made, weigh(*args, **kwargs))
            return made

        return get

    return decorate


def weight_of_names(names: tuple[str, ...]) -> int:
    """Return the weight of some names: each counts, and a long one more than once."""
    return len(names) + sum(map(len, names)) // 64


def weight_of_columns(columns: Iterable[ColumnSpec]) -> int:
    """Return the weight of some columns: each counts by the types that its type is made of, and by long names."""
    return sum(
        _weight_of_type(cql_type) + (len(keyspace) + len(table) + len(name)) // 64
        for keyspace, table, name, cql_type in columns
    )


def _weight_of_type(cql_type: CqlType) -> int:
    match cql_type:
        case ListType(element) | SetType(element) | VectorType(element, _):
            return 1 + _weight_of_type(element)
        case MapType(key, value):
            return 1 + _weight_of_type(key) + _weight_of_type(value)
        case TupleType(elements):
            return 1 + sum(map(_weight_of_type, elements))
        case UserType(fields=fields):
            return 1 + sum(weight_of_names((name,)) + _weight_of_type(field) for name, field in fields)
    return 1
