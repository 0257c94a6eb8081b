"""Rows that are walked over and not decoded: parts of pages, and the run of equal rows at their end."""

from __future__ import annotations

import pytest

from tests.codecs.helpers import IMPLS, columns
from triocql._impl import Impl
from triocql.codecs.registry import Registry
from triocql.codecs.rows import Page
from triocql.errors import DecodeError

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)


def page_of(impl: Impl, *rows: tuple[int | None, str | None]) -> Page:
    cols = columns("int", "text")
    bind = Registry().binder(cols).bind
    body = b"".join(bind(row)[2:] for row in rows)
    return Registry(impl=impl).plan(cols).page(body, 0, len(rows))


@EVERY_IMPL
def test_parts_of_a_page(impl: Impl) -> None:
    rows = [(1, "a"), (None, "b"), (3, None), (4, "")]
    page = page_of(impl, *rows)
    for count in range(5):
        assert page.first(count).rows() == rows[:count]
        assert page.after(count).rows() == rows[count:]
    assert page.first(9).row_count == page.after(-1).row_count == 4
    assert page.first(-1).row_count == page.after(9).row_count == 0


@EVERY_IMPL
def test_the_last_run(impl: Impl) -> None:
    page = page_of(impl, (1, "a"), (2, "b"), (2, "b"), (2, "c"))
    assert page.last_run((0,)) == (3, (b"\0\0\0\2",), (b"\0\0\0\1",))
    assert page.last_run((1, 0)) == (1, (b"c", b"\0\0\0\2"), (b"b", b"\0\0\0\2"))
    assert page.after(1).last_run((0,)) == (3, (b"\0\0\0\2",), None)
    assert page_of(impl, (None, ""), (None, None), (None, None)).last_run((0, 1)) == (
        2,
        (None, None),
        (None, b""),
    )


@EVERY_IMPL
def test_what_is_no_run(impl: Impl) -> None:
    page = page_of(impl, (1, "a"))
    for indexes in ((2,), (-1,), (0, 0)):
        with pytest.raises(ValueError, match="no columns"):
            page.last_run(indexes)
    with pytest.raises(ValueError, match="no row"):
        page.first(0).last_run((0,))


def test_what_is_no_number_is_no_column() -> None:
    class Other(int):
        def __index__(self) -> int:
            return 10**9

    class Alike:
        def __eq__(self, other: object) -> bool:
            return other == 0

        def __hash__(self) -> int:
            return hash(0)

        def __index__(self) -> int:
            return 10**9

    page = page_of("cython", (1, "a"))
    for index in (Other(0), Alike()):
        with pytest.raises(TypeError, match="an int"):
            page.last_run((index,))  # type: ignore[arg-type]


@EVERY_IMPL
def test_a_page_that_is_cut_off(impl: Impl) -> None:
    whole = page_of(impl, (1, "a" * 30), (2, "b"))
    for size in range(16, len(whole.body)):
        page = whole.plan.page(whole.body[:size], 0, 2)
        with pytest.raises(DecodeError, match="cut off"):
            page.last_run((0,))
        with pytest.raises(DecodeError, match="cut off"):
            page.after(2)
