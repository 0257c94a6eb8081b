"""Lists, sets and maps (native protocol v5, section 5.11 and following).

Inside a set and as keys of a map everything is hashable: lists are tuples there, sets frozensets, maps
`FrozenMap`. Inside a tuple, a user-defined type or a vector, sets and maps are ordered: sorted here, since the server
does not do it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import TYPE_CHECKING, Any

from triocql.codecs.collisions import can_collide, check_hashes
from triocql.codecs.node import INT, FixedNode, FixedRun, Node, pack_sized, read_sized, refused_at
from triocql.codecs.order import sort_key, sorted_elements, sorted_items
from triocql.codecs.values import FrozenMap
from triocql.errors import BindTypeError, BindValueError, DecodeError

if TYPE_CHECKING:
    from triocql.protocol.types import ListType, MapType, SetType

_LONGEST_RUN = 256
"""How many elements are read at once: a run is kept for each number of them."""


class _ElementsNode(Node):
    """The base of lists and sets: a count, then the elements, each after its length."""

    __slots__ = ("collides", "element", "make", "runs")

    def __init__(
        self, cql_type: ListType | SetType, element: Node, make: Callable[[list[Any]], Any] | None
    ) -> None:
        super().__init__(cql_type)
        self.element = element
        self.make = make
        self.collides = False
        self.runs: dict[int, FixedRun] = {}

    def decode(self, raw: bytes) -> Any:
        """Return the elements; EMPTY for no bytes."""
        if len(raw) < 4:
            return self.odd_length(raw)
        count = read_count(raw, 4)
        elements = self._read_run(raw, count)
        if elements is None:
            elements = self._read_each(raw, count)
        if self.collides:
            check_hashes(elements)
        return elements if self.make is None else self.make(elements)

    def _read_run(self, raw: bytes, count: int) -> list[Any] | None:
        """Read all elements at once, if they are of fixed size."""
        node = self.element
        # Judged by the size of all, so that nothing is made for a count that a server merely says. One that is null or
        # empty changes it, or has `run.read` give None: then each is read for itself.
        if (
            not isinstance(node, FixedNode)
            or count > _LONGEST_RUN
            or len(raw) != 4 + count * (4 + node.width)
        ):
            return None
        run = self.runs.get(count)
        if run is None:
            run = self.runs[count] = FixedRun((node,) * count)
        return run.read(raw, 4)

    def _read_each(self, raw: bytes, count: int) -> list[Any]:
        elements = []
        at = 4
        for _ in range(count):
            value, at = read_sized(raw, at, self.element)
            elements.append(value)
        check_end(raw, at)
        return elements

    def _encode_elements(self, elements: Iterable[Any]) -> bytes:
        encoded = self._encode_each(elements)
        return INT.pack(len(encoded)) + b"".join(map(pack_sized, encoded))

    def _encode_each(self, elements: Iterable[Any]) -> Sequence[bytes]:
        return list(map(self.element.encode, elements))


class ListNode(_ElementsNode):
    """list: any sequence or set but a text or bytes; numpy arrays. Read as `list`."""

    __slots__ = ()
    takes = "a list or another sequence"

    def __init__(self, cql_type: ListType, element: Node, *, hashable: bool) -> None:
        super().__init__(cql_type, element, tuple if hashable else None)

    def encode(self, value: Any) -> bytes:
        """Return the elements in their order."""
        return self._encode_elements(value) if is_elements(value) else self.encode_other(value)

    def _encode_each(self, elements: Iterable[Any]) -> Sequence[bytes]:
        encoded: list[bytes] = []
        try:
            encoded.extend(map(self.element.encode, elements))
        except (BindTypeError, BindValueError) as error:
            raise refused_at(f"element {len(encoded)}", error) from error.__cause__
        return encoded


class SetNode(_ElementsNode):
    """set: any set or sequence but a text or bytes. Read as `set`."""

    __slots__ = ("sort_key",)
    takes = "a set or a sequence"

    def __init__(self, cql_type: SetType, element: Node, *, hashable: bool, ordered: bool = False) -> None:
        super().__init__(cql_type, element, frozenset if hashable else set)
        self.collides = can_collide(element)
        self.sort_key = sort_key(cql_type.element) if ordered else None

    def encode(self, value: Any) -> bytes:
        """Return the elements, in the server's order and each once if they have to be."""
        return self._encode_elements(value) if is_elements(value) else self.encode_other(value)

    def _encode_each(self, elements: Iterable[Any]) -> Sequence[bytes]:
        encoded = super()._encode_each(elements)
        return encoded if self.sort_key is None else sorted_elements(encoded, self.sort_key)


class MapNode(Node):
    """map: any mapping. Read as `dict`, in the server's order of keys."""

    __slots__ = ("collides", "key", "make", "sort_key", "value")
    takes = "a dict or another mapping"

    def __init__(
        self, cql_type: MapType, key: Node, value: Node, *, hashable: bool, ordered: bool = False
    ) -> None:
        super().__init__(cql_type)
        self.sort_key = sort_key(cql_type.key) if ordered else None
        self.key = key
        self.value = value
        self.collides = can_collide(key)
        self.make: Callable[[dict[Any, Any]], Any] | None = FrozenMap if hashable else None

    def decode(self, raw: bytes) -> Any:
        """Return the items; EMPTY for no bytes."""
        if len(raw) < 4:
            return self.odd_length(raw)
        keys, values = [], []
        at = 4
        for _ in range(read_count(raw, 8)):
            key, at = read_sized(raw, at, self.key)
            value, at = read_sized(raw, at, self.value)
            keys.append(key)
            values.append(value)
        check_end(raw, at)
        if self.collides:
            check_hashes(keys)
        items = dict(zip(keys, values, strict=True))
        return items if self.make is None else self.make(items)

    def encode(self, value: Any) -> bytes:
        """Return the items, in the server's order and each key once if they have to be."""
        if not isinstance(value, Mapping):
            return self.encode_other(value)
        items = [(self.key.encode(key), self.value.encode(item)) for key, item in value.items()]
        if self.sort_key is not None:
            items = sorted_items(items, self.sort_key)
        return INT.pack(len(items)) + b"".join(map(pack_sized, chain.from_iterable(items)))


def is_elements(value: Any) -> bool:
    """Return whether a value is a sequence or set of elements; texts and bytes count as none."""
    if isinstance(value, (list, tuple, Set)):
        return True
    # Sequences, too: but whoever gives one for a list has forgotten the brackets.
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return False
    return isinstance(value, Sequence) or is_array(value)


def is_array(value: Any) -> bool:
    """Return whether a value is a numpy array of at least one dimension."""
    return getattr(value, "ndim", 0) > 0 and hasattr(value, "dtype")


def read_count(raw: bytes, least: int) -> int:
    """Return the number of elements at the start of a value; each has to have `least` bytes at least."""
    count: int = INT.unpack_from(raw)[0]
    if not 0 <= count * least <= len(raw) - 4:
        raise DecodeError("more elements than its bytes can hold, or a negative number of them")
    return count


def check_end(raw: bytes, at: int) -> None:
    """Refuse bytes after the last element."""
    if at != len(raw):
        raise DecodeError("bytes after the last element")
