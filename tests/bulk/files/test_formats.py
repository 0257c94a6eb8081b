"""What is written is read back: every type of every format, exactly."""

from __future__ import annotations

import datetime as dt
import io
import math
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given

from tests.bulk.files.reading import comparable, csv_rows, jsonl_rows
from tests.codecs.columns.reading import columns_of, sized
from tests.codecs.golden import PAGES, GoldenPage
from tests.codecs.helpers import IMPLS, columns
from tests.codecs.strategies import tables
from tests.property.test_twins import HOW_OFTEN, each_time
from triocql._impl import Impl
from triocql.bulk.files import arrowfiles
from triocql.bulk.files.exact import exact_plan
from triocql.bulk.files.formats import FORMATS, format_of
from triocql.codecs.columns import decoder_of, extras
from triocql.codecs.registry import Registry
from triocql.codecs.rows import Page
from triocql.codecs.temporal import Date, Duration, Time
from triocql.codecs.values import EMPTY
from triocql.errors import DecodeError, MissingExtraError, OptionError
from triocql.protocol.types import (
    ColumnSpec,
    CqlType,
    ListType,
    MapType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)
READ = {"csv": csv_rows, "jsonl": jsonl_rows}


def written(name: str, *pages: Page, visible: int | None = None) -> bytes:
    file = io.BytesIO()
    writer = FORMATS[name].open(file, pages[0].plan.columns[:visible])
    for page in pages:
        writer.write(page)
    writer.finish()
    return file.getvalue()


def page_of(impl: Impl, cols: tuple[ColumnSpec, ...], *rows: list[Any]) -> Page:
    bind = Registry(impl="python").binder(cols).bind
    body = b"".join(bind(row)[2:] for row in rows)
    return Registry(impl=impl).plan(cols).page(body, 0, len(rows))


def table_of(name: str, data: bytes) -> pa.Table:
    if name == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(data))
    return pa.ipc.open_file(data).read_all()


def plain(value: Any) -> Any:
    """Return a value with the structs that durations are in Parquet as what they are in Arrow."""
    match value:
        case {"months": months, "days": days, "nanoseconds": nanoseconds}:
            return (months, days, nanoseconds)
        case list():
            return list(map(plain, value))
        case tuple():
            return tuple(map(plain, value))
        case float():
            return comparable(value)
    return value


def as_lists(cql_type: CqlType) -> CqlType:
    """Return a type with lists for its sets, so that their order counts, too."""
    match cql_type:
        case SetType(element) | ListType(element):
            return ListType(as_lists(element))
        case MapType(key, value):
            return MapType(as_lists(key), as_lists(value))
        case TupleType(elements):
            return TupleType(tuple(map(as_lists, elements)))
        case UserType(keyspace, name, fields):
            return UserType(keyspace, name, tuple((field, as_lists(each)) for field, each in fields))
        case VectorType(element, dimension):
            return VectorType(as_lists(element), dimension)
    return cql_type


def check_round_trip(page: Page) -> None:
    cols = page.plan.columns
    rows = page.read_by(exact_plan(page.plan, len(cols))).rows()
    for name, read in READ.items():
        assert comparable([tuple(row) for row in read(cols, written(name, page))]) == comparable(rows), name
    batch = pa.record_batch(decoder_of(page.plan, (), None).batch(page))
    listed = tuple(column._replace(type=as_lists(column.type)) for column in cols)
    expected = plain(columns_of(listed, batch))
    for name in ("parquet", "ipc"):
        found = table_of(name, written(name, page)).combine_chunks()
        assert found.num_rows == page.row_count
        found.validate(full=True)
        if page.row_count:
            assert plain(columns_of(listed, found.to_batches()[0])) == expected, name


@EVERY_IMPL
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_golden_pages(impl: Impl, page: GoldenPage) -> None:
    check_round_trip(Registry(impl=impl).plan(page.columns).page(page.body, 0, page.row_count))


@HOW_OFTEN
def test_every_type_is_read_back(examples: int) -> None:
    @each_time(examples)
    @given(tables)
    def check(table: tuple[list[CqlType], list[list[Any]]]) -> None:
        kinds, rows = table
        for impl in IMPLS:
            check_round_trip(page_of(impl, columns(*kinds), *rows))

    check()


