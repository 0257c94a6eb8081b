"""Results and streams as columns: Arrow, polars, pandas, NumPy, and the capsules that all of these take."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.codecs.columns.reading import sized
from tests.codecs.helpers import IMPLS, columns
from tests.engine import wire
from tests.engine.peer import Asked
from tests.session.pages import Pages, page, users
from tests.session.test_pages import TEXT, paged
from tests.sync.served import Served
from triocql import Session, errors
from triocql._impl import Impl
from triocql.codecs.registry import Registry
from triocql.engine.requests import Response
from triocql.results import columns as columns_of_results
from triocql.results.factories import row_factory
from triocql.results.result import Result

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)


def result(*pages: Any) -> Result[Any]:
    pager = Pages(*pages)
    return Result(pager.responses[0], row_factory(None), pager)


def result_of(impl: Impl, types: tuple[str, ...], *rows: list[Any]) -> Result[Any]:
    cols = columns(*types)
    bind = Registry().binder(cols).bind
    body = b"".join(bind(row)[2:] for row in rows)
    return Result(Response(Registry(impl=impl).plan(cols).page(body, 0, len(rows))), row_factory(None))


# --- One page ---


def test_arrow() -> None:
    table = result(users(1, 2)).arrow()
    assert table.to_pydict() == {"id": [1, 2], "name": ["user 1", "user 2"]}
    assert result(users()).arrow().schema == table.schema


@EVERY_IMPL
def test_types_are_chosen_by_column(impl: Impl) -> None:
    found = result_of(impl, ("decimal", "uuid"), [Decimal("1.5"), None])
    table = found.arrow(types={"c0": pa.decimal128(18, 2), "c1": "string"})
    assert table.schema.types == [pa.decimal128(18, 2), pa.string()]
    with pytest.raises(errors.OptionError, match="the columns are 'c0', 'c1'"):
        found.arrow(types={"price": "string"})


@EVERY_IMPL
def test_polars_and_pandas(impl: Impl) -> None:
    found = result_of(
        impl, ("int", "text", "list<int>", "timestamp"), [1, "a", [1, 2], 0], [None, None, None, None]
    )
    frame = found.polars()
    assert frame.to_dict(as_series=False)["c2"] == [[1, 2], None]
    assert frame.equals(pl.DataFrame(found))
    assert frame.schema["c3"] == pl.Datetime("ms", "UTC")
    table = found.pandas()
    assert table["c0"].dtype == pd.ArrowDtype(pa.int32())
    assert list(table["c0"].isna()) == [False, True]


@EVERY_IMPL
def test_uuids_in_polars_and_pandas(impl: Impl) -> None:
    found = result_of(impl, ("uuid",), ["00000000-0000-0000-0000-0000000000ff"], [None])
    assert found.polars(types={"c0": "string"})["c0"].to_list() == [
        "00000000-0000-0000-0000-0000000000ff",
        None,
    ]
    assert len(found.pandas()) == 2


@EVERY_IMPL
@pytest.mark.parametrize("cql_type", ["duration", "map<text, frozen<list<duration>>>"])
def test_durations_are_not_for_polars(impl: Impl, cql_type: str) -> None:
    """It would panic, by what is no Exception."""
    found = result_of(impl, (cql_type, "int"), [None, 1])
    with pytest.raises(errors.UsageError, match="no type for the durations of column 'c0'"):
        found.polars()
    assert found.pandas().shape == (1, 2)


def test_a_result_is_taken_as_it_is() -> None:
    found = result(users(1, 2))
    expected = {"id": [1, 2], "name": ["user 1", "user 2"]}
    assert pa.table(found).to_pydict() == pa.record_batch(found).to_pydict() == expected
    assert pl.DataFrame(found).to_dict(as_series=False) == expected
    assert pa.schema(found).names == ["id", "name"]


def test_columns_need_the_only_page() -> None:
    found = result(users(1), users(2))
    calls = [found.arrow, found.polars, found.pandas, lambda: found.numpy("id"), found.__arrow_c_schema__]
    for call in (*calls, found.__arrow_c_array__, found.__arrow_c_stream__):
        with pytest.raises(errors.PagesRemain, match=r"await session.stream\(...\).arrow\(\)"):
            call()


def test_a_statement_that_gives_no_rows_has_no_columns() -> None:
    found = result(None)
    assert found.arrow().shape == found.polars().shape == (0, 0)
    with pytest.raises(errors.UsageError, match="the columns are none"):
        found.numpy("id")


def test_codecs_are_for_rows() -> None:
    class Negated:
        def encode(self, value: int) -> int:
            return -value

        def decode(self, value: int) -> int:
            return -value

    registry = Registry()
    registry.register("int", Negated())
    found = Result(Response(registry.plan(columns("int")).page(b"\0\0\0\4\0\0\0\1", 0, 1)), row_factory(None))
    assert (found.rows, found.arrow().to_pydict()) == ([(-1,)], {"c0": [1]})


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("pyarrow", "arrow", lambda found: found.arrow()),
        ("polars", "polars", lambda found: found.polars()),
        ("pandas", "pandas", lambda found: found.pandas()),
        ("numpy", "numpy", lambda found: found.numpy("id")),
    ],
)
def test_what_is_missing_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, call: Any
) -> None:
    found = result(users(1))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.MissingExtraError, match=rf"{package} is not installed.*'triocql\[{extra}\]'"):
        call(found)


# --- NumPy ---

DTYPES = {
    "tinyint": "i1",
    "smallint": "i2",
    "int": "i4",
    "bigint": "i8",
    "float": "f4",
    "double": "f8",
    "boolean": "?",
    "timestamp": "M8[ms]",
    "date": "M8[D]",
    "time": "m8[ns]",
}


@EVERY_IMPL
@pytest.mark.parametrize("cql_type", DTYPES)
def test_the_dtype_comes_from_the_column(impl: Impl, cql_type: str) -> None:
    value: Any = np.datetime64("2024-02-29") if cql_type in ("date", "timestamp") else 1
    for rows in ([], [[value]], [[value], [None], [value]], [[None]] * 9):
        found = result_of(impl, (cql_type,), *rows).numpy("c0")
        assert found.dtype == DTYPES[cql_type]
        assert found.shape == (len(rows),)
        assert isinstance(found, np.ma.MaskedArray) is ([None] in rows)
        assert list(np.ma.getmaskarray(found)) == [row == [None] for row in rows]
        assert all(each == found.dtype.type(value) for each in found if each is not np.ma.masked) or rows


@EVERY_IMPL
def test_dates_and_booleans(impl: Impl) -> None:
    found = result_of(
        impl, ("date", "boolean"), *([np.datetime64("1969-12-31"), i % 3 == 0] for i in range(10))
    )
    assert found.numpy("c0").tolist() == [np.datetime64("1969-12-31").item()] * 10
    assert found.numpy("c1").tolist() == [i % 3 == 0 for i in range(10)]


@EVERY_IMPL
def test_vectors_have_two_dimensions(impl: Impl) -> None:
    found = result_of(impl, ("vector<float, 3>",), [[1, 2, 3]], [[4, 5, 6]])
    assert found.numpy("c0").tolist() == [[1, 2, 3], [4, 5, 6]]
    found = result_of(impl, ("vector<vector<int, 2>, 2>",), [[[1, 2], [3, 4]]], [None])
    array = found.numpy("c0")
    assert (array.shape, array.tolist()) == ((2, 2, 2), [[[1, 2], [3, 4]], [[None, None], [None, None]]])


@EVERY_IMPL
def test_other_types_are_the_objects_of_rows(impl: Impl) -> None:
    types = ("text", "list<int>", "vector<text, 2>", "int")
    found = result_of(impl, types, ["a", [1, 2], ["x", "y"], 1], [None, [], None, 2])
    assert found.numpy("c0").tolist() == ["a", None]
    assert found.numpy("c1").tolist() == [[1, 2], []]
    assert found.numpy("c2").tolist() == [["x", "y"], None]
    assert found.numpy("c1").dtype == object


@EVERY_IMPL
def test_arrays_are_views_that_outlive_the_result(impl: Impl) -> None:
    array = result_of(impl, ("text", "int"), *(["x", i] for i in range(100))).numpy("c1")
    assert array.tolist() == list(range(100))
    assert not array.flags.writeable
    assert not array.flags.owndata


@EVERY_IMPL
@pytest.mark.parametrize("cql_type", [*DTYPES, "text", "vector<float, 1>"])
def test_arrays_cannot_be_made_writable(impl: Impl, cql_type: str) -> None:
    for rows in ([[None], [None]], [[None]] * 9):
        array = result_of(impl, (cql_type,), *rows).numpy("c0")
        values = array.data if isinstance(array, np.ma.MaskedArray) else array
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            values.flags.writeable = True
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_column_that_there_is_not() -> None:
    with pytest.raises(errors.UsageError, match="there is no column 'nam'; the columns are 'id', 'name'"):
        result(users(1)).numpy("nam")
    assert result(page([("a", "int"), ("a", "int")], [(1, 2)])).numpy("a").tolist() == [2]


# --- All pages ---


async def all_as_arrow(session: Session, *arguments: Any, **types: Any) -> pa.Table:
    return await session.stream(*arguments, page_size=2).arrow(**types)


def test_a_stream_gives_all_pages() -> None:
    world = paged()
    with world.session() as session:
        table = world.call(all_as_arrow, session, TEXT)
        assert table.to_pydict() == {"v": [1, 2, 3]}
        assert table.column(0).num_chunks == 6


def test_large_pages_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_of_results, "CELLS_AT_ONCE", 1)
    monkeypatch.setattr(columns_of_results, "PURE_CELLS_AT_ONCE", 1)
    world = paged()
    with world.session() as session:
        assert world.call(all_as_arrow, session, TEXT).to_pydict() == {"v": [1, 2, 3]}


@EVERY_IMPL
def test_which_pages_take_long(impl: Impl) -> None:
    plan = Registry(impl=impl).plan(columns("int", "int"))
    batches = columns_of_results.Batches(plan, None)
    most = 2_000 if impl == "python" else 125_000
    for rows, long in ((most, False), (most + 1, True)):
        assert batches.takes_long(plan.page(sized(None) * 2 * rows, 0, rows)) is long
    plan = Registry(impl=impl).plan(columns("blob"))
    batches = columns_of_results.Batches(plan, None)
    for size, long in ((4 << 20, True), (1 << 20, False)):
        assert batches.takes_long(plan.page(sized(bytes(size)), 0, 1)) is long


def test_what_was_read_as_a_whole_is_not_said_to_have_had_a_block() -> None:
    async def twice(session: Session) -> None:
        stream = session.stream(TEXT)
        await stream.arrow()
        for again in (stream.arrow, stream.polars, stream.__aenter__, stream.__anext__):
            with pytest.raises(errors.UsageError, match="was read as a whole already; make another one"):
                await again()

    world = paged()
    with world.session() as session:
        world.call(twice, session)
    with Served(5) as served:
        served.node.pages[TEXT] = [[1, 2], [3]]
        with served.connect() as blocking:
            read = blocking.stream(TEXT)
            read.arrow()
            for once_more in (read.arrow, read.polars, read.__enter__, read.__next__):
                with pytest.raises(errors.UsageError, match="was read as a whole already; make another one"):
                    once_more()


def test_a_stream_is_read_as_rows_or_as_columns() -> None:
    async def both(session: Session) -> None:
        async with session.stream(TEXT) as rows:
            async for _ in rows:
                break
            with pytest.raises(errors.UsageError, match="a loop has read rows"):
                await rows.arrow()

    async def within(session: Session) -> None:
        async with session.stream(TEXT) as rows:
            assert (await rows.arrow()).num_rows == 3
            with pytest.raises(errors.UsageError, match="read to its end already"):
                await rows.arrow()

    for steps in (both, within):
        world = paged()
        with world.session() as session:
            world.call(steps, session)


def test_columns_that_change_from_page_to_page_are_refused() -> None:
    world = paged()

    def altered(asked: Asked) -> bool:
        if asked.paging_state != b"4":
            return False
        asked.answer(wire.RESULT, wire.rows([("v", "text")], [[b"x"]]))
        return True

    world.node.script = altered
    with world.session() as session, pytest.raises(errors.DecodeError, match="the columns changed"):
        world.call(all_as_arrow, session, TEXT)


def test_blocking_streams() -> None:
    with Served(5) as served:
        served.node.pages[TEXT] = [[1, 2], [], [3]]
        with served.connect() as session:
            expected = {"v": [1, 2, 3]}
            assert session.stream(TEXT).arrow().to_pydict() == expected
            assert session.stream(TEXT).polars().to_dict(as_series=False) == expected
            assert list(session.stream(TEXT).pandas()["v"]) == [1, 2, 3]
            assert pl.DataFrame(session.stream(TEXT)).to_dict(as_series=False) == expected
            reader = pa.RecordBatchReader.from_stream(session.stream(TEXT))
            assert [len(batch) for batch in reader] == [2, 0, 1]
            with session.stream(TEXT) as rows:
                assert pa.table(rows).to_pydict() == expected
                with pytest.raises(errors.UsageError, match="read to its end already"):
                    pa.table(rows)
            with pytest.raises(errors.PagesRemain, match=r"session.stream\(...\)"):
                session.execute(TEXT).arrow()


def test_a_blocking_stream_pulls_a_page_at_a_time_and_ends_with_its_reader() -> None:
    with Served(5) as served:
        served.node.pages[TEXT] = [[number] for number in range(50)]
        with served.connect() as session:
            stream = session.stream(TEXT, prefetch=0)
            reader = pa.RecordBatchReader.from_stream(stream)
            assert reader.read_next_batch().to_pydict() == {"v": [0]}
            assert len(served.node.asked) < 6
            reader.close()
            del reader
            with pytest.raises(errors.UsageError, match="was read as a whole already"):
                next(stream)
