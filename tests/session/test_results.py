from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.pages import FINGERPRINT, TRACE, Pages, page, run, users
from triocql.abc import Address
from triocql.engine.requests import Response
from triocql.errors import (
    DecodeError,
    NoSingleRow,
    OptionError,
    PagesRemain,
    PagingLoop,
    PagingStateMismatch,
    UsageError,
)
from triocql.metadata.node import Node
from triocql.protocol.responses import Extras, SchemaChange
from triocql.results.factories import row_factory
from triocql.results.result import Result
from triocql.results.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.codecs.rows import Page

ROWS = row_factory(None)


def result_of(*pages: Page | None) -> Result[Row]:
    pager = Pages(*pages)
    return Result(pager.first, ROWS, pager)


def collect(result: Result[Any]) -> list[Any]:
    async def loop() -> list[Any]:
        return [row async for row in result]

    rows: list[Any] = run(loop())
    return rows


def test_the_page() -> None:
    result = result_of(users(1, 2, 3))
    assert result.rows == [(1, "user 1"), (2, "user 2"), (3, "user 3")]
    assert result.rows is result.rows
    assert (len(result), result[0].name, result[-1].id) == (3, "user 1", 3)
    assert result[1:] == [(2, "user 2"), (3, "user 3")]
    assert [row.id for row in result] == [1, 2, 3]
    assert result
    assert not result.has_more_pages
    assert result.paging_state is None


def test_forms() -> None:
    response = Response(users(1))
    assert type(Result(response, row_factory(tuple)).rows[0]) is tuple
    assert Result(response, row_factory(dict)).rows == [{"id": 1, "name": "user 1"}]
    assert Result(response, row_factory(dict[str, Any])).rows == [{"id": 1, "name": "user 1"}]
    assert type(Result(response, row_factory(tuple[Any, ...])).rows[0]) is tuple
    assert isinstance(Result(response, row_factory(Row)).rows[0], Row)
    assert isinstance(Result(response, row_factory(None)).rows[0], Row)
    with pytest.raises(
        OptionError,
        match=r"row_type: <class 'list'> cannot be .*; it can be triocql.Row, tuple, dict, or a class",
    ):
        row_factory(list)


@pytest.mark.parametrize("row_type", [None, tuple, dict])
def test_every_form_iterates_as_it_builds(row_type: Any) -> None:
    pager = Pages(users(*range(3000)), users(*range(5)))
    result = Result(pager.first, row_factory(row_type), pager)
    rows = run(result.all())
    assert collect(result) == rows
    assert len(rows) == 3005
    assert all(isinstance(row, row_type or Row) for row in rows)


def test_a_page_is_decoded_when_its_rows_are_asked_for_only() -> None:
    good = users(1)
    broken = good.plan.page(b"\0\0\0\4\0\0\0\1\0\0\0\1\xff", 0, 1)
    result = result_of(broken)
    assert (len(result), len(result.columns), result.applied) == (1, 2, None)
    with pytest.raises(DecodeError, match="name"):
        result.rows  # noqa: B018


def test_a_result_without_rows() -> None:
    node = Node(Address("10.0.0.1", 9042))
    result = Result(Response(coordinator=node), ROWS)
    assert (result.rows, len(result), list(result), result.columns) == ([], 0, [], ())
    assert result.one() is None
    assert result.scalar() is None
    assert not result
    assert run(result.all()) == []
    assert collect(result) == []
    assert result.coordinator is node
    rest = (
        result.applied,
        result.custom_payload,
        result.schema_change,
        result.schema_agreed,
        result.paging_state,
    )
    assert rest == (None, None, None, None, None)
    assert result.warnings == ()


def test_one() -> None:
    first = result_of(users(1, 2), users(3)).one()
    assert first is not None
    assert first.id == 1
    assert result_of(users()).one() is None


def test_an_empty_page_before_others_is_no_empty_result() -> None:
    result = result_of(users(), users(1))
    for ask in (result.one, result.scalar, result.exactly_one, lambda: bool(result)):
        with pytest.raises(PagesRemain, match=r"await result.all\(\)"):
            ask()


def test_exactly_one() -> None:
    assert result_of(users(7)).exactly_one().id == 7
    with pytest.raises(NoSingleRow, match="no row"):
        result_of(users()).exactly_one()
    with pytest.raises(NoSingleRow, match="2 rows or more"):
        result_of(users(1, 2), users(3)).exactly_one()
    with pytest.raises(PagesRemain):
        result_of(users(1), users(2)).exactly_one()


@pytest.mark.parametrize("row_type", [None, tuple, dict])
def test_scalar(row_type: Any) -> None:
    counted = Response(page([("count", "int"), ("other", "int")], [(42, 1)]))
    assert Result(counted, row_factory(row_type)).scalar() == 42
    null = Response(page([("count", "int")], [(None,)]))
    assert Result(null, row_factory(row_type)).scalar() is None


