"""Whatever the bytes of a page are: they are valid, or refused; never is anything outside of the page read.

The values are compared, too: compiled and pure have the same verdict. Run under AddressSanitizer by `make asan`.
"""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tests.codecs.columns.reading import batch_of, columns_of, one, sized
from tests.codecs.golden import PAGES
from tests.codecs.helpers import IMPLS, columns
from tests.codecs.test_server_values import BODY, OFFSET
from tests.codecs.test_server_values import COLUMNS as SERVER_COLUMNS
from triocql._impl import Impl
from triocql.codecs.columns import odd
from triocql.codecs.registry import Registry
from triocql.errors import DecodeError
from triocql.protocol.types import ColumnSpec

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)
Body = tuple[tuple[ColumnSpec, ...], bytes, int]
BODIES: list[Body] = [(page.columns, page.body, page.row_count) for page in PAGES]
BODIES.append((SERVER_COLUMNS, BODY[OFFSET:], 1))


def verdict(impl: Impl, body: Body) -> Any:
    """Return the values, which Arrow itself has checked, as text, or the error: what is no number equals itself so."""
    columns, data, row_count = body
    try:
        resolved = Registry().plan(columns).columns
        return repr(columns_of(resolved, batch_of(impl, columns, data, row_count)))
    except DecodeError:
        return DecodeError


def same(columns: tuple[ColumnSpec, ...], data: bytes, row_count: int) -> Any:
    found = [verdict(impl, (columns, data, row_count)) for impl in IMPLS]
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize("body", BODIES, ids=[*(page.name for page in PAGES), "server"])
def test_every_truncation_is_refused(body: Body) -> None:
    columns, data, row_count = body
    for size in range(0, len(data), 1 + len(data) // 150):
        assert same(columns, data[:size], row_count) is DecodeError


HOW_OFTEN = pytest.mark.parametrize(
    "examples", [pytest.param(120, id="few"), pytest.param(20_000, id="many", marks=pytest.mark.long)]
)


@HOW_OFTEN
@pytest.mark.parametrize("body", BODIES, ids=[*(page.name for page in PAGES), "server"])
def test_every_mutation_is_valid_or_refused(body: Body, examples: int) -> None:
    columns, data, row_count = body
    chance = random.Random(14)
    refused = 0
    for _ in range(examples):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            mutated[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, mutated[at] ^ 1 << chance.randrange(8)))
        refused += same(columns, bytes(mutated), row_count) is DecodeError
    assert 0 < refused < examples


REFUSED = [
    ("int", b"\x01", odd.LENGTH),
    ("boolean", b"\x01\x01", odd.LENGTH),
    ("inet", b"\x01", odd.LENGTH),
    ("decimal", b"\x01", odd.LENGTH),
    ("time", (86_400_000_000_000).to_bytes(8), odd.TIME),
    ("time", b"\xff" * 8, odd.TIME),
    ("duration", b"\xf1\0\0\0\0\0\0", odd.DURATION),
    ("duration", b"\xf0", odd.VINT),
    ("duration", b"\0\0", odd.VINT),
    ("ascii", "é".encode(), odd.ASCII),
    ("text", b"a\xff", "the bytes are not valid utf-8 at position 1"),
    ("text", b"\xed\xa0\x80", "the bytes are not valid utf-8 at position 0"),
    ("list<int>", b"\0\0", odd.LENGTH),
    ("list<int>", b"\xff" * 4, odd.COUNT),
    ("list<int>", b"\0\0\0\1", odd.COUNT),
    ("list<int>", b"\0\0\0\1\0\0\0\4\0\0\0", odd.OVERRUN),
    ("list<int>", b"\0\0\0\0\0", odd.REST),
    ("map<int, int>", b"\0\0\0\1" + sized(None) * 2, odd.KEY),
    ("map<int, int>", b"\0\0\0\1" + sized(b"") + sized(None), odd.KEY),
    ("map<int, int>", b"\0\0\0\1" + sized(None), odd.COUNT),
    ("tuple<int, int>", b"\0\0\0", odd.OVERRUN),
    ("tuple<int>", sized(b"\0\0\0\1") + b"\0", odd.REST),
    ("vector<float, 2>", b"\0\0\0\0", odd.LENGTH),
    ("vector<text, 2>", b"\1", odd.LENGTH),
    ("vector<text, 2>", b"\2abc", odd.OVERRUN),
    ("vector<text, 2>", b"\0\0\0", odd.REST),
    ("list<frozen<tuple<int, text>>>", b"\0\0\0\1" + sized(sized(b"\1")), odd.LENGTH),
]