TEXTS: list[tuple[str, Any, str | None, str]] = [
    ("text", "", '""', '""'),
    ("text", 'a "b", c\n', '"a ""b"", c\n"', '"a \\"b\\", c\\n"'),
    ("text", "NULL", '"NULL"', '"NULL"'),
    ("int", -7, "-7", "-7"),
    ("int", EMPTY, '""', '""'),
    ("bigint", 2**63 - 1, "9223372036854775807", "9223372036854775807"),
    ("boolean", True, "true", "true"),
    ("varint", 10**5000, "1" + "0" * 5000, '"1' + "0" * 5000 + '"'),
    ("varint", -(2**70), "-1180591620717411303424", '"-1180591620717411303424"'),
    ("decimal", Decimal("1E+2147483647"), "1E+2147483647", '"1E+2147483647"'),
    ("decimal", Decimal("0E-2147483647"), "0E-2147483647", '"0E-2147483647"'),
    ("decimal", Decimal("1.50"), "1.50", '"1.50"'),
    ("double", 0.1, "0.1", "0.1"),
    ("double", 5e-324, "5e-324", "5e-324"),
    ("double", -0.0, "-0.0", "-0.0"),
    ("double", math.nan, "NaN", '"NaN"'),
    ("double", -math.inf, "-Infinity", '"-Infinity"'),
    ("float", 0.1, "0.1", "0.1"),
    ("float", 1, "1.0", "1.0"),
    ("float", 16777216.0, "16777216.0", "16777216.0"),
    ("float", 3.4028234663852886e38, "3.4028235e+38", "3.4028235e+38"),
    ("float", math.inf, "Infinity", '"Infinity"'),
    ("blob", b"", "0x", '"0x"'),
    ("blob", b"\0\xff", "0x00ff", '"0x00ff"'),
    ("date", dt.date(2024, 2, 29), "2024-02-29", '"2024-02-29"'),
    ("date", Date(-719529), "-0001-12-31", '"-0001-12-31"'),
    ("date", Date(2**31 - 1), "+5881580-07-11", '"+5881580-07-11"'),
    ("time", dt.time(1, 2, 3), "01:02:03", '"01:02:03"'),
    ("time", Time(1), "00:00:00.000000001", '"00:00:00.000000001"'),
    ("time", Time(-1), "-1", '"-1"'),
    ("timestamp", 0, "1970-01-01T00:00:00.000Z", '"1970-01-01T00:00:00.000Z"'),
    ("timestamp", 2**63 - 1, "+292278994-08-17T07:12:55.807Z", '"+292278994-08-17T07:12:55.807Z"'),
    ("duration", Duration(14, 3, 3_600_000_000_005), "14mo3d1h5ns", '"14mo3d1h5ns"'),
    ("duration", Duration(0, -1, -1_000_000), "-1d1ms", '"-1d1ms"'),
    ("duration", Duration(), "0s", '"0s"'),
    ("inet", "::1", "::1", '"::1"'),
    ("list<int>", [1, 2], '"[1, 2]"', "[1, 2]"),
    ("list<text>", [], '"[]"', "[]"),
    ("map<int, text>", {1: 'a"'}, '"{""1"": ""a\\""""}"', '{"1": "a\\""}'),
    ("map<frozen<list<int>>, int>", {(1, 2): 3}, '"{""[1, 2]"": 3}"', '{"[1, 2]": 3}'),
    ("tuple<int, text>", (None, "a"), '"[null, ""a""]"', '[null, "a"]'),
    ("address", ("a", None, "b"), None, '{"street": "a", "number": null, "class": "b"}'),
    ("vector<float, 2>", [0.1, math.nan], '"[0.1, ""NaN""]"', '[0.1, "NaN"]'),
]


@pytest.mark.parametrize(
    ("cql_type", "value", "csv", "jsonl"), TEXTS, ids=[jsonl[:20] for *_, jsonl in TEXTS]
)
def test_texts(cql_type: str, value: Any, csv: str | None, jsonl: str) -> None:
    page = page_of(IMPLS[-1], columns(cql_type), [value])
    csv = '"' + jsonl.replace('"', '""') + '"' if csv is None else csv
    assert written("csv", page).decode() == f"c0\n{csv}\n"
    assert written("jsonl", page).decode() == f'{{"c0": {jsonl}}}\n'


def test_null_is_no_text() -> None:
    page = page_of(IMPLS[-1], columns("text", "int", "list<int>"), ["", None, None], [None, 1, []])
    assert written("csv", page) == b'c0,c1,c2\n"",,\n,1,"[]"\n'
    assert written("jsonl", page) == (
        b'{"c0": "", "c1": null, "c2": null}\n{"c0": null, "c1": 1, "c2": []}\n'
    )


