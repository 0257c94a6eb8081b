"""What a server describes and sends is never made into much more than the bytes that say it, nor kept for long."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.memory import traced
from triocql.codecs.cache import Cache, weight_of_columns
from triocql.codecs.udt import user_value_class
from triocql.errors import DecodeError, LimitExceeded
from triocql.protocol.responses import RowsHeader, read_rows_header
from triocql.protocol.types import ColumnSpec, ListType, NativeType, TupleType, UserType
from triocql.results.row import row_class

from .helpers import columns, decode

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

INT = NativeType("int")
WIDE_TUPLE = TupleType((INT,) * 65_535)
WIDE_UDT = UserType("ks", "wide", tuple((f"f{number}", INT) for number in range(9_000)))


def wide_rows(count: int) -> RowsHeader:
    """Return what precedes no rows of so many columns, as it is read."""
    names = b"".join(struct.pack(">H7sH", 7, b"%07d" % number, 9) for number in range(count))
    head = struct.pack(">iiH2sH1s", 1, count, 2, b"ks", 1, b"t")
    return read_rows_header(head + names + bytes(4), 0, 4)


@pytest.mark.parametrize("cql_type", [WIDE_TUPLE, WIDE_UDT], ids=["tuple", "udt"])
@pytest.mark.parametrize("element", [b"", b"\xff\xff\xff\xff"], ids=["nothing", "null"])
def test_elements_that_are_missing_are_bounded(registry: Registry, cql_type: Any, element: bytes) -> None:
    size = 4096
    raw = size.to_bytes(4) + (len(element).to_bytes(4) + element) * size
    plan = registry.plan(columns(ListType(cql_type)))
    page = plan.page(len(raw).to_bytes(4) + raw, 0, 1)
    with traced() as memory, pytest.raises(DecodeError, match="lack millions of elements"):
        page.rows()
    assert memory.highest < 100_000_000  # it was 2 GB


def test_each_page_may_have_values_that_are_older_than_their_type(registry: Registry) -> None:
    """As after many a field was added to a user-defined type."""
    cql_type = UserType("ks", "grown", tuple((f"f{number}", INT) for number in range(300)))
    value = b"\0\0\0\4\0\0\0\7"
    body = (len(value).to_bytes(4) + value) * 2000
    for _ in range(20):
        rows = registry.plan(columns(cql_type)).page(body, 0, 2000).rows()
        assert all(row[0] == (7,) + (None,) * 299 for row in rows[::100])


def test_a_value_of_no_bytes_lacks_all_its_fields(registry: Registry) -> None:
    assert decode(registry, WIDE_TUPLE, b"") == (None,) * 65_535


def test_columns_are_bounded() -> None:
    assert wide_rows(65_535).column_count == 65_535
    with pytest.raises(LimitExceeded, match="65536 columns or bind markers are announced"):
        wide_rows(65_536)


def test_plans_are_kept_by_their_size(registry: Registry) -> None:
    small = columns("int", "text")
    plan = registry.plan(small)
    registry._plans._by_value._limit = registry._binders._by_value._limit = 10_000
    for number in range(20):
        wide = tuple(ColumnSpec("ks", f"t{number}", f"c{each}", INT) for each in range(1000))
        assert registry.plan(wide).names == tuple(f"c{each}" for each in range(1000))
        assert registry.binder(wide).columns == wide
    assert len(registry._plans) == len(registry._binders) == 9
    assert len(registry._plans._by_identity) == 9
    assert registry.plan(small) is not plan


def test_what_is_very_wide_is_not_kept(registry: Registry) -> None:
    small = columns("int", "text")
    plan = registry.plan(small)
    wide = wide_rows(13_000).metadata
    assert wide is not None
    for _ in range(2):
        assert len(registry.plan(wide.columns).names) == 13_000
        assert len(registry.plan(columns(ListType(WIDE_TUPLE))).names) == 1
    assert len(registry._plans) == 1
    assert registry.plan(small) is plan


def test_columns_of_one_type_share_what_reads_them(registry: Registry) -> None:
    plan = registry.plan(columns("int", "list<int>", "int", "list<int>"))
    assert plan.nodes[0] is plan.nodes[2]
    assert plan.nodes[1] is plan.nodes[3]


# --- The cache ---------------------------------------------------------------------------------------------------


def test_the_oldest_is_dropped_first() -> None:
    dropped: list[str] = []
    cache: Cache[str, int] = Cache(limit=16 * 26, on_dropped=dropped.append)
    for number in range(10):
        assert cache.keep(f"k{number}", number, 10)
    assert [cache.get(f"k{number}") for number in range(10)] == list(range(10))
    for number in range(10, 20):
        cache.keep(f"k{number}", number, 36)
    assert dropped == [f"k{number}" for number in range(len(dropped))]
    assert len(cache) == 20 - len(dropped)
    assert cache.get("k19") == 19
    assert cache.get("k0") is None


def test_a_heavy_one_is_not_kept() -> None:
    cache: Cache[str, int] = Cache(limit=1000)
    cache.keep("light", 1, 0)
    assert not cache.keep("heavy", 2, 110)
    assert (cache.get("light"), cache.get("heavy")) == (1, None)


def test_the_first_of_two_for_one_key_is_kept() -> None:
    cache: Cache[str, int] = Cache()
    assert cache.keep("key", 1, 1)
    assert not cache.keep("key", 2, 1)
    assert cache.get("key") == 1


def test_types_and_long_names_count() -> None:
    plain = ColumnSpec("ks", "t", "c", INT)
    assert weight_of_columns([plain, plain]) == 2
    assert weight_of_columns([plain._replace(name="c" * 6400)]) == 101
    assert weight_of_columns([plain._replace(type=WIDE_TUPLE)]) == 65_536
    assert weight_of_columns([plain._replace(type=ListType(WIDE_UDT))]) == 2 + 2 * 9_000


def test_classes_are_made_once() -> None:
    assert user_value_class("point", ("x", "y")) is user_value_class("point", ("x", "y"))
    assert row_class(("x", "y")) is row_class(("x", "y"))
