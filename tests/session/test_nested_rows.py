"""User-defined types within rows, as the classes that the row's class is annotated with."""

from __future__ import annotations

import collections.abc as abc
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, TypedDict

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import typing_extensions

from tests.session.typed import INT, TEXT, page_of
from triocql.codecs.udt import UserValue
from triocql.errors import RowTypeError
from triocql.protocol.types import CqlType, ListType, MapType, SetType, TupleType, UserType
from triocql.results.factories import row_factory

if TYPE_CHECKING:
    from decimal import Decimal as NotThereAtRunTime

    from triocql.codecs.registry import Registry

PLACE = UserType("ks", "place", (("street", TEXT), ("number", INT)))


def one(registry: Registry, cls: type[Any], value: Any, cql_type: CqlType = PLACE) -> Any:
    """Return the only row, as an instance of `cls`, with one column named `place`."""
    (row,) = row_factory(cls).build(page_of(registry, {"place": cql_type}, [(value,)]))
    return row


@dataclass(frozen=True)
class Place:
    street: str
    number: int | None = None


class TuplePlace(NamedTuple):
    number: int
    street: str


class MappedPlace(typing_extensions.TypedDict):
    street: str
    number: int


class ModelPlace(pydantic.BaseModel, frozen=True):
    number: int
    street: str


class StructPlace(msgspec.Struct, frozen=True):
    number: int
    street: str


VALUE: dict[str, Any] = {"street": "Main", "number": 7}


def user_with(annotation: Any) -> type[Any]:
    """Return a dataclass with one field, `place`."""
    return make_dataclass("User", [("place", annotation)])


PLACES: list[type[Any]] = [Place, TuplePlace, MappedPlace, ModelPlace, StructPlace]


@pytest.mark.parametrize("place", PLACES)
def test_nested_classes(registry: Registry, place: type[Any]) -> None:
    expected = place(**VALUE)
    row = one(registry, user_with(place), VALUE)
    assert row.place == expected
    assert type(row.place) is (dict if place is MappedPlace else place)


class NamedUser(NamedTuple):
    place: Place


class MappedUser(TypedDict):
    place: Place


def test_nested_classes_in_tuples_and_dicts(registry: Registry) -> None:
    assert one(registry, NamedUser, VALUE) == NamedUser(Place(**VALUE))
    assert one(registry, MappedUser, VALUE) == {"place": Place(**VALUE)}


@pytest.mark.parametrize("place", [Place, TuplePlace, MappedPlace, ModelPlace])
def test_nested_classes_in_models(registry: Registry, place: type[Any]) -> None:
    model = pydantic.create_model("User", place=place, __config__=pydantic.ConfigDict(extra="forbid"))
    assert one(registry, model, VALUE) == model(place=place(**VALUE))


@pytest.mark.parametrize("place", [Place, TuplePlace, MappedPlace, StructPlace])
def test_nested_classes_in_structs(registry: Registry, place: type[Any]) -> None:
    struct = msgspec.defstruct("User", [("place", place)])
    assert one(registry, struct, VALUE) == struct(place=place(**VALUE))


WITHIN: list[tuple[Any, CqlType, Any, Any]] = [
    (Optional[Place], PLACE, None, None),  # noqa: UP045 - another object than the one below
    (Place | None, PLACE, VALUE, Place(**VALUE)),
    (Annotated[Place, "a note"], PLACE, VALUE, Place(**VALUE)),
    (list[Place], ListType(PLACE), [VALUE, VALUE], [Place(**VALUE)] * 2),
    (abc.Sequence[Place | None], ListType(PLACE), [VALUE], [Place(**VALUE)]),
    (set[Place], SetType(PLACE), [VALUE], {Place(**VALUE)}),
    (dict[str, Place], MapType(TEXT, PLACE), {"a": VALUE}, {"a": Place(**VALUE)}),
    (dict[Place, int], MapType(PLACE, INT), {Place(**VALUE): 1}, {Place(**VALUE): 1}),
    (dict[str, list[Place]], MapType(TEXT, ListType(PLACE)), {"a": [VALUE]}, {"a": [Place(**VALUE)]}),
    (tuple[int, Place], TupleType((INT, PLACE)), (1, VALUE), (1, Place(**VALUE))),
    (tuple[Place, ...], TupleType((PLACE, PLACE)), (VALUE, VALUE), (Place(**VALUE),) * 2),
    (frozenset[tuple[Place, ...]], SetType(ListType(PLACE)), [[VALUE]], {(Place(**VALUE),)}),
    (dict[str, Any], PLACE, VALUE, VALUE),
    (abc.Mapping[str, Any], PLACE, VALUE, VALUE),
]


