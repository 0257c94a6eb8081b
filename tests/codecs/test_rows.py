from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from triocql.errors import DecodeError
from triocql.protocol.types import ColumnSpec, NativeType

from .helpers import columns

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

TYPES = columns("int", "text", "bigint", "uuid", "boolean")
ROWS = [(i, f"row {i}", i * 10**10, None, i % 2 == 0) for i in range(10)]


class Named(tuple[Any, ...]):
    __slots__ = ()

    @property
    def number(self) -> int:
        return int(self[0])


class Open(tuple[Any, ...]):
    """Without slots: instances have a dict."""


def body_of(registry: Registry, spec: tuple[ColumnSpec, ...], rows: list[tuple[Any, ...]]) -> bytes:
    binder = registry.binder(spec)
    return b"".join(binder.bind(row)[2:] for row in rows)


@pytest.fixture
def body(registry: Registry) -> bytes:
    return body_of(registry, TYPES, ROWS)


def test_rows(registry: Registry, body: bytes) -> None:
    plan = registry.plan(TYPES)
    page = plan.page(b"before" + body, 6, len(ROWS))
    assert plan.columns == TYPES
    assert plan.names == ("c0", "c1", "c2", "c3", "c4")
    assert (page.plan, page.row_count) == (plan, 10)
    assert page.rows() == ROWS
    assert page.rows() == ROWS
    assert [type(row) for row in page.rows()] == [tuple] * 10


def test_row_classes(registry: Registry, body: bytes) -> None:
    page = registry.plan(TYPES).page(body, 0, len(ROWS))
    for cls in (Named, Open):
        rows = page.rows(cls)
        assert rows == ROWS
        assert {type(row) for row in rows} == {cls}
    assert page.rows(Named)[3].number == 3
    wrong: Any
    for wrong in (list, object, 5):
        with pytest.raises(TypeError):
            page.rows(wrong)


def test_dicts(registry: Registry, body: bytes) -> None:
    page = registry.plan(TYPES).page(body, 0, len(ROWS))
    assert page.rows(dict) == [dict(zip(("c0", "c1", "c2", "c3", "c4"), row, strict=True)) for row in ROWS]


def test_a_cursor_reads_in_slices(registry: Registry, body: bytes) -> None:
    cursor = registry.plan(TYPES).page(body, 0, len(ROWS)).cursor()
    assert cursor.take(3) == ROWS[:3]
    assert cursor.take(0) == []
    assert cursor.take(-1) == []
    assert cursor.take(4, Named) == ROWS[3:7]
    assert cursor.take(100) == ROWS[7:]
    assert cursor.take(100) == []


def test_an_empty_page(registry: Registry) -> None:
    for spec in (TYPES, ()):
        page = registry.plan(spec).page(b"head", 4, 0)
        assert page.rows() == []
        assert page.rows(dict) == []
        assert page.cursor().take(5) == []


def test_nulls_among_columns_of_fixed_size(registry: Registry) -> None:
    spec = columns("int", "bigint", "uuid", "timestamp", "boolean")
    rows: list[tuple[Any, ...]] = [(1, None, None, None, True), (None,) * 5, (1, 2, None, None, False)]
    assert registry.plan(spec).page(body_of(registry, spec, rows), 0, 3).rows() == rows


def test_every_negative_length_is_null(registry: Registry) -> None:
    spec = columns("int", "text")
    assert registry.plan(spec).page(b"\xff\xff\xff\xfe\x80\0\0\0", 0, 1).rows() == [(None, None)]


@pytest.mark.parametrize("row_count", [-1, 11, 2**31 - 1])
def test_more_rows_than_the_page_can_hold(registry: Registry, row_count: int) -> None:
    spec = columns("int")
    with pytest.raises(DecodeError, match=f"40 bytes cannot hold {row_count} rows of 1 columns"):
        registry.plan(spec).page(b"\0" * 44, 4, row_count)
    with pytest.raises(DecodeError, match="cannot hold"):
        registry.plan(()).page(b"", 0, 2**31 - 1)
    with pytest.raises(DecodeError, match="cannot hold"):
        registry.plan(spec).page(b"", 5, 0)


def test_a_page_that_is_cut_off(registry: Registry) -> None:
    spec = columns("int", "text")
    body = body_of(registry, spec, [(1, "abc"), (2, "def")])
    for end in range(16, len(body)):
        page = registry.plan(spec).page(body[:end], 0, 2)
        with pytest.raises(DecodeError, match=r"row 1, column 'c[01]'"):
            page.rows()


def test_what_follows_the_last_row_is_ignored(registry: Registry, body: bytes) -> None:
    """Native protocol v5, section 1: a body may hold more than is described."""
    assert registry.plan(TYPES).page(body + b"more", 0, len(ROWS)).rows() == ROWS


def test_the_same_rows_by_another_plan(registry: Registry, body: bytes) -> None:
    page = registry.plan(TYPES).page(body, 0, len(ROWS))
    other = registry.plan(columns(*(["blob"] * len(TYPES))))
    assert page.read_by(other).plan is other
    assert page.read_by(other).rows()[0][0] == bytes(4)
    assert page.read_by(page.plan).rows() == page.rows() == ROWS


def test_errors_name_row_and_column_and_leave_the_cursor(registry: Registry) -> None:
    spec = (
        ColumnSpec("shop", "users", "age", NativeType("int")),
        ColumnSpec("shop", "users", "n", NativeType("text")),
    )
    body = body_of(registry, spec, [(1, "x"), (2, "y")]) + b"\0\0\0\4\0\0\0\1\0\0\0\1\xff"
    cursor = registry.plan(spec).page(body, 0, 3).cursor()
    assert cursor.take(1) == [(1, "x")]
    for _ in range(2):
        with pytest.raises(DecodeError, match=r"row 2, column 'n' \(text\) of shop.users: .*not valid utf-8"):
            cursor.take(5)
    assert cursor.take(1) == [(2, "y")]


def test_bodies_are_bytes(registry: Registry) -> None:
    """Cells are slices of them, and a page keeps them."""
    page = registry.plan(columns("blob")).page(b"\0\0\0\1x", 0, 1)
    assert page.rows() == [(b"x",)]


def test_many_columns(registry: Registry) -> None:
    spec = columns(*["int", "text"] * 500)
    row = (1, "x") * 500
    assert registry.plan(spec).page(body_of(registry, spec, [row, row]), 0, 2).rows() == [row, row]