@EVERY_IMPL
def test_sets_and_maps_have_what_the_server_has_in_its_order(impl: Impl) -> None:
    """Sets and dicts of Python would have one zero."""
    cols = columns("set<double>", "map<double, int>")
    numbers = [struct.pack(">d", each) for each in (-0.0, 0.0, math.nan, math.nan)]
    pairs = [part for number in numbers for part in (number, b"\0\0\0\7")]
    body = sized(b"\0\0\0\4" + b"".join(map(sized, numbers))) + sized(
        b"\0\0\0\4" + b"".join(map(sized, pairs))
    )
    page = Registry(impl=impl).plan(cols).page(body, 0, 1)
    zeros = '[-0.0, 0.0, "NaN", "NaN"]'
    named = '{"-0.0": 7, "0.0": 7, "NaN": 7, "NaN": 7}'
    assert written("jsonl", page).decode() == f'{{"c0": {zeros}, "c1": {named}}}\n'


@EVERY_IMPL
def test_codecs_and_classes_of_the_session_play_no_part(impl: Impl) -> None:
    registry = Registry(impl=impl)
    registry.register_udt("ks", "address", dict)
    registry.register("int", Doubled())
    page = registry.plan(columns("int", "address")).page(sized(b"\0\0\0\1") + sized(sized(b"a")), 0, 1)
    fields = '{"street": "a", "number": null, "class": null}'
    assert written("jsonl", page).decode() == f'{{"c0": 1, "c1": {fields}}}\n'


class Doubled:
    def encode(self, value: Any) -> Any:
        raise NotImplementedError

    def decode(self, value: Any) -> Any:
        return value * 2


@EVERY_IMPL
@pytest.mark.parametrize("name", FORMATS)
def test_columns_at_the_end_may_be_left_out(impl: Impl, name: str) -> None:
    page = page_of(impl, columns("int", "text", "map<int, int>"), [1, "a", {1: 1}], [2, "b", None])
    data = written(name, page, visible=1)
    if name in READ:
        assert READ[name](page.plan.columns[:1], data) == [[1], [2]]
    else:
        assert table_of(name, data).to_pydict() == {"c0": [1, 2]}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_no_rows_has_its_columns(name: str) -> None:
    data = written(name, page_of(IMPLS[-1], columns("int", "duration")))
    if name == "csv":
        assert data == b"c0,c1\n"
    elif name == "jsonl":
        assert data == b""
    else:
        assert table_of(name, data).schema.names == ["c0", "c1"]


def test_names_of_columns_are_quoted_where_they_have_to_be() -> None:
    cols = tuple(
        column._replace(name=name)
        for column, name in zip(columns("int", "int", "int"), ("a,b", 'x"', " y"), strict=True)
    )
    page = page_of(IMPLS[-1], cols, [1, 2, 3])
    assert written("csv", page) == b'"a,b","x""", " y"\n1,2,3\n'.replace(b", ", b",")
    assert written("jsonl", page) == b'{"a,b": 1, "x\\"": 2, " y": 3}\n'


def test_halves_of_surrogate_pairs_are_kept() -> None:
    """Servers take them for text; UTF-8 does not have them, but JSON has a way to write them."""
    page = Registry().plan(columns("text")).page(sized("a\ud800".encode("utf-8", "surrogatepass")), 0, 1)
    assert written("csv", page) == b'c0\n"a\xed\xa0\x80"\n'
    assert written("jsonl", page) == b'{"c0": "a\\ud800"}\n'


@EVERY_IMPL
def test_what_cannot_be_written_names_row_and_column(impl: Impl) -> None:
    body = sized(b"\0\0\0\1" + sized(None) + sized(b"\0\0\0\1"))
    page = Registry(impl=impl).plan(columns("map<int, int>")).page(body, 0, 1)
    for name in FORMATS:
        with pytest.raises(
            DecodeError, match=r"row 0, column 'c0' \(map<int, int>\) of ks.t: a key of a map"
        ):
            written(name, page)


def test_pages_are_collected_into_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrowfiles, "ROWS_AT_ONCE", 25)
    page = page_of(IMPLS[-1], columns("int"), *[[i] for i in range(10)])
    found = pyarrow.parquet.ParquetFile(io.BytesIO(written("parquet", *[page] * 7)))
    groups = found.metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [30, 30, 10]


def test_formats_that_there_are_not() -> None:
    with pytest.raises(OptionError, match="format is 'orc'; it has to be one of parquet, csv, jsonl, ipc"):
        format_of("orc")


@pytest.mark.parametrize("name", ["parquet", "ipc"])
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Any:
        raise ImportError(f"No module named {package!r}", name="pyarrow")

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pyarrow is not installed.*triocql\[arrow\]"):
        format_of(name)
    assert format_of("csv").suffix == ".csv"
