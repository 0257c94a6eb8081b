from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from triocql.codecs.udt import UserValue, user_value_class
from triocql.errors import BindTypeError, BindValueError, DecodeError, OptionError, RowTypeError
from triocql.protocol.types import ColumnSpec, CqlType, ListType, MapType, NativeType, SetType, UserType

from .helpers import ADDRESS, columns, decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

RAW = bytes.fromhex("000000026162" + "0000000400000007" + "ffffffff")
TEXT, INT = NativeType("text"), NativeType("int")
PLACE = UserType("ks", "place", (("street", TEXT), ("number", INT)))


@dataclass
class Place:
    street: str
    number: int


@dataclass(frozen=True)
class FrozenPlace:
    number: int
    street: str = ""


class TuplePlace(NamedTuple):
    number: int
    street: str


class OrderedPlace(NamedTuple):
    street: str
    number: int


@dataclass(kw_only=True)
class KeywordPlace:
    number: int
    street: str


class AnyPlace:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def test_values_without_a_class(registry: Registry) -> None:
    value = decode(registry, ADDRESS, RAW)
    assert value == ("ab", 7, None)
    assert (value.street, value["street"], value[0], value[-1], value[:2]) == (
        "ab",
        "ab",
        "ab",
        None,
        ("ab", 7),
    )
    assert value._asdict() == {"street": "ab", "number": 7, "class": None}
    assert value["class"] is None
    assert repr(value) == "address(street='ab', number=7, class=None)"
    with pytest.raises(KeyError, match="no field 'zip'; there are street, number, class"):
        value["zip"]
    with pytest.raises(AttributeError):
        value.street = "x"
    assert encode(registry, ADDRESS, value) == RAW


def test_their_class_is_made_once(registry: Registry) -> None:
    first, second = (
        decode(registry, ADDRESS, RAW),
        decode(registry, ListType(ADDRESS), b"\0\0\0\1\0\0\0\x12" + RAW)[0],
    )
    assert type(first) is type(second)
    assert isinstance(first, UserValue)


def test_they_can_be_copied_and_pickled(registry: Registry) -> None:
    value = decode(registry, ADDRESS, RAW)
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (other, other.street, type(other)) == (value, "ab", type(value))


@pytest.mark.parametrize("name", ["class", "two words", "count", "index", "_asdict", "1st", "é", ""])
def test_any_name_of_a_field(registry: Registry, name: str) -> None:
    cql_type = UserType("ks", "odd", ((name, INT), ("plain", INT)))
    value = round_trip(registry, cql_type, {name: 1})
    assert (value[name], value.plain, value[0]) == (1, None, 1)
    assert callable(value.count)


@pytest.mark.parametrize(
    "name",
    [
        "__classcell__",
        "__del__",
        "__bool__",
        "__getattr__",
        "__getattribute__",
        "__slots__",
        "__set_name__",
        "__",
    ],
)
def test_fields_with_names_that_mean_something_to_python_change_no_class(
    registry: Registry, name: str
) -> None:
    named = UserType("ks", "odd\0name", ((name, INT), ("a", INT)))
    value = round_trip(registry, named, {name: 0, "a": 2})
    assert (value[name], value["a"], value.a, bool(value)) == (0, 2, 2, True)
    assert type(value).__name__ == "odd\\0name"
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.copy(value) == value


@pytest.mark.parametrize(
    "value",
    [
        {"street": "ab", "number": 7},
        OrderedDict(street="ab", number=7),
        ("ab", 7),
        ["ab", 7, None],
        ["ab", 7],
        TuplePlace(street="ab", number=7),
        Place("ab", 7),
        SimpleNamespace(street="ab", number=7),
        user_value_class("other", ("number", "street"))((7, "ab")),
        user_value_class("address", ("street", "number", "class"))(("ab", 7, None)),
    ],
)
def test_what_users_pass(registry: Registry, value: Any) -> None:
    assert encode(registry, ADDRESS, value) == RAW


@pytest.mark.parametrize("value", [1, "ab", b"ab", {"ab"}, object()])
def test_wrong_types(registry: Registry, value: Any) -> None:
    with pytest.raises(BindTypeError, match="address takes a dict"):
        encode(registry, ADDRESS, value)


