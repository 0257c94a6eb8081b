"""Classes of users that values with names are made into: rows, and user-defined types."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import repeat, starmap
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple, get_type_hints

from triocql._brief import brief
from triocql.errors import OptionError

Build = Callable[[Iterable[Any]], Iterator[Any]]
"""Makes an instance of each sequence of values, or of what else they were read as."""


class Reading(NamedTuple):
    """How values are read: as `dict`, `tuple` or a subclass of it; and what makes instances of another class of it."""

    kind: type[Any]
    build: Build | None


class Field(NamedTuple):
    """Something that a class takes.

    Attributes:
        attribute: where instances keep it.
        names: the names that a value for it can go by.
        required: whether it has to be there.
        default: what it is if it is not there.
        sources: the names of values that it is taken out of.
    """

    attribute: str
    names: tuple[str, ...]
    required: bool
    default: Any = None
    sources: tuple[str, ...] = ()

    @property
    def read_by(self) -> tuple[str, ...]:
        """The names of all values that it can be made of."""
        return self.names + self.sources


class Shape(ABC):
    """The fields that a class takes, and how its instances are made of them.

    Attributes:
        cls: the class.
        fields: what it takes.
        takes_others: whether it takes any other name as well.
    """

    has_order: ClassVar[bool] = False
    """Whether it is made of values in the order of its fields."""
    keeps_all: ClassVar[bool] = False
    """Whether instances keep each of its fields as an attribute, without having to be asked."""

    def __init__(self, cls: type[Any], fields: Iterable[Field], *, takes_others: bool = False) -> None:
        self.cls = cls
        self.fields = tuple(fields)
        self.takes_others = takes_others
        names = (name for field in self.fields for name in field.read_by)
        self._ranks = {name: rank for rank, name in enumerate(names)}

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return what the class needs and `names` lack."""
        given = set(names)
        return [
            field.read_by[0] for field in self.fields if field.required and given.isdisjoint(field.read_by)
        ]

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that the class does not take."""
        return [] if self.takes_others else [name for name in names if name not in self._ranks]

    def knows(self, name: str) -> bool:
        """Whether it has a field that goes by this name."""
        return name in self._ranks

    def annotations(self) -> dict[str, Any]:
        """Return the annotations by the names of values. Raises NameError for what is not defined, and others."""
        by_attribute = self._annotations()
        return {name: by_attribute.get(field.attribute, Any) for field in self.fields for name in field.names}

    def _annotations(self) -> dict[str, Any]:
        return get_type_hints(self.cls)

    def rows(self, names: tuple[str, ...]) -> Reading:
        """Return how rows of these columns are read; all of them are what the class takes."""
        wanted = self._wanted(names)
        reading = self._reading(wanted)
        if names == wanted or reading.kind is dict:
            return reading
        return Reading(tuple, self.builder(names))

    def builder(self, names: tuple[str, ...]) -> Build:
        """Return what makes instances of values of these names; those that the class does not take are left out."""
        wanted = self._wanted(names)
        kind, build = self._reading(wanted)
        pick = None if names == wanted else _picker(names, wanted)

        def built(rows: Iterable[Any]) -> Iterator[Any]:
            if pick is not None:
                rows = map(pick, rows)
            if kind is dict:
                rows = map(dict, map(zip, repeat(wanted), rows))
            elif kind is not tuple:
                rows = map(partial(tuple.__new__, kind), rows)
            return iter(rows) if build is None else build(rows)

        return built

    def _wanted(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of `names` that the class takes, in its order if it has one."""
        wanted = [name for name in dict.fromkeys(names) if self.takes_others or name in self._ranks]
        if self.has_order:
            wanted.sort(key=lambda name: self._ranks.get(name, len(self._ranks)))
        return tuple(wanted)

    @abstractmethod
    def _reading(self, names: tuple[str, ...]) -> Reading:
        """Return how values of these names are read, which are in order if the class has one."""


class _Dictionary(Shape):
    """dict itself, or a TypedDict."""

    def _reading(self, names: tuple[str, ...]) -> Reading:
        return Reading(dict, None)


class _NamedTuple(Shape):
    """A NamedTuple, as long as it has no constructor of its own."""

    has_order = True

    def _reading(self, names: tuple[str, ...]) -> Reading:
        if names == self.cls._fields:
            return Reading(self.cls, None)
        return Reading(dict, partial(_by_name, self.cls))


class _Called(Shape):
    """A class that is called with its fields: a dataclass, one of attrs, any other one."""

    has_order = True

    def __init__(self, cls: type[Any]) -> None:
        parameters = _parameters(cls)
        named = [each for each in parameters if each.kind in _NAMED]
        takes_others = any(each.kind is each.VAR_KEYWORD for each in parameters)
        if not named and not takes_others:
            raise OptionError(f"{brief(cls)} cannot be made of named values: it takes none")
        attributes = _attributes(cls)
        fields = (
            Field(
                attributes.get(each.name, each.name), (each.name,), each.default is each.empty, each.default
            )
            for each in named
        )
        super().__init__(cls, fields, takes_others=takes_others)
        self._positional = tuple(each.name for each in named if each.kind is each.POSITIONAL_OR_KEYWORD)

    def _annotations(self) -> dict[str, Any]:
        hints = super()._annotations()
        if all(field.attribute in hints for field in self.fields):
            return hints
        return get_type_hints(self.cls.__init__) | hints

    def _reading(self, names: tuple[str, ...]) -> Reading:
        if names == self._positional[: len(names)]:
            return Reading(tuple, partial(starmap, self.cls))
        return Reading(dict, partial(_by_name, self.cls))