def test_a_plain_loop_does_not_miss_pages() -> None:
    result: Any = result_of(users(1), users(2))
    loops: list[Callable[[], object]] = [lambda: list(result), lambda: (1, "user 1") in result]
    for loop in loops:
        with pytest.raises(PagesRemain, match=r"write `async for row in result`, .*result\.rows"):
            loop()
    with pytest.raises(TypeError):
        reversed(result)
    assert [row.id for row in result.rows] == [1]


def test_all_pages() -> None:
    pager = Pages(users(1, 2), users(), None, users(3), users())
    result = Result(pager.first, ROWS, pager)
    assert [row.id for row in run(result.all())] == [1, 2, 3]
    assert pager.fetched == [b"1", b"2", b"3", b"4"]
    assert [row.id for row in collect(result)] == [1, 2, 3]
    assert [row.id for row in result.rows] == [1, 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_all_rows_of_any_pages_come_once_and_in_order(sizes: list[int]) -> None:
    numbers = iter(range(100))
    pages = [users(*(next(numbers) for _ in range(size))) for size in sizes]
    result = result_of(*pages)
    assert [row.id for row in collect(result)] == list(range(sum(sizes)))
    assert [row.id for row in run(result.all())] == list(range(sum(sizes)))


def test_nothing_is_fetched_before_it_is_needed() -> None:
    pager = Pages(users(1, 2), users(3))
    rows = aiter(Result(pager.first, ROWS, pager))
    run(anext(rows))
    run(anext(rows))
    assert pager.fetched == []
    run(anext(rows))
    assert pager.fetched == [b"1"]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            run(anext(rows))
    assert pager.fetched == [b"1"]


def test_after_an_error_the_same_page_is_fetched_again() -> None:
    pager = Pages(users(1), users(2))
    pager.failures = [ConnectionError("gone")]
    rows = aiter(Result(pager.first, ROWS, pager))
    run(anext(rows))
    with pytest.raises(ConnectionError):
        run(anext(rows))
    assert run(anext(rows)).id == 2
    assert pager.fetched == [b"1", b"1"]


def test_the_same_paging_state_again_is_an_error() -> None:
    pager = Pages(users(1), users(2), users(3))
    pager.responses[2].paging_state = b"2"
    result = Result(pager.first, ROWS, pager)
    with pytest.raises(PagingLoop):
        run(result.all())
    with pytest.raises(PagingLoop):
        collect(result)


def test_two_tasks_in_one_iteration_are_an_error() -> None:
    class Slow(Pages):
        async def fetch(self, paging_state: bytes) -> Response:
            with pytest.raises(UsageError, match="two tasks"):
                await anext(rows)
            return await super().fetch(paging_state)

    pager = Slow(users(), users(1))
    rows = aiter(Result(pager.first, ROWS, pager))
    assert run(anext(rows)).id == 1


def test_the_paging_state_belongs_to_the_statement() -> None:
    state = result_of(users(1), users(2)).paging_state
    assert state is not None
    assert state.unwrap(FINGERPRINT) == b"1"
    with pytest.raises(PagingStateMismatch):
        state.unwrap(b"another statement")


def test_applied() -> None:
    assert result_of(page([("[applied]", "boolean")], [(True,)])).applied is True
    refused = result_of(page([("[applied]", "boolean"), ("id", "int")], [(False, 1), (False, 2)]))
    assert refused.applied is False
    assert refused[1].id == 2
    assert result_of(users(1)).applied is None
    assert result_of(page([("[applied]", "boolean")])).applied is None


def test_columns_have_parsed_types() -> None:
    columns = result_of(users()).columns
    assert [(each.name, str(each.type), each.table) for each in columns] == [
        ("id", "int", "t"),
        ("name", "text", "t"),
    ]


def test_what_comes_with_it() -> None:
    change = SchemaChange("CREATED", "TABLE", "ks", "t")
    extras = Extras(TRACE, ("tombstones",), {"key": b"value"}, change, True)
    pager = Pages(users(1))
    result = Result(Response(users(1), None, extras), ROWS, pager)
    assert result.warnings == ("tombstones",)
    assert result.custom_payload == {"key": b"value"}
    assert result.schema_change == change
    assert result.schema_agreed
    assert run(result.trace()).id == TRACE


def test_no_trace_of_what_was_not_traced() -> None:
    with pytest.raises(UsageError, match="tracing=True"):
        run(result_of(users(1)).trace())
    with pytest.raises(UsageError, match="tracing=True"):
        run(Result(Response(extras=Extras(None, (), None)), ROWS).trace())


def test_repr_shows_no_values() -> None:
    assert repr(result_of(users(1), users(2))) == "Result(1 rows of 2 columns, more pages follow)"


def test_a_result_of_one_page_is_all_that_garbage_collections_go_through() -> None:
    page = users(1)
    response = Response(page)
    assert not {response, page} & set(gc.get_referents(Result(response, ROWS)))