def test_wrong_fields(registry: Registry) -> None:
    with pytest.raises(BindValueError, match="no field zip, but street, number, class"):
        encode(registry, ADDRESS, {"zip": 1})
    with pytest.raises(BindValueError, match="has 3 fields, not 4"):
        encode(registry, ADDRESS, [1, 2, 3, 4])
    with pytest.raises(BindTypeError, match="int takes an int, not str"):
        encode(registry, ADDRESS, {"number": "7"})


def test_the_type_may_have_other_fields_by_now(registry: Registry) -> None:
    """A value that is older than its type lacks fields; one that is newer than what we know has more of them."""
    assert decode(registry, ADDRESS, RAW[:6]) == ("ab", None, None)
    assert decode(registry, ADDRESS, b"") == (None, None, None)
    assert decode(registry, ADDRESS, RAW + b"\0\0\0\1x") == ("ab", 7, None)


class MappedPlace(TypedDict):
    street: str
    number: int


class ModelPlace(pydantic.BaseModel):
    number: int
    street: str


class StructPlace(msgspec.Struct):
    number: int
    street: str


@pytest.mark.parametrize(
    "cls",
    [Place, FrozenPlace, TuplePlace, OrderedPlace, MappedPlace, ModelPlace, StructPlace, dict, KeywordPlace],
)
def test_registered_classes(registry: Registry, cls: Any) -> None:
    registry.register_udt("ks", "place", cls)
    value = decode(registry, PLACE, RAW[:14])
    assert value == cls(street="ab", number=7)
    assert encode(registry, PLACE, value) == RAW[:14]
    assert decode(registry, ListType(PLACE), b"\0\0\0\1\0\0\0\x0e" + RAW[:14]) == [value]


def test_a_class_with_any_fields(registry: Registry) -> None:
    registry.register_udt("ks", "place", AnyPlace)
    assert vars(decode(registry, PLACE, RAW[:14])) == {"street": "ab", "number": 7}


def test_a_class_that_does_not_know_new_fields(registry: Registry) -> None:
    registry.register_udt("ks", "address", Place)
    assert decode(registry, ADDRESS, RAW) == Place("ab", 7)


def test_a_class_that_needs_more_fields(registry: Registry) -> None:
    registry.register_udt("ks", "short", Place)
    with pytest.raises(
        RowTypeError, match=r"^row 0, column 'c0' \(short\).*: Place refused a value: TypeError$"
    ) as caught:
        decode(registry, UserType("ks", "short", (("street", TEXT),)), RAW[:6])
    assert isinstance(caught.value.__cause__, TypeError)


class Refusing:
    """Raises what it is told to, so many times."""

    error: Exception
    times: int

    def __init__(self, street: str, number: int) -> None:
        if type(self).times:
            type(self).times -= 1
            raise self.error


def refusing(error: Exception, times: int = 9) -> type[Refusing]:
    return type("Refusing", (Refusing,), {"error": error, "times": times})


def within(raw: bytes) -> bytes:
    """Return a list of one element, or a value of one field."""
    return len(raw).to_bytes(4) + raw


@pytest.mark.parametrize(
    "error", [ValueError("secret"), StopIteration(), DecodeError("secret"), RowTypeError("secret")], ids=repr
)
@pytest.mark.parametrize(
    ("cql_type", "raw"),
    [
        (PLACE, RAW[:14]),
        (ListType(PLACE), b"\0\0\0\1" + within(RAW[:14])),
        (UserType("ks", "outer", (("inner", PLACE),)), within(RAW[:14])),
    ],
    ids=str,
)
def test_a_class_that_refuses_a_value(
    registry: Registry, cql_type: CqlType, raw: bytes, error: Exception
) -> None:
    registry.register_udt("ks", "place", refusing(error))
    with pytest.raises(
        RowTypeError, match=f"^row 0, column 'c0' .*: Refusing refused a value: {type(error).__name__}$"
    ) as caught:
        decode(registry, cql_type, raw)
    assert caught.value.__cause__ is error


def test_a_class_that_refuses_a_value_once(registry: Registry) -> None:
    registry.register_udt("ks", "place", refusing(ValueError(), times=1))
    with pytest.raises(RowTypeError, match=r"^row 0: Refusing refused a value: ValueError$"):
        decode(registry, PLACE, RAW[:14])


