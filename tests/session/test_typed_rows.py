"""Rows as instances of users' classes."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from enum import Enum
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.pages import run
from tests.session.typed import INT, ROWS, TEXT, USER, page_of, users
from triocql.codecs.registry import Registry
from triocql.engine.requests import Response
from triocql.errors import OptionError, RowTypeError, UsageError
from triocql.protocol.types import ColumnSpec, ListType, NativeType
from triocql.results.factories import row_factory
from triocql.results.result import Result


class Tuple(NamedTuple):
    id: int
    name: str
    age: int | None


class TupleInOneOrder(Tuple):
    """A subclass has a dict."""


class TupleOfItsOwn(Tuple):
    def __new__(cls, id: int, name: str, age: int | None) -> TupleOfItsOwn:  # noqa: A002
        return super().__new__(cls, id, name, age)


@dataclass
class Data:
    id: int
    name: str
    age: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    id: int
    name: str
    age: int | None


@dataclass
class Mixed:
    name: str
    age: int | None = field(kw_only=True)
    id: int


@attrs.define
class Attrs:
    id: int
    name: str
    age: int | None


class Plain:
    def __init__(self, name: str, *, id: int, age: int | None) -> None:  # noqa: A002
        self.__dict__.update(name=name, id=id, age=age)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Mapped(TypedDict):
    id: int
    name: str
    age: int | None


class Model(pydantic.BaseModel):
    id: int
    name: str
    age: int | None


@pydantic.dataclasses.dataclass
class ModelData:
    id: int
    name: str
    age: int | None


class Struct(msgspec.Struct):
    id: int
    name: str
    age: int | None


CLASSES: list[type[Any]] = [
    Tuple,
    TupleInOneOrder,
    TupleOfItsOwn,
    Data,
    Frozen,
    Mixed,
    Attrs,
    Plain,
    Mapped,
    Model,
    ModelData,
    Struct,
]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("order", ["id name age", "age id name", "name age id"])
def test_rows(registry: Registry, cls: type[Any], order: str) -> None:
    form = row_factory(cls)
    page = users(registry, order)
    expected = [cls(id=id_, name=name, age=age) for id_, name, age in ROWS]
    rows = form.build(page)
    assert rows == expected
    assert list(form.iterate(page)) == expected
    assert {type(row) for row in rows} == {dict if cls is Mapped else cls}
    assert form.build(users(registry, order, [])) == []


@pytest.mark.parametrize("cls", CLASSES)
def test_many_rows_are_read_in_slices(registry: Registry, cls: type[Any]) -> None:
    rows: list[tuple[Any, ...]] = [(number, f"user {number}", number % 90) for number in range(3000)]
    page = users(registry, rows=rows)
    assert list(row_factory(cls).iterate(page)) == row_factory(cls).build(page)


@pytest.mark.parametrize("cls", CLASSES)
def test_columns_that_do_not_fit(registry: Registry, cls: type[Any]) -> None:
    page = page_of(registry, {"id": INT, "nmae": TEXT, "aeg": INT}, [])
    with pytest.raises(RowTypeError) as caught:
        row_factory(cls).build(page)
    start, _, end = str(caught.value).partition("there is no column ")
    assert start == f"the rows do not fit {cls.__qualname__}: "
    lacking, _, end = end.partition(", and ")
    assert sorted(lacking.split(", ")) == ["'age'", "'name'"]
    assert end == "it has no field for the column 'nmae', 'aeg'; the columns are 'id', 'nmae', 'aeg'"
    assert isinstance(caught.value, (UsageError, TypeError))


def test_columns_that_are_missing_or_extra(registry: Registry) -> None:
    with pytest.raises(
        RowTypeError, match=r"fit Data: there is no column 'age'; the columns are 'id', 'name'$"
    ):
        row_factory(Data).build(users(registry, "id name"))
    with pytest.raises(
        RowTypeError, match=r"fit One: it has no field for the column 'name', 'age'; the columns"
    ):
        row_factory(One).build(users(registry))


@dataclass
class One:
    id: int


class Defaults:
    """Classes whose `age` need not be there."""

    class Tuple(NamedTuple):
        name: str
        age: int = 7
        id: int = 0

    @dataclass
    class Data:
        name: str
        age: int = 7
        id: int = 0

    @dataclass
    class Factory:
        name: str
        age: int = field(default_factory=lambda: 7)
        id: int = field(default=0, kw_only=True)

    class Model(pydantic.BaseModel):
        name: str
        age: int = 7
        id: int = 0

    class Struct(msgspec.Struct):
        name: str
        age: int = 7
        id: int = 0


@pytest.mark.parametrize("name", ["Tuple", "Data", "Factory", "Model", "Struct"])
def test_fields_with_a_default_need_no_column(registry: Registry, name: str) -> None:
    cls = getattr(Defaults, name)
    for row in row_factory(cls).build(users(registry, "id name")):
        assert (row.age, row.id, row.name) in [(7, 1, "Ada"), (7, 2, "Grace")]
    with pytest.raises(RowTypeError, match="no column 'name'"):
        row_factory(cls).build(users(registry, "id"))


Part = TypedDict("Part", {"id": int, "name": NotRequired[str]})  # noqa: UP013 - text would hide NotRequired


class AnyOfThem(TypedDict, total=False):
    id: int
    age: int


def test_keys_that_need_no_column(registry: Registry) -> None:
    assert row_factory(Part).build(users(registry, "id")) == [{"id": 1}, {"id": 2}]
    assert row_factory(AnyOfThem).build(users(registry, "id")) == [{"id": 1}, {"id": 2}]
    with pytest.raises(RowTypeError, match="no field for the column 'age'"):
        row_factory(Part).build(users(registry, "id age"))


@dataclass
class WithoutAll:
    id: int
    name: InitVar[str]
    twice: int = field(init=False)

    def __post_init__(self, name: str) -> None:
        self.twice = 2 * len(name)


def test_a_dataclass_with_fields_that_are_not_given(registry: Registry) -> None:
    assert [row.twice for row in row_factory(WithoutAll).build(users(registry, "name id"))] == [6, 10]


class Anything:
    def __init__(self, id: int, **others: Any) -> None:  # noqa: A002
        self.values = {"id": id, **others}


def test_a_class_that_takes_any_column(registry: Registry) -> None:
    assert [row.values for row in row_factory(Anything).build(users(registry, "name id"))] == [
        {"id": 1, "name": "Ada"},
        {"id": 2, "name": "Grace"},
    ]


def test_columns_of_the_same_name(registry: Registry) -> None:
    specs = tuple(ColumnSpec("ks", "t", "id", INT) for _ in range(2))
    page = registry.plan(specs).page(registry.binder(specs).bind((1, 2))[2:], 0, 1)
    assert row_factory(One).build(page) == [One(2)]


@pytest.mark.parametrize("wrong", [list, int, object, set, type, [1], "User", list[int], Data(1, "x", 2)])
def test_what_rows_cannot_be(wrong: Any) -> None:
    with pytest.raises(OptionError, match="row_type"):
        row_factory(wrong)


def test_a_class_is_looked_at_once_for_the_same_columns(registry: Registry) -> None:
    looked: list[tuple[str, ...]] = []

    class Curious(Data):
        pass

    def unknown(names: tuple[str, ...]) -> list[str]:
        looked.append(names)
        return []

    form: Any = row_factory(Curious)
    form._shape.unknown = unknown
    page = users(registry)
    form.build(page)
    form.build(users(registry))
    list(row_factory(Curious).iterate(page))
    assert looked == [("id", "name", "age")]


# --- Classes that check ------------------------------------------------------------------------------------------


class Level(Enum):
    LOW = 1
    HIGH = 36


class CheckedModel(pydantic.BaseModel):
    name: Annotated[str, pydantic.StringConstraints(max_length=3)]
    age: Level


class CheckedStruct(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=3)]
    age: Level


@dataclass
class CheckedData:
    name: str
    age: int

    def __post_init__(self) -> None:
        if len(self.name) > 3:
            raise ValueError("secret")


@pytest.mark.parametrize("cls", [CheckedModel, CheckedStruct])
def test_values_become_what_the_class_asks_for(registry: Registry, cls: type[Any]) -> None:
    (row,) = row_factory(cls).build(users(registry, "name age", ROWS[:1]))
    assert (row.name, row.age) == ("Ada", Level.HIGH)


class OwnModel(pydantic.BaseModel):
    name: str
    age: int

    @pydantic.field_validator("name")
    @classmethod
    def _check(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError(name)
        return name


REASONS = [
    (CheckedModel, "'name': String should have at most 3 characters"),
    (CheckedStruct, "'name': Expected `str` of length <= 3"),
    (OwnModel, "'name': ValidationError"),
    (CheckedData, "ValueError"),
]


@pytest.mark.parametrize(("cls", "reason"), REASONS)
def test_a_row_that_the_class_refuses(registry: Registry, cls: type[Any], reason: str) -> None:
    rows = [(1, "Ada", 36)] * 1500 + [(2, "secret", 36)]
    page = users(registry, "name age", rows)
    for read in (row_factory(cls).build, lambda page: list(row_factory(cls).iterate(page))):
        with pytest.raises(RowTypeError, match=f"{cls.__name__} refused row 1500: {reason}$") as caught:
            read(page)
        assert caught.value.__cause__ is not None
        assert "secret" not in str(caught.value)


@dataclass
class Stopping:
    id: int

    def __post_init__(self) -> None:
        next(iter(()))


def test_no_row_is_lost_in_silence(registry: Registry) -> None:
    with pytest.raises(RowTypeError, match="Stopping refused row 0"):
        row_factory(Stopping).build(users(registry, "id"))


class Aliases(pydantic.BaseModel):
    number: int = pydantic.Field(alias="id")
    called: str = pydantic.Field(
        validation_alias=pydantic.AliasChoices("name", pydantic.AliasPath("names", 0))
    )


class ByName(pydantic.BaseModel, populate_by_name=True):
    number: int = pydantic.Field(alias="id")
    name: str


class CamelStruct(msgspec.Struct, rename="camel"):
    user_id: int
    name: str = "nobody"


def test_fields_under_other_names(registry: Registry) -> None:
    assert row_factory(Aliases).build(users(registry, "name id"))[0] == Aliases.model_validate(
        {"id": 1, "name": "Ada"}
    )
    names = page_of(registry, {"id": INT, "names": ListType(TEXT)}, [(1, ["Ada", "Augusta"])])
    assert row_factory(Aliases).build(names)[0].called == "Ada"
    assert row_factory(ByName).build(users(registry, "name id"))[0] == ByName(id=1, name="Ada")
    numbers = page_of(registry, {"name": TEXT, "number": INT}, [("Ada", 1)])
    assert row_factory(ByName).build(numbers)[0] == ByName(id=1, name="Ada")
    with pytest.raises(RowTypeError, match=r"no column 'id', and .* the column 'number'"):
        row_factory(Aliases).build(numbers)
    camel = page_of(registry, {"userId": INT}, [(1,)])
    assert row_factory(CamelStruct).build(camel) == [CamelStruct(1)]


@pytest.mark.parametrize("extra", ["allow", "ignore"])
def test_a_model_that_says_what_becomes_of_other_columns(registry: Registry, extra: Any) -> None:
    cls = pydantic.create_model("Loose", __config__=pydantic.ConfigDict(extra=extra), id=int)
    row: Any = row_factory(cls).build(users(registry))[0]
    assert row.model_extra == ({"name": "Ada", "age": 36} if extra == "allow" else None)


# --- Results -----------------------------------------------------------------------------------------------------


def test_results(registry: Registry) -> None:
    result = Result(Response(users(registry, "name age id")), row_factory(Data))
    assert result.one() == Data(1, "Ada", 36)
    assert result.scalar() == "Ada"
    assert [row.age for row in result] == [36, None]
    assert run(result.all()) == result.rows == [Data(1, "Ada", 36), Data(2, "Grace", None)]
    empty = Result(Response(users(registry, rows=[])), row_factory(Model))
    assert empty.one() is None
    assert empty.scalar() is None


@given(rows=st.lists(st.tuples(st.integers(-5, 5), st.text(max_size=3), st.none() | st.integers(0, 9))))
def test_every_class_has_the_same_values(rows: list[tuple[Any, ...]]) -> None:
    page = users(Registry(), "age name id", rows)
    classes: list[type[Any]] = [Tuple, Data, Frozen, Attrs, Model, Struct]
    for cls in classes:
        assert [(row.id, row.name, row.age) for row in row_factory(cls).build(page)] == rows


REFUSED = {"[applied]": NativeType("boolean"), **USER}
Marked = TypedDict("Marked", {"[applied]": bool, "id": int})


@pytest.mark.parametrize(
    "cls", [Data, Frozen, Mixed, Attrs, Plain, Model, Struct, Mapped, Tuple, TupleOfItsOwn]
)
def test_the_row_of_a_conditional_update_that_was_refused(registry: Registry, cls: Any) -> None:
    page = page_of(registry, REFUSED, [(False, 1, "Ada", 36)])
    result = Result(Response(page), row_factory(cls))
    assert result.applied is False
    assert result.exactly_one() == cls(id=1, name="Ada", age=36)
    assert list(row_factory(cls).iterate(page)) == [result.one()]


@pytest.mark.parametrize("cls", [Data, Model, Struct, Mapped, Tuple])
@pytest.mark.parametrize("applied", [True, False])
def test_a_conditional_update_that_gives_nothing_but_whether_it_was_applied(
    registry: Registry, cls: Any, applied: bool
) -> None:
    """There is no row that an instance could be made of."""
    page = page_of(registry, {"[applied]": NativeType("boolean")}, [(applied,)])
    result = Result(Response(page), row_factory(cls))
    assert (result.applied, result.scalar()) == (applied, applied)
    assert (len(result), bool(result), result.one(), result.rows) == (0, False, None, [])
    assert list(row_factory(cls).iterate(page)) == []
    assert row_factory(dict).build(page) == [{"[applied]": applied}]


def test_a_class_that_asks_whether_the_update_was_applied(registry: Registry) -> None:
    page = page_of(registry, {"[applied]": NativeType("boolean"), "id": INT}, [(False, 1)])
    assert row_factory(Marked).build(page) == [{"[applied]": False, "id": 1}]


def test_a_refused_row_has_to_fit_all_the_same(registry: Registry) -> None:
    page = page_of(registry, {"[applied]": NativeType("boolean"), "id": INT}, [(False, 1)])
    with pytest.raises(RowTypeError, match="there is no column 'name', 'age'; the columns are 'id'"):
        row_factory(Data).build(page)
