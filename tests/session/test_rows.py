from __future__ import annotations

import copy
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.results.row import Row, row_class

User = row_class(("id", "name"))


def test_columns_by_name_key_and_position() -> None:
    row = User((1, "Ada"))
    assert (row.id, row["id"], row[0], row[-2]) == (1, 1, 1, 1)
    assert (row.name, row["name"], row[1]) == ("Ada", "Ada", "Ada")
    number, name = row
    assert (number, name) == (1, "Ada")


def test_slices_are_plain_tuples() -> None:
    assert type(User((1, "Ada"))[:1]) is tuple
    assert User((1, "Ada"))[:1] == (1,)


def test_equal_to_and_hashed_as_a_tuple() -> None:
    row = User((1, "Ada"))
    assert row == (1, "Ada")
    assert row == row_class(("other", "names"))((1, "Ada"))
    assert {row: "found"}[1, "Ada"] == "found"  # type: ignore[index]


def test_fields_and_dict() -> None:
    row = User((1, None))
    assert row._fields == ("id", "name")
    assert row._asdict() == {"id": 1, "name": None}
    assert list(row._asdict()) == ["id", "name"]


def test_repr_shows_names_that_are_no_identifiers_as_keys() -> None:
    assert repr(User((1, "Ada"))) == "Row(id=1, name='Ada')"
    assert repr(row_class(("system.now()", "_a"))((1, 2))) == "Row(['system.now()']=1, ['_a']=2)"
    assert repr(row_class(())(())) == "Row()"


def test_a_class_is_made_once_for_a_set_of_names() -> None:
    assert row_class(("id", "name")) is User
    assert issubclass(User, Row)


def test_no_attribute_of_its_own() -> None:
    row = User((1, "Ada"))
    assert not hasattr(row, "__dict__")
    with pytest.raises(AttributeError):
        setattr(row, "other", 1)  # noqa: B010
    with pytest.raises(AttributeError):
        setattr(row, "id", 2)  # noqa: B010


@pytest.mark.parametrize(
    "name", ["_private", "__class__", "_fields", "count(*)", "a b", "1st", "", "[applied]"]
)
def test_names_that_are_no_attributes_are_keys(name: str) -> None:
    row = row_class((name, "id"))((7, 1))
    assert row[name] == 7
    assert row._fields == (name, "id")
    assert type(row).__name__ == "Row"


@pytest.mark.parametrize("name", ["count", "index", "class", "mro", "Ü"])
def test_names_of_methods_and_keywords_are_attributes(name: str) -> None:
    assert getattr(row_class((name,))((7,)), name) == 7


def test_the_last_of_several_columns_of_one_name_counts() -> None:
    row = row_class(("a", "a", "b"))((1, 2, 3))
    assert (row.a, row["a"], row.b, row[1]) == (2, 2, 3, 2)
    assert row._asdict() == {"a": 2, "b": 3}


def test_unknown_names_say_which_there_are() -> None:
    with pytest.raises(KeyError, match="no column 'nam'; the columns are id, name"):
        User((1, "Ada"))["nam"]
    with pytest.raises(AttributeError):
        User((1, "Ada")).nam  # noqa: B018
    with pytest.raises(IndexError):
        User((1, "Ada"))[2]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_restores_the_class(protocol: int) -> None:
    row = User((1, "Ada"))
    again = pickle.loads(pickle.dumps(row, protocol))
    assert again == row
    assert type(again) is User


def test_copies() -> None:
    row = User((1, ["Ada"]))
    assert copy.copy(row) is row
    deep = copy.deepcopy(row)
    assert deep == row
    assert type(deep) is User
    assert deep.name is not row.name


def test_patterns() -> None:
    match User((1, "Ada")):
        case Row(id=1, name=name):
            assert name == "Ada"
        case _:
            pytest.fail("no match by name")
    match User((1, "Ada")):
        case (1, name):
            assert name == "Ada"
        case _:
            pytest.fail("no match by position")
    match User((1, "Ada")):
        case User(1, name):  # type: ignore[misc]
            assert name == "Ada"
        case _:
            pytest.fail("no match by the class's own order")


@given(st.dictionaries(st.text(string.printable + "äß中", max_size=8), st.integers(), max_size=6))
def test_any_names_behave_as_the_dict_of_them(columns: dict[str, int]) -> None:
    row = row_class(tuple(columns))(columns.values())
    assert row._asdict() == columns
    assert tuple(row) == tuple(columns.values())
    for name, value in columns.items():
        assert row[name] == value
    again = pickle.loads(pickle.dumps(row))
    assert again._fields == row._fields
