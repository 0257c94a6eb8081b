"""User-defined types: named values, or instances of a class that the user has registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from keyword import iskeyword
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.codecs.cache import remembered, weight_of_names
from triocql.codecs.classes import shape_of
from triocql.codecs.node import Node
from triocql.codecs.records import values_of
from triocql.codecs.refusals import refused
from triocql.codecs.tuples import pack_elements, read_elements

if TYPE_CHECKING:
    from triocql.protocol.types import UserType


class UserValue(tuple[Any, ...]):
    """A value of a user-defined type without a registered class: a tuple with names.

    ``value.street``, ``value["street"]``, ``value[0]``, unpacking, `_asdict()`. Fields whose name is no
    identifier, or one that tuples use, are reached by ``value["..."]``. Its class is made once for each type.
    """

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _index: Mapping[str, int] = {}

    def __getitem__(self, key: Any) -> Any:
        """Return a field by name or position, or a tuple for a slice."""
        if isinstance(key, str):
            try:
                key = self._index[key]
            except KeyError:
                raise KeyError(f"no field {brief(key)}; there are {', '.join(self._fields)}") from None
        return tuple.__getitem__(self, key)

    def _asdict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self).__name__, self._fields, tuple(self))


def _rebuild(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> UserValue:
    return tuple.__new__(user_value_class(name, fields), values)


@remembered(lambda name, fields: weight_of_names((name, *fields)))
def user_value_class(name: str, fields: tuple[str, ...]) -> type[UserValue]:
    """Return the class of the values of a user-defined type by its name and its fields."""
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": f"A value of the user-defined type {name}.",
        "_fields": fields,
        "_index": {field: i for i, field in enumerate(fields)},
    }
    for i, field in enumerate(fields):
        if _is_attribute(field):
            namespace[field] = property(itemgetter(i))
    return type(name.replace("\0", "\\0"), (UserValue,), namespace)


def _is_attribute(field: str) -> bool:
    """Whether a field can be an attribute; names between double underscores mean something to Python."""
    special = field.startswith("__") and field.endswith("__")
    return field.isidentifier() and not (special or iskeyword(field) or hasattr(UserValue, field))


def _made_by(cls: type[Any], names: tuple[str, ...]) -> Callable[[Sequence[Any]], Any]:
    """Return what makes instances of a user's class of values of these names."""
    builder = shape_of(cls).builder(names)  # type: ignore[arg-type]

    def made(values: Sequence[Any]) -> Any:
        try:
            return next(builder((values,)))
        except MemoryError:
            raise
        except Exception as error:
            raise refused(cls, "a value", error) from error

    return made


def _hashable(
    make: Callable[[Sequence[Any]], Any], value_class: type[UserValue]
) -> Callable[[Sequence[Any]], Any]:
    """Return what makes the same values, but for those that turn out not to be hashable."""

    def made(values: Sequence[Any]) -> Any:
        value = make(values)
        try:
            hash(value)
        except TypeError:
            return tuple.__new__(value_class, values)
        return value

    return made


class UserTypeNode(Node):
    """A user-defined type. Taken: mappings and named tuples by the names of the fields; instances of the classes
    that it can be read as, and other objects that keep its fields as attributes; other sequences by position.
    Fields that are missing are null.
    """

    __slots__ = ("fields", "make", "names", "value_class")
    takes = "a dict, an object with its fields as attributes, or a sequence"

    def __init__(
        self, cql_type: UserType, fields: tuple[Node, ...], cls: type | None = None, *, hashable: bool = False
    ) -> None:
        super().__init__(cql_type)
        self.names = tuple(name for name, _ in cql_type.fields)
        self.fields = fields
        self.value_class: type[tuple[Any, ...]] | None
        self.make: Callable[[Sequence[Any]], Any]
        if cls is None:
            self.value_class = user_value_class(cql_type.name, self.names)
        else:
            kind, build = shape_of(cls).rows(self.names)
            self.value_class = kind if build is None and kind is not dict else None
        if self.value_class is not None:
            self.make = partial(tuple.__new__, self.value_class)
        elif cls is not None:
            self.make = _made_by(cls, self.names)
        if hashable:
            self.make = _hashable(self.make, user_value_class(cql_type.name, self.names))

    def decode(self, raw: bytes) -> Any:
        """Return the value; fields missing at the end are None, fields that the type does not know yet left
        out. Raises RowTypeError if the class refuses it.
        """
        return self.make(read_elements(raw, self.fields)[0])

    def encode(self, value: Any) -> bytes:
        """Return every field after its length."""
        values = self.by_position(value)
        if values is None:
            return self.encode_other(value)
        return pack_elements(self.fields, values, self.names)

    def by_position(self, value: Any) -> Sequence[Any] | None:
        """Return the values of the fields in their order; None if `value` has no fields."""
        if type(value) is self.value_class:
            return tuple(value)
        return values_of(value, self.type, self.names)
