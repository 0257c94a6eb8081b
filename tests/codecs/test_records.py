"""Instances of users' classes as values of user-defined types: what is read by a name is written by it, and no more."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pydantic.alias_generators
import pydantic.dataclasses
import pytest

from triocql.codecs.udt import user_value_class
from triocql.errors import BindTypeError, BindValueError
from triocql.protocol.types import NativeType, UserType
from triocql.results.row import row_class

from .helpers import decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

TEXT, INT = NativeType("text"), NativeType("int")
PHONE = UserType("ks", "phone", (("countryCode", INT), ("number", TEXT)))
WRITTEN = {"countryCode": 47, "number": "2"}


class Model(pydantic.BaseModel):
    country_code: int = pydantic.Field(alias="countryCode")
    number: str


class ByEither(pydantic.BaseModel, populate_by_name=True):
    country_code: int = pydantic.Field(alias="countryCode")
    n: str = pydantic.Field(
        validation_alias=pydantic.AliasChoices("tel", "number"), serialization_alias="other"
    )


class Generated(pydantic.BaseModel, alias_generator=pydantic.alias_generators.to_camel):
    country_code: int
    number: str


class OnlyByName(pydantic.BaseModel, validate_by_name=True, validate_by_alias=False):
    countryCode: int = pydantic.Field(alias="number")  # noqa: N815
    number: str


class Open(pydantic.BaseModel, extra="allow"):
    number: str


@pydantic.dataclasses.dataclass
class Aliased:
    country_code: int = pydantic.Field(alias="countryCode")
    number: str = ""


class Struct(msgspec.Struct, rename="camel"):
    country_code: int
    number: str


class RenamedField(msgspec.Struct):
    code: int = msgspec.field(name="countryCode")
    number: str = "1"


@attrs.define
class Private:
    _number: str
    code: int = attrs.field(alias="countryCode")


@dataclass
class Data:
    countryCode: int  # noqa: N815
    number: str


@dataclass(frozen=True, slots=True)
class WithMore:
    """Reading leaves the others as they are by themselves."""

    number: str
    countryCode: int  # noqa: N815
    remarks: list[str] = field(default_factory=list)
    kind: str = "home"
    shown: str = field(init=False, default="")


class Named(NamedTuple):
    number: str
    countryCode: int  # noqa: N815


class Mapped(TypedDict):
    countryCode: int
    number: NotRequired[str]


class Computed:
    """Keeps what it is made of under other names, and shows it."""

    def __init__(self, number: str, countryCode: int) -> None:  # noqa: N803
        self._both = number, countryCode
        self.length = len(number)

    number = property(lambda self: self._both[0])
    countryCode = property(lambda self: self._both[1])  # noqa: N815


class Slots:
    __slots__ = ("countryCode", "number")

    def __init__(self, number: str, countryCode: int) -> None:  # noqa: N803
        self.number = number
        self.countryCode = countryCode


class Anything:
    def __init__(self, **fields: Any) -> None:
        self._cached = ""
        self.__dict__.update(fields)


CLASSES = [
    Model,
    ByEither,
    Generated,
    OnlyByName,
    Open,
    Aliased,
    Struct,
    RenamedField,
    Private,
    Data,
    WithMore,
    Named,
    Mapped,
    Computed,
    Slots,
    Anything,
    dict,
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_is_read_is_written_back(registry: Registry, cls: Any) -> None:
    raw = encode(registry, PHONE, WRITTEN)
    registry.register_udt("ks", "phone", cls)
    value = decode(registry, PHONE, raw)
    assert isinstance(value, dict if cls is Mapped else cls)
    assert encode(registry, PHONE, value) == raw
    assert encode(registry, UserType("ks", "phone", PHONE.fields[::-1]), value) == raw[8:] + raw[:8]


@pytest.mark.parametrize(
    "cls", [Data, WithMore, Named, Slots, Private, Struct, Model], ids=lambda cls: cls.__name__
)
def test_a_new_field_of_the_type_is_null(registry: Registry, cls: Any) -> None:
    """Until the class knows it."""
    wider = UserType("ks", "phone", (*PHONE.fields, ("count", INT)))
    registry.register_udt("ks", "phone", cls)
    value = decode(registry, wider, encode(registry, wider, {**WRITTEN, "count": 1}))
    assert encode(registry, wider, value) == encode(registry, wider, WRITTEN)


class Methods:
    """Has methods, a constant and a property by names that a type may have for fields."""

    kind = "a constant"

    def __init__(self, number: str) -> None:
        self.number = number

    def extension(self) -> str:
        raise AssertionError("called")

    @property
    def owner(self) -> str:
        raise AssertionError("called")

    @classmethod
    def region(cls) -> None: ...


def test_what_a_class_merely_has_is_no_field(registry: Registry) -> None:
    names = ("number", "extension", "owner", "region", "kind")
    wide = UserType("ks", "phone", tuple((name, TEXT) for name in names))
    assert decode(registry, wide, encode(registry, wide, Methods("2"))) == ("2", None, None, None, None)
    narrow = UserType("ks", "phone", (("extension", TEXT), ("owner", TEXT)))
    for value in (Methods("2"), Methods, len, pytest, object(), Exception("x")):
        with pytest.raises((BindTypeError, BindValueError), match=r"takes a dict|has no field"):
            encode(registry, narrow, value)


@dataclass
class Forgetful:
    number: InitVar[str]
    countryCode: int = 0  # noqa: N815


class Hidden:
    def __init__(self, number: str, countryCode: int = 0) -> None:  # noqa: N803
        self._number = number
        self.countryCode = countryCode


class Part(pydantic.BaseModel):
    first: str = pydantic.Field(validation_alias=pydantic.AliasPath("number", 0))
    countryCode: int = 0  # noqa: N815


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Forgetful("2"), "Forgetful takes number and does not keep it"),
        (Hidden("2"), "Hidden takes number and does not keep it"),
        (
            Part.model_validate({"number": ["2"]}),
            "Part.first is taken out of number, which cannot be written",
        ),
    ],
)
def test_classes_that_do_not_keep_what_they_are_made_of(registry: Registry, value: Any, reason: str) -> None:
    with pytest.raises(BindValueError, match=reason):
        encode(registry, PHONE, value)


class Kind(Enum):
    HOME = "home"
    FULL = Data(47, "2")
    PAIR = (47, "2")


def test_members_of_enums_are_their_values(registry: Registry) -> None:
    """And not records of a name and a value."""
    named = UserType("ks", "pair", (("name", TEXT), ("value", TEXT)))
    with pytest.raises(BindTypeError, match=r"takes a dict, .* not"):
        encode(registry, named, Kind.HOME)
    for member in (Kind.FULL, Kind.PAIR):
        assert encode(registry, PHONE, member) == encode(registry, PHONE, WRITTEN)


@dataclass
class Other:
    street: str = ""
    zip: int = 0


class OtherTuple(NamedTuple):
    number: str = ""
    zip: int = 0


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        (user_value_class("address", ("street", "zip"))(("x", 1)), "street, zip"),
        (user_value_class("address", ("number", "zip"))(("x", None)), "zip"),
        (row_class(("_number", "count(*)"))(("x", 1)), r"_number, count\(\*\)"),
        (Other(), "street, zip"),
        (OtherTuple("2", 7), "zip"),
        (WithMore("2", 47, ["x"]), "remarks"),
        (WithMore("2", 47, kind="work"), "kind"),
        (SimpleNamespace(number="2", zip=7), "zip"),
        (Open.model_validate({"number": "2", "zip": 7}), "zip"),
        ({"number": "2", "zip": 7}, "zip"),
    ],
)
def test_values_of_other_types(registry: Registry, value: Any, unknown: str) -> None:
    with pytest.raises(BindValueError, match=f"phone has no field {unknown}, but countryCode, number"):
        encode(registry, PHONE, value)


def test_rows_by_the_names_of_their_columns(registry: Registry) -> None:
    odd = UserType("ks", "odd", (("count(*)", INT), ("_number", TEXT)))
    row = row_class(("_number", "count(*)"))(("x", 1))
    assert decode(registry, odd, encode(registry, odd, row)) == (1, "x")


def test_a_tuple_that_merely_looks_like_a_named_one(registry: Registry) -> None:
    class Odd(tuple[Any, ...]):
        _fields = ("number",)

    assert round_trip(registry, PHONE, Odd((47, "2"))) == (47, "2")
