"""What a type checker has to make of results; checked by `test_typing`, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from triocql.forms import RowForm, row_form
from triocql.paging import PagingState
from triocql.results import Result, Trace
from triocql.rows import Row

if TYPE_CHECKING:
    from triocql.engine.response import Response


def forms(row_type: type[Any]) -> None:
    assert_type(row_form(None), RowForm[Row])
    assert_type(row_form(Row), RowForm[Row])
    assert_type(row_form(tuple), RowForm[tuple[Any, ...]])
    assert_type(row_form(dict), RowForm[dict[str, Any]])
    assert_type(row_form(row_type), RowForm[Any])


async def rows(response: Response) -> None:
    result = Result(response, row_form(None))
    assert_type(result, Result[Row])
    assert_type(result.rows, list[Row])
    assert_type(result[0], Row)
    assert_type(result[1:], list[Row])
    assert_type(result.one(), Row | None)
    assert_type(result.exactly_one(), Row)
    assert_type(await result.all(), list[Row])
    assert_type([row for row in result], list[Row])  # noqa: C416 - it is the loop that is tested
    assert_type([row async for row in result], list[Row])
    assert_type(result.exactly_one().name, Any)
    assert_type(result.exactly_one()["name"], Any)
    assert_type(result.exactly_one()[0], Any)
    assert_type(result.exactly_one()[:1], tuple[Any, ...])
    assert_type(result.paging_state, PagingState | None)
    assert_type(result.applied, bool | None)
    assert_type(await result.trace(), Trace)


async def other_forms(response: Response) -> None:
    tuples = Result(response, row_form(tuple))
    assert_type(tuples.rows, list[tuple[Any, ...]])
    assert_type(await tuples.all(), list[tuple[Any, ...]])
    dicts = Result(response, row_form(dict))
    assert_type(dicts.one(), dict[str, Any] | None)
    assert_type([row async for row in dicts], list[dict[str, Any]])


def rows_are_tuples(result: Result[Row]) -> Result[tuple[Any, ...]]:
    return result
