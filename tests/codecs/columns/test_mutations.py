"""Whatever the bytes of a page are: they are valid, or refused; never is anything outside of the page read.

The values are compared, too: compiled and pure have the same verdict. Run under AddressSanitizer by `make asan`.
"""

from __future__ import annotations

import random
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