@pytest.mark.parametrize(("hint", "cql_type", "value", "expected"), WITHIN)
def test_annotations(registry: Registry, hint: Any, cql_type: CqlType, value: Any, expected: Any) -> None:
    cls = user_with(hint)
    found = one(registry, cls, value, cql_type).place
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("hint", [Any, object, tuple, tuple[str, int], UserValue, Place | TuplePlace])
def test_annotations_that_leave_it_open(registry: Registry, hint: Any) -> None:
    cls = user_with(hint)
    assert isinstance(one(registry, cls, VALUE).place, UserValue)
    registry.register_udt("ks", "place", TuplePlace)
    assert one(registry, cls, VALUE).place == TuplePlace(7, "Main")


@dataclass
class Outer:
    inner: Place
    others: list[Place]


@dataclass
class Nesting:
    place: Outer


def test_types_within_types(registry: Registry) -> None:
    outer = UserType("ks", "outer", (("inner", PLACE), ("others", ListType(PLACE)), ("newer", INT)))
    value = {"inner": VALUE, "others": [VALUE], "newer": 1}
    assert one(registry, Nesting, value, outer) == Nesting(Outer(Place(**VALUE), [Place(**VALUE)]))


@dataclass
class NeedsMore:
    street: str
    zip: str


@dataclass
class Mutable:
    street: str


class MutableStruct(msgspec.Struct):
    street: str
    number: int


WRONG: list[tuple[Any, CqlType, str]] = [
    (NeedsMore, PLACE, r"User\.place: frozen<place> has no zip, which NeedsMore needs"),
    (set[Mutable], SetType(PLACE), r"User\.place: Mutable has to be hashable"),
    (set[MutableStruct], SetType(PLACE), r"User\.place: MutableStruct has to be hashable"),
    (set[dict[str, Any]], SetType(PLACE), r"User\.place: dict has to be hashable"),
    (int, PLACE, r"User\.place: <class 'int'> cannot be made of named values"),
]


@pytest.mark.parametrize(("hint", "cql_type", "message"), WRONG)
def test_annotations_that_do_not_fit(registry: Registry, hint: Any, cql_type: CqlType, message: str) -> None:
    cls = user_with(hint)
    with pytest.raises(RowTypeError, match=message.replace("frozen<place>", str(PLACE))):
        one(registry, cls, None, cql_type)


@dataclass
class Unresolved:
    place: Place
    cost: NotThereAtRunTime | None = None


def test_annotations_that_cannot_be_resolved(registry: Registry) -> None:
    """They are needed for user-defined types only."""
    with pytest.raises(RowTypeError, match=r"of Unresolved cannot be resolved \(name 'NotThereAtRunTime'"):
        one(registry, Unresolved, VALUE)
    assert one(registry, Unresolved, 1, INT) == Unresolved(1)  # type: ignore[arg-type]


def test_an_annotation_counts_before_a_class_that_is_registered(registry: Registry) -> None:
    registry.register_udt("ks", "place", TuplePlace)
    cls = user_with(Place)
    assert one(registry, cls, VALUE).place == Place(**VALUE)


def test_a_codec_counts_before_an_annotation(registry: Registry) -> None:
    class Street:
        def encode(self, value: str) -> Any:
            return {"street": value}

        def decode(self, value: Any) -> str:
            return str(value.street)

    registry.register_column("ks", "t", "place", Street())
    cls = user_with(Place)
    assert one(registry, cls, "Main").place == "Main"


class CheckedModel(pydantic.BaseModel, frozen=True):
    number: Annotated[int, pydantic.Field(gt=1000)]
    street: str


class CheckedStruct(msgspec.Struct, frozen=True):
    number: Annotated[int, msgspec.Meta(gt=1000)]
    street: str


@dataclass(frozen=True)
class CheckedPlace:
    street: str
    number: int

    def __post_init__(self) -> None:
        raise ValueError(self.street)


REFUSED = [
    (CheckedModel, "'number': Input should be greater than 1000"),
    (CheckedStruct, "'number': Expected `int` >= 1001"),
    (CheckedPlace, "ValueError"),
]


@pytest.mark.parametrize(("place", "reason"), REFUSED)
def test_a_nested_value_that_its_class_refuses(registry: Registry, place: type[Any], reason: str) -> None:
    words = rf"^row 0, column 'place' .* of ks\.t: {place.__name__} refused a value: {reason}$"
    value = VALUE | {"street": "secret"}
    for cls, cql_type, given in (
        (user_with(place), PLACE, value),
        (user_with(list[place]), ListType(PLACE), [value]),  # type: ignore[valid-type]
        (user_with(set[place]), SetType(PLACE), [value]),  # type: ignore[valid-type]
    ):
        with pytest.raises(RowTypeError, match=words) as caught:
            one(registry, cls, given, cql_type)
        assert type(caught.value.__cause__).__name__ in ("ValidationError", "ValueError")
        assert "secret" not in str(caught.value)


@pydantic.dataclasses.dataclass
class Validated:
    place: Place
    others: list[TuplePlace] | None = None


def test_a_dataclass_of_pydantic(registry: Registry) -> None:
    assert one(registry, Validated, VALUE) == Validated(Place(**VALUE))