class _Struct(Shape):
    """A class of msgspec: converted, so that it is checked and values become what it asks for."""

    keeps_all = True

    def __init__(self, cls: type[Any]) -> None:
        names = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
        defaults = {each.name: each.default for each in _parameters(cls)}
        fields = (
            Field(name, (names[name],), default is inspect.Parameter.empty, default)
            for name, default in defaults.items()
        )
        super().__init__(cls, fields)

    def _reading(self, names: tuple[str, ...]) -> Reading:
        return Reading(dict, partial(map, partial(sys.modules["msgspec"].convert, type=self.cls)))


class _Model(Shape):
    """A model of pydantic: validated. One that says what becomes of other names is asked about them, too."""

    keeps_all = True

    def __init__(self, cls: type[Any]) -> None:
        config = cls.model_config
        by_name = bool(config.get("populate_by_name") or config.get("validate_by_name"))
        by_alias = config.get("validate_by_alias", True)
        fields = (
            _model_field(name, info, info.validation_alias if by_alias else None, by_name=by_name)
            for name, info in cls.model_fields.items()
        )
        super().__init__(cls, fields, takes_others=config.get("extra") in ("allow", "ignore"))

    def _annotations(self) -> dict[str, Any]:
        return {name: info.annotation for name, info in self.cls.model_fields.items()}

    def _reading(self, names: tuple[str, ...]) -> Reading:
        return Reading(dict, partial(map, self.cls.model_validate))


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@lru_cache(maxsize=1024)
def shape_of(cls: type[Any]) -> Shape:
    """Return what a class takes. Raises OptionError if it cannot be made of named values."""
    if cls is dict:
        return _Dictionary(cls, (), takes_others=True)
    if hasattr(cls, "__required_keys__"):
        keys = cls.__required_keys__ | cls.__optional_keys__
        return _Dictionary(cls, (Field(key, (key,), key in cls.__required_keys__) for key in keys))
    if hasattr(cls, "model_validate") and hasattr(cls, "model_fields"):
        return _Model(cls)
    if hasattr(cls, "__struct_encode_fields__"):
        return _Struct(cls)
    if _is_plain_named_tuple(cls):
        return _NamedTuple(
            cls, (Field(name, (name,), name not in cls._field_defaults) for name in cls._fields)
        )
    return _Called(cls)


def is_hashable(cls: type[Any]) -> bool:
    """Whether instances of a class are hashable, as far as it is for the class to say."""
    config = getattr(
        cls, "__struct_config__", None
    )  # of msgspec: others of its classes raise when they are hashed
    return cls.__hash__ is not None and (config is None or config.frozen or not config.eq)


def _is_plain_named_tuple(cls: type[Any]) -> bool:
    """Whether a class is a NamedTuple that adds nothing to how it is made."""
    base = next((each for each in cls.__mro__ if "_field_defaults" in vars(each)), None)
    is_plain = base is not None and cls.__new__ is base.__new__ and cls.__init__ is object.__init__
    return is_plain and issubclass(cls, tuple)


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        raise OptionError(f"{brief(cls)} cannot be made of named values: it has no signature") from None
    for each in parameters:
        if each.kind is each.POSITIONAL_ONLY and each.default is each.empty:
            raise OptionError(
                f"{brief(cls)} cannot be made of named values: its parameter {each.name} is positional-only"
            )
    return parameters


def _attributes(cls: type[Any]) -> dict[str, str]:
    """Return the attributes that are named otherwise than what the class takes for them."""
    if hasattr(cls, "__attrs_attrs__"):
        return {field.alias: field.name for field in cls.__attrs_attrs__}
    fields = getattr(cls, "__pydantic_fields__", {})  # of a dataclass of pydantic
    return {path[0]: name for name, info in fields.items() for path in _paths(info.validation_alias)}


def _model_field(name: str, info: Any, alias: Any, *, by_name: bool) -> Field:
    paths = list(_paths(alias))
    names = [path[0] for path in paths if len(path) == 1]
    if by_name or not paths:
        names.append(name)
    sources = tuple(path[0] for path in paths if len(path) > 1)
    return Field(name, tuple(names), info.is_required(), info.default, sources)


def _paths(alias: Any) -> Iterator[list[Any]]:
    """Iterate over where an alias of pydantic is looked up: a text, a path into a value, or choices of these."""
    if isinstance(alias, str):
        yield [alias]
    if hasattr(alias, "path"):
        yield alias.path
    for choice in getattr(alias, "choices", ()):
        yield from _paths(choice)


def _by_name(cls: type[Any], rows: Iterable[dict[str, Any]]) -> Iterator[Any]:
    return (cls(**row) for row in rows)


def _picker(names: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return what takes the values that are wanted out of a sequence; of several of one name, the last."""
    last = {name: place for place, name in enumerate(names)}
    places = [last[name] for name in wanted]
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[place] for place in places]
