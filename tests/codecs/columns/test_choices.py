"""What users choose of the Arrow types: exactly that, or an error."""

from __future__ import annotations

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
        ({"c9": "string"}, "types has 'c9'; the columns are 'c0', 'c1'"),
        ({"c0": "decimal128(18, 2)"}, "'c0' is int, which cannot be decimal128"),
        ({"c1": "decimal128(39, 2)"}, "the precision goes from 1 to 38"),
        ({"c1": "decimal128(3, 4)"}, "the scale from 0 to the precision"),
        ({"c1": pa.int64()}, "'c1' is decimal, which cannot be int64"),
        ([("c1", "string")], "types is list; it has to be a dict"),
        ({1: "string"}, "its keys have to be names of columns"),
    ],
)
@EVERY_IMPL
def test_what_cannot_be_chosen(impl: Impl, types: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=problem.replace("(", r"\(")):
        batch_of(impl, columns("int", "decimal"), sized(None) * 2, 1, choices=choices_of(types))
