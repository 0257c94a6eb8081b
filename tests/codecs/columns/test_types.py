"""Columns have what rows have, for every type; the twins give equal batches, of schemas that the types alone make."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given

from tests.codecs.columns.reading import batch_of, columns_of, expected, one, sized
from tests.codecs.golden import PAGES, GoldenPage
from tests.codecs.helpers import IMPLS, columns
from tests.codecs.strategies import tables
from tests.codecs.test_server_values import BODY, OFFSET
from tests.codecs.test_server_values import COLUMNS as SERVER_COLUMNS
from tests.property.test_twins import HOW_OFTEN, each_time
from triocql._impl import Impl
from triocql.codecs.columns.layout import NATIVE, layout_of
from triocql.codecs.registry import NATIVE as NODES
from triocql.codecs.registry import Registry
from triocql.protocol.constants import MAX_FRAME, MAX_INT
from triocql.protocol.types import ColumnSpec, CqlType, CustomType, NativeType, TupleType, UserType

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)


def agree(cols: tuple[ColumnSpec, ...], body: bytes, row_count: int, offset: int = 0) -> None:
    """Rows and columns, compiled and pure, have the same values."""
    batches = [batch_of(impl, cols, body, row_count, offset=offset) for impl in IMPLS]
    assert all(batch.equals(batches[0], check_metadata=True) for batch in batches)
    plan = Registry(impl="python").plan(cols)
    rows = plan.page(body, offset, row_count).rows()
    assert columns_of(plan.columns, batches[-1]) == [
        [expected(column.type, row[i]) for row in rows] for i, column in enumerate(plan.columns)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_golden_pages(page: GoldenPage) -> None:
    agree(page.columns, page.body, page.row_count)


@pytest.mark.parametrize("name", ["date", "int", "timestamp", "double", "uuid", "inet", "time", "boolean"])
def test_an_empty_value_of_a_type_whose_values_have_bytes_is_null(name: str) -> None:
    cols = columns(NativeType(name))
    for impl in IMPLS:
        assert batch_of(impl, cols, bytes(4), 1).column(0).null_count == 1


def test_what_a_real_node_has_written() -> None:
    agree(SERVER_COLUMNS, BODY, 1, OFFSET)


@HOW_OFTEN
def test_rows_and_columns_agree(examples: int) -> None:
    @each_time(examples)
    @given(tables)
    def check(table: tuple[list[CqlType], list[list[Any]]]) -> None:
        kinds, rows = table
        cols = columns(*kinds)
        binder = Registry(impl="python").binder(cols)
        agree(cols, b"".join(binder.bind(row)[2:] for row in rows), len(rows))

    check()


@pytest.mark.parametrize("row_count", [0, 1, 7, 8, 9, 255, 256, 257, 511, 513, 2000])
@pytest.mark.parametrize("of_null", ["none", "some", "all"])
def test_pages_of_all_sizes(row_count: int, of_null: str) -> None:
    """What stands at the border of a block, or of a byte of bits."""
    texts = (
        "int",
        "boolean",
        "text",
        "list<int>",
        "map<int, text>",
        "tuple<boolean, text>",
        "vector<float, 3>",
    )
    cols = columns(
        *texts, "uuid", "tinyint", "smallint", "bigint", "vector<text, 2>", "decimal", "inet", "duration"
    )
    value: list[Any] = [7, True, "é text", [1, 2], {1: "a"}, (False, "b"), [1.0, 2.0, 3.0], "0" * 32, 1, 2, 3]
    value += [["a", "b"], -5, "::1", None]
    bind = Registry(impl="python").binder(cols).bind
    body = b""
    for row in range(row_count):
        has_null = {"none": False, "some": row % 3 == 1, "all": True}[of_null]
        body += bind([None if has_null else each for each in value])[2:]
    agree(cols, body, row_count)
    assert all(len(batch_of(impl, cols, body, row_count)) == row_count for impl in IMPLS)


@pytest.mark.parametrize("row_count", [1, 7, 256, 257, 1100])
@pytest.mark.parametrize("nulls", [(), (0,), (300,), (256, 513, 1099), range(0, 1100, 3)])
def test_pages_of_values_of_fixed_size(row_count: int, nulls: Sequence[int]) -> None:
    """A block without null is read without looking for where its values are; what follows one that has some, too."""
    names = ("int", "boolean", "date", "uuid", "tinyint", "time", "smallint", "double")
    widths = (4, 1, 4, 16, 1, 8, 2, 8)
    body = b""
    for row in range(row_count):
        cells: list[bytes | None] = [
            (row * 257 + i).to_bytes(16)[-width:] for i, width in enumerate(widths, 1)
        ]
        if row in nulls:
            cells[row % 8] = None
            cells[(row + 3) % 8] = b""
        body += b"".join(map(sized, cells))
    agree(columns(*names), body, row_count)


@pytest.mark.parametrize("element", ["int", "bigint", "double", "date", "smallint", "uuid", "text"])
def test_lists_of_all_lengths(element: str) -> None:
    """Those of numbers are read several elements at a time, at the end of a page one by one; odd ones as all others."""
    cols = columns(f"list<{element}>")
    width = {"int": 4, "date": 4, "smallint": 2, "uuid": 16}.get(element, 8)
    plain = [[b"%x" % i * width for i in range(count)] for count in range(12)]
    odd = [[b"0" * width, other, b"1" * width] for other in (None, b"")]
    lists: Sequence[Sequence[bytes | None] | None]
    for lists in (
        [*plain],
        [*plain, None, [], *reversed(plain)],
        [None, *plain * 50, *odd, *plain],  # several blocks
        [[b"2" * width]],
        [[]],
        [None],
    ):
        cells = [
            None if each is None else len(each).to_bytes(4) + b"".join(map(sized, each)) for each in lists
        ]
        agree(cols, b"".join(map(sized, cells)), len(lists))


@pytest.mark.parametrize("row_count", [0, 3])
@EVERY_IMPL
def test_the_schema_comes_from_the_columns(impl: Impl, row_count: int) -> None:
    cols = columns("int", "list<frozen<map<text, uuid>>>", "decimal")
    schema = batch_of(impl, cols, b"\xff\xff\xff\xff" * 3 * row_count, row_count).schema
    full = Registry().binder(cols).bind([1, [{"a": "0" * 32}], 1])[2:]
    assert schema.equals(batch_of(impl, cols, full, 1).schema, check_metadata=True)


@EVERY_IMPL
def test_the_type_map(impl: Impl) -> None:
    kinds = {
        "ascii": pa.string(),
        "bigint": pa.int64(),
        "blob": pa.binary(),
        "boolean": pa.bool_(),
        "counter": pa.int64(),
        "date": pa.date32(),
        "decimal": pa.string(),
        "double": pa.float64(),
        "duration": pa.month_day_nano_interval(),
        "float": pa.float32(),
        "inet": pa.string(),
        "int": pa.int32(),
        "smallint": pa.int16(),
        "text": pa.string(),
        "time": pa.time64("ns"),
        "timestamp": pa.timestamp("ms", "UTC"),
        "timeuuid": pa.uuid(),
        "tinyint": pa.int8(),
        "uuid": pa.uuid(),
        "varint": pa.string(),
        "list<int>": pa.list_(pa.int32()),
        "set<text>": pa.list_(pa.string()),
        "map<text, int>": pa.map_(pa.string(), pa.int32()),
        "tuple<int, text>": pa.struct({"f0": pa.int32(), "f1": pa.string()}),
        "vector<float, 3>": pa.list_(pa.float32(), 3),
    }
    schema = batch_of(impl, columns(*kinds), b"", 0).schema
    assert dict(zip(kinds, schema.types, strict=True)) == kinds
    assert schema.names == [f"c{i}" for i in range(len(kinds))]


def test_every_type_that_rows_know_is_known_to_columns() -> None:
    assert set(NATIVE) == set(NODES)


@EVERY_IMPL
def test_odd_types(impl: Impl) -> None:
    """Of no fields, of classes that are not known, with names that C ends early."""
    assert (
        layout_of(NativeType("there is none")).format
        == layout_of(CustomType("org.example.Odd")).format
        == "z"
    )
    cols = columns(
        TupleType(()), UserType("ks", "u", (("a\0b", NativeType("int")), ("a\0b", NativeType("int"))))
    )
    assert batch_of(impl, cols, sized(b"") + sized(None), 1).schema.types[1].field(0).name == "a\\0b"
    strange = (ColumnSpec("ks", "t", "na\0me", NativeType("int")),)
    assert batch_of(impl, strange, b"", 0).schema.names == ["na\\0me"]


@EVERY_IMPL
def test_a_page_without_columns_has_its_number_of_rows(impl: Impl) -> None:
    assert len(batch_of(impl, (), b"", 0)) == 0


DECIMALS = [
    "0",
    "1",
    "-1",
    "0.1",
    "-0.000001",
    "1E-7",
    "-1.23E-9",
    "123456789012345678",
    "1E+3",
    "-12E+20",
    "0E-2",
]
DECIMALS += ["0E+3", "0E-10", "1234567890123456789012345678901234567890.5", "9223372036854775807E-18", "0.00"]


@EVERY_IMPL
@pytest.mark.parametrize("text", DECIMALS)
def test_decimals_are_the_texts_that_rows_show(impl: Impl, text: str) -> None:
    column = columns("decimal")[0]
    raw = Registry().binder((column,)).bind([Decimal(text)])[6:]
    assert one(impl, column, raw).to_pylist() == [str(Decimal(text))]


@EVERY_IMPL
@pytest.mark.parametrize("bits", [0, 7, 8, 63, 64, 65, 200, 20_000])
def test_varints_of_all_sizes(impl: Impl, bits: int) -> None:
    column = columns("varint")[0]
    bind = Registry().binder((column,)).bind
    numbers = [1 << bits, -(1 << bits), (1 << bits) - 1]
    texts = one(impl, column, *(bind([number])[6:] for number in numbers)).to_pylist()
    assert [int(Decimal(text)) for text in texts] == numbers


@EVERY_IMPL
def test_texts_that_the_server_takes_and_arrow_would_not(impl: Impl) -> None:
    """A zero in two bytes, as Java writes it, is one zero; the texts around it stay what they are."""
    column = columns("text")[0]
    assert one(impl, column, "é".encode(), b"a\xc0\x80b", None, b"", b"c").to_pylist() == [
        "é",
        "a\0b",
        None,
        "",
        "c",
    ]


LONGEST = {
    "uuid": b"\xff" * 16,
    "inet": b"\xff" * 16,
    "varint": b"\x80",
    "decimal": b"\x7f\xff\xff\xff\x80",
}


@EVERY_IMPL
@pytest.mark.parametrize("cql_type", LONGEST)
def test_no_page_has_more_text_than_offsets_can_count(impl: Impl, cql_type: str) -> None:
    """A batch is a page, and a page is a frame: what values become as text stays below 2 GiB, so no batch is split."""
    for raw in (LONGEST[cql_type], *([b"\x80" * 1000] if cql_type in ("varint", "decimal") else [])):
        text = one(impl, columns(cql_type)[0], raw, choices=(("c0", "string"),)).to_pylist()[0]
        assert MAX_FRAME // len(sized(raw)) * len(text) < MAX_INT
