"""What users choose of the Arrow types: exactly that, or an error."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.columns.reading import batch_of, one, sized
from tests.codecs.helpers import IMPLS, columns
from tests.property.test_twins import each_time
from triocql._impl import Impl
from triocql.codecs.columns import choices_of
from triocql.codecs.registry import Registry
from triocql.errors import DecodeError, OptionError
from triocql.protocol.types import ColumnSpec, NativeType, UserType

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)


def chosen(impl: Impl, cql_type: str, value: Any, arrow_type: Any) -> Any:
    column = columns(cql_type)[0]
    raw = Registry().binder((column,)).bind([value])[6:]
    return one(impl, column, raw, None, choices=choices_of({"c0": arrow_type}))


@EVERY_IMPL
@pytest.mark.parametrize(
    ("text", "precision", "scale", "fits"),
    [
        ("1.5", 18, 2, True),
        ("-1.50000", 18, 2, True),
        ("1.505", 18, 2, False),
        ("0", 1, 0, True),
        ("0E-50", 1, 0, True),
        ("99999.99", 7, 2, True),
        ("100000.00", 7, 2, False),
        ("1E+37", 38, 0, True),
        ("-1E+37", 38, 0, True),
        ("1E+38", 38, 0, False),
        ("99999999999999999999999999999999999999", 38, 0, True),
        ("1E-2147483647", 38, 38, False),
        ("1E+2147483647", 38, 0, False),
        ("1." + "0" * 60, 3, 1, True),
    ],
)
def test_a_decimal_is_exact_or_an_error(
    impl: Impl, text: str, precision: int, scale: int, fits: bool
) -> None:
    if fits:
        found = chosen(impl, "decimal", Decimal(text), pa.decimal128(precision, scale))
        assert found.type == pa.decimal128(precision, scale)
        assert found.to_pylist() == [Decimal(text), None]
    else:
        with pytest.raises(
            DecodeError, match=r"row 0, column 'c0' \(decimal\) of ks.t: the number is not exactly"
        ):
            chosen(impl, "decimal", Decimal(text), pa.decimal128(precision, scale))


@EVERY_IMPL
def test_a_varint_may_be_a_decimal(impl: Impl) -> None:
    assert chosen(impl, "varint", -(10**30), "decimal128(38, 2)").to_pylist() == [Decimal(-(10**30)), None]
    assert chosen(impl, "varint", 7, "decimal128(38,2)").to_pylist() == [Decimal(7), None]
    with pytest.raises(DecodeError, match="not exactly"):
        chosen(impl, "varint", 10**5, "decimal128(5, 0)")


@EVERY_IMPL
def test_a_uuid_may_be_text(impl: Impl) -> None:
    value = UUID(int=2**127 + 12345)
    assert chosen(impl, "uuid", value, pa.string()).to_pylist() == [str(value), None]
    with pytest.raises(DecodeError, match="a length that its type does not have"):
        one(impl, columns("uuid")[0], b"abc", choices=(("c0", "string"),))


def test_more_digits_than_128_bits_have_are_refused() -> None:
    column = columns("decimal")[0]
    raw = Registry().binder((column,)).bind([Decimal(25).scaleb(18)])[2:]
    for impl in IMPLS:
        with pytest.raises(DecodeError, match="not exactly one"):
            batch_of(impl, (column,), raw, 1, choices=(("c0", "decimal128(38, 19)"),))


def test_the_twins_choose_alike() -> None:
    column = columns("decimal")[0]

    @each_time(200)
    @given(
        st.integers(-(2**130), 2**130) | st.integers(-(2**70), 2**70),
        st.integers(-45, 45),
        st.integers(1, 38),
    )
    def check(digits: int, exponent: int, precision: int) -> None:
        raw = Registry().binder((column,)).bind([Decimal(digits).scaleb(exponent)])[2:]
        outcomes = []
        for impl in IMPLS:
            try:
                choices = (("c0", f"decimal128({precision}, {precision // 2})"),)
                outcomes.append(str(batch_of(impl, (column,), raw, 1, choices=choices).to_pylist()))
            except DecodeError as error:
                outcomes.append(str(error))
        assert len(set(outcomes)) == 1

    check()


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ({"c9": "string"}, "types has 'c9'; the columns are 'c0', 'c1', 'c2'"),
        ({"c0": "decimal128(18, 2)"}, "'c0' is int, which cannot be decimal128"),
        ({"c1": "decimal128(39, 2)"}, "the precision goes from 1 to 38"),
        ({"c1": "decimal128(3, 4)"}, "the scale from 0 to the precision"),
        ({"c1": pa.int64()}, "'c1' is decimal, which cannot be int64"),
        ([("c1", "string")], "types is list; it has to be a dict"),
        ({1: "string"}, "its keys have to be names of columns"),
        ({"c1": "decimal128(" + "9" * 5000 + ", 2)"}, "'c1' is decimal, which cannot be decimal128(999"),
        ({"c1": "decimal128(999999999, 2)"}, "the precision goes from 1 to 38"),
        ({"c1": "decimal128(\u0663, 2)"}, "which cannot be decimal128(\u0663, 2)"),
        ({"c1": pa.decimal128(5, -2)}, "which cannot be decimal128(5, -2)"),
        ({"c2": "decimal128(5, 2)"}, "which cannot be decimal128(5, 2)...what is in it is 'c2.item'"),
        ({"c2.items": "decimal128(5, 2)"}, "types has 'c2.items'; in 'c2' there is 'c2.item'"),
        ({"c1.item": "string"}, "types has 'c1.item'; the columns are 'c0', 'c1', 'c2'"),
        ({"c9.item": "string"}, "types has 'c9.item'; the columns are 'c0', 'c1', 'c2'"),
    ],
)
@EVERY_IMPL
def test_what_cannot_be_chosen(impl: Impl, types: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=".*".join(map(re.escape, problem.split("...")))) as info:
        batch_of(
            impl, columns("int", "decimal", "list<decimal>"), sized(None) * 3, 1, choices=choices_of(types)
        )
    assert len(str(info.value)) < 400


NESTED: list[tuple[str, Any, dict[str, Any], pa.DataType, Any]] = [
    (
        "list<decimal>",
        [Decimal("1.5"), Decimal(2)],
        {".item": "decimal128(5, 2)"},
        pa.list_(pa.decimal128(5, 2)),
        None,
    ),
    ("set<varint>", {7}, {".item": pa.decimal128(5, 0)}, pa.list_(pa.decimal128(5, 0)), [Decimal(7)]),
    (
        "map<uuid, frozen<list<decimal>>>",
        {UUID(int=1): [Decimal("0.5")]},
        {".key": "string", ".value.item": "decimal128(3, 1)"},
        pa.map_(pa.string(), pa.list_(pa.decimal128(3, 1))),
        [(str(UUID(int=1)), [Decimal("0.5")])],
    ),
    (
        "tuple<int, decimal>",
        (1, Decimal(3)),
        {".f1": "decimal128(3, 1)"},
        pa.struct({"f0": pa.int32(), "f1": pa.decimal128(3, 1)}),
        {"f0": 1, "f1": Decimal(3)},
    ),
    (
        "vector<uuid, 2>",
        [UUID(int=1), UUID(int=2)],
        {".item": "string"},
        pa.list_(pa.string(), 2),
        [str(UUID(int=1)), str(UUID(int=2))],
    ),
]


@EVERY_IMPL
@pytest.mark.parametrize(("cql_type", "value", "types", "arrow_type", "found"), NESTED)
def test_what_is_in_a_column_is_chosen_by_its_name_in_arrow(
    impl: Impl, cql_type: str, value: Any, types: dict[str, Any], arrow_type: pa.DataType, found: Any
) -> None:
    column = columns(cql_type)[0]
    raw = Registry().binder((column,)).bind([value])[6:]
    chosen = choices_of({f"c0{path}": each for path, each in types.items()})
    array = one(impl, column, raw, None, choices=chosen)
    assert array.type == arrow_type
    assert array.to_pylist() == [value if found is None else found, None]


@EVERY_IMPL
def test_fields_of_user_types_are_chosen_by_their_names(impl: Impl) -> None:
    """A column whose name has a point in it is still a column."""
    money = UserType("ks", "money", (("amount", NativeType("decimal")), ("currency", NativeType("text"))))
    cols = (
        ColumnSpec("ks", "t", "price", money),
        ColumnSpec("ks", "t", "price.amount", NativeType("varint")),
    )
    amount = (
        Registry().binder((ColumnSpec("ks", "t", "d", NativeType("decimal")),)).bind([Decimal("9.5")])[6:]
    )
    body = sized(sized(amount) + sized(b"EUR")) + sized(b"\7")
    batch = batch_of(impl, cols, body, 1, choices=choices_of({"price.amount": "decimal128(9, 2)"}))
    assert batch.column(0).to_pylist() == [{"amount": Decimal("9.5"), "currency": "EUR"}]
    assert batch.column(1).to_pylist() == [Decimal(7)]
    with pytest.raises(OptionError, match=r"in 'price' there is 'price.amount', 'price.currency'"):
        batch_of(impl, cols[:1], b"", 0, choices=choices_of({"price.value": "string"}))