@EVERY_IMPL
@pytest.mark.parametrize(("cql_type", "raw", "reason"), REFUSED)
def test_refusals_name_row_and_column(impl: Impl, cql_type: str, raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as info:
        one(impl, columns(cql_type)[0], None, None, raw, None)
    assert str(info.value) == f"row 2, column 'c0' ({columns(cql_type)[0].type}) of ks.t: {reason}"


@EVERY_IMPL
@pytest.mark.parametrize("tail", [b"", b"\0\0", b"\0\0\0\5abc"])
def test_a_page_that_is_cut_off_names_the_place(impl: Impl, tail: bytes) -> None:
    body = sized(b"\0\0\0\1") * 3 + tail + b"" * 4
    with pytest.raises(
        DecodeError, match=r"row 1, column 'c1' \(text\) of ks.t: a value goes beyond its page"
    ):
        batch_of(impl, columns("int", "text"), body, 2)


@EVERY_IMPL
@pytest.mark.parametrize(
    "cql_type", ["vector<float, 65535>", "vector<text, 65535>", "tuple<" + "int, " * 999 + "int>"]
)
def test_null_cannot_take_any_amount_of_memory(
    impl: Impl, cql_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of null would stand for very many elements."""
    monkeypatch.setattr(odd, "MOST_PADDING", 1 << 19)
    with pytest.raises(DecodeError, match="values lack millions of elements"):
        one(impl, columns(cql_type)[0], *[None] * 200)


@EVERY_IMPL
def test_a_number_of_rows_that_no_page_can_have_is_refused_before_anything_is_allocated(impl: Impl) -> None:
    with pytest.raises(DecodeError, match="cannot hold"):
        batch_of(impl, columns("int"), b"\0" * 8, 2**40)


def sent(*rows: tuple[bytes | None, ...]) -> bytes:
    return b"".join(sized(cell) for row in rows for cell in row)


LATE, LONG, GOOD = (86_400_000_000_000).to_bytes(8), b"\0" * 9, b"\0" * 8
CUT_LIST = b"\0\0\0\1\0\0\0\4\0\0\0"
BAD_KEYS = b"\0\0\0\1" + sized(None) * 2
PLACES = [
    # A later column is refused in an earlier row.
    (("int", "text"), [(b"\0", b"x"), (b"\0\0\0\0", b"\xff")], 0, "c0", odd.LENGTH),
    (("int", "text"), [(b"\0" * 4, b"\xff"), (b"\0", b"x")], 0, "c1", "valid utf-8 at position 0"),
    # One kernel has two reasons to refuse, of which it finds the later first.
    (("time",), [(LATE,), (LONG,)], 0, "c0", odd.TIME),
    (("list<int>",), [(b"\0\0\0\1" + sized(b"\0"),), (CUT_LIST,)], 0, "c0", odd.LENGTH),
    (("map<int, int>",), [(BAD_KEYS,), (CUT_LIST,)], 0, "c0", odd.KEY),
    # What is refused by Python, and what is not.
    (("decimal", "int"), [(b"\0", b"\0" * 4), (b"\0" * 5, b"\0")], 0, "c0", odd.LENGTH),
    (("decimal", "int"), [(b"\0" * 5, b"\0"), (b"\0", b"\0" * 4)], 0, "c1", odd.LENGTH),
    # Beyond the first block.
    (("int", "time"), [(b"\0" * 4, GOOD)] * 700 + [(b"\0" * 4, LATE)] * 2, 700, "c1", odd.TIME),
    (("time", "int"), [(GOOD, b"\0" * 4)] * 700 + [(GOOD, b"\0"), (LATE, None)], 700, "c1", odd.LENGTH),
]


@EVERY_IMPL
@pytest.mark.parametrize(("types", "rows", "row", "column", "reason"), PLACES)
def test_of_several_bad_values_the_first_of_the_page_is_named(
    impl: Impl, types: tuple[str, ...], rows: Any, row: int, column: str, reason: str
) -> None:
    """As rows are read; columns are not filled in this order."""
    with pytest.raises(DecodeError, match=rf"^row {row}, column '{column}' .*{re.escape(reason)}"):
        batch_of(impl, columns(*types), sent(*rows), len(rows))


@EVERY_IMPL
def test_a_bad_value_before_the_end_of_a_page_that_is_cut_off_is_named(impl: Impl) -> None:
    body = sent((b"\0" * 4, b"x"), (b"\0", b"x"), (b"\0" * 4, b"x"))
    for size in (len(body) - 1, len(body) - 5, len(body) - 8):
        with pytest.raises(DecodeError, match=r"^row 1, column 'c0' "):
            batch_of(impl, columns("int", "text"), body[:size], 3)


@EVERY_IMPL
def test_a_page_of_equal_rows_that_is_cut_off_names_the_place(impl: Impl) -> None:
    body = sent(*[(b"\0" * 4, GOOD)] * 600)
    for size, column in ((len(body) - 1, "c1"), (len(body) - 11, "c1"), (len(body) - 13, "c0")):
        with pytest.raises(DecodeError, match=rf"^row 599, column '{column}' .*{odd.PAGE_END}"):
            batch_of(impl, columns("int", "time"), body[:size], 600)


def refusal(impl: Impl, columns: tuple[ColumnSpec, ...], data: bytes, row_count: int) -> str:
    try:
        batch_of(impl, columns, data, row_count)
    except DecodeError as error:
        return str(error).partition(": ")[0]
    return ""


@pytest.mark.skipif(len(IMPLS) < 2, reason="there is nothing to compare with")
@pytest.mark.parametrize("body", BODIES, ids=[*(page.name for page in PAGES), "server"])
def test_both_twins_name_the_same_value_of_a_page_with_many_that_are_bad(body: Body) -> None:
    columns, data, row_count = body
    columns = Registry().plan(columns).columns
    chance = random.Random(15)
    for _ in range(60):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 12)):
            mutated[chance.randrange(len(data))] = chance.choice((0, 1, 4, 0x7F, 0xFF))
        found = {refusal(impl, columns, bytes(mutated), row_count) for impl in IMPLS}
        assert len(found) == 1


@EVERY_IMPL
def test_what_null_stands_for_is_counted_in_the_order_of_the_page(
    impl: Impl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(odd, "MOST_PADDING", 100_000)
    kinds = ("vector<float, 100>", "vector<text, 50>", "int")
    body = sent(*[(None, None, b"\0" * 4)] * 1000)
    with pytest.raises(DecodeError, match=r"^row (\d+), column 'c(\d)'.*values lack") as info:
        batch_of(impl, columns(*kinds), body, 1000)
    # A row takes 800 and 400 bytes; the page itself pays for four times what it has.
    assert str(info.value).startswith(f"row {(100_000 + 4 * len(body)) // 1200}, column 'c1'")