def test_an_error_that_cannot_be_read(registry: Registry) -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    registry.register_udt("ks", "place", refusing(Unreadable()))
    with pytest.raises(RowTypeError, match=r"Refusing refused a value: Unreadable$"):
        decode(registry, PLACE, RAW[:14])


def test_bytes_that_are_no_value_never_reach_the_class(registry: Registry) -> None:
    registry.register_udt("ks", "place", refusing(ValueError()))
    with pytest.raises(DecodeError):
        decode(registry, PLACE, RAW[:12])


def test_a_codec_that_fails_on_a_class_fails_as_a_codec(registry: Registry) -> None:
    class Codec:
        def decode(self, value: Any) -> Any:
            raise RowTypeError("no")

        encode = decode

    registry.register_udt("ks", "place", Place)
    registry.register_column("ks", "t", "c0", Codec())
    with pytest.raises(DecodeError, match=r"Codec\.decode raised RowTypeError$"):
        decode(registry, PLACE, RAW[:14])


def test_a_class_that_is_not_hashable_in_a_set(registry: Registry) -> None:
    registry.register_udt("ks", "place", Place)
    assert decode(registry, SetType(PLACE), b"\0\0\0\1\0\0\0\x0e" + RAW[:14]) == {("ab", 7)}
    registry.register_udt("ks", "place", FrozenPlace)
    assert decode(registry, SetType(PLACE), b"\0\0\0\1\0\0\0\x0e" + RAW[:14]) == {FrozenPlace(7, "ab")}


class ModelWithList(pydantic.BaseModel, frozen=True):
    street: str
    numbers: list[int]


@dataclass(frozen=True)
class PlaceWithList:
    street: str
    numbers: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", list(self.numbers))


@pytest.mark.parametrize(
    "cls", [StructPlace, ModelPlace, MappedPlace, ModelWithList, PlaceWithList, Place, dict]
)
def test_a_set_whose_class_turns_out_not_to_be_hashable(registry: Registry, cls: type[Any]) -> None:
    """Its values are read as if no class was registered."""
    place = UserType("ks", "place", (("street", TEXT), ("numbers", ListType(INT))))
    if "numbers" not in getattr(cls, "__annotations__", {}):
        place = PLACE
    registry.register_udt("ks", "place", cls)
    value = ("ab", 7) if place is PLACE else ("ab", (7,))
    raw = encode(registry, SetType(place), [value])
    assert decode(registry, SetType(place), raw) == {value}
    assert decode(
        registry, MapType(place, place), encode(registry, MapType(place, place), {value: value})
    ).keys() == {value}
    assert encode(registry, SetType(place), decode(registry, SetType(place), raw)) == raw


def test_only_in_its_keyspace(registry: Registry) -> None:
    registry.register_udt("other", "place", Place)
    assert decode(registry, PLACE, RAW[:14]) == ("ab", 7)


def test_what_cannot_be_registered(registry: Registry) -> None:
    wrong: Any = Place("ab", 7)
    with pytest.raises(OptionError, match=r"a class is needed for ks\.place"):
        registry.register_udt("ks", "place", wrong)
    with pytest.raises(OptionError, match="name has to be a name, not type"):
        registry.register_udt("ks", Place, dict)  # type: ignore[arg-type]
    for cls, reason in ((int, "no signature"), (object, "takes none"), (list, "takes none")):
        with pytest.raises(OptionError, match=f"cannot be made of named values: it .*{reason}"):
            registry.register_udt("ks", "place", cls)


def test_nested(registry: Registry) -> None:
    inner: CqlType = UserType("ks", "inner", (("places", ListType(PLACE)),))
    value = {"places": [{"street": "ab", "number": 7}, Place("cd", 8)]}
    read = round_trip(registry, inner, value)
    assert read.places[1].street == "cd"
    assert read == ([("ab", 7), ("cd", 8)],)


def test_a_codec_for_one_column_of_a_user_defined_type(registry: Registry) -> None:
    class Street:
        def encode(self, value: str) -> Any:
            return {"street": value}

        def decode(self, value: Any) -> str:
            return str(value.street)

    registry.register_column("ks", "t", "c0", Street())
    spec: tuple[ColumnSpec, ...] = columns(PLACE)
    assert registry.binder(spec).encode(0, "ab") == RAW[:6] + b"\xff\xff\xff\xff"
    assert decode(registry, PLACE, RAW[:14]) == "ab"
