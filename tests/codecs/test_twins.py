"""Both implementations have the same verdict on any page: the same rows, or the same error."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs.registry import Registry
from triocql.errors import DecodeError

from .golden import PAGES, GoldenPage
from .helpers import IMPLS, columns
from .strategies import types, values
from .test_server_values import BODY, COLUMNS, OFFSET

if TYPE_CHECKING:
    from triocql._impl import Impl
    from triocql.protocol.types import ColumnSpec

REGISTRIES = {impl: Registry(impl=impl) for impl in IMPLS}
MUTATIONS = 20_000


def verdict(impl: Impl, spec: tuple[ColumnSpec, ...], body: bytes, row_count: int) -> str:
    """Return the rows as text (so that NaN equals itself), or the error; only a DecodeError may escape."""
    try:
        return repr(REGISTRIES[impl].plan(spec).page(body, 0, row_count).rows())
    except DecodeError as error:
        return f"DecodeError: {error}"


def same_verdict(spec: tuple[ColumnSpec, ...], body: bytes, row_count: int) -> str:
    first, *others = [verdict(impl, spec, body, row_count) for impl in IMPLS]
    assert all(other == first for other in others)
    return first


def mutated(chance: random.Random, body: bytes) -> bytes:
    """Return a page with a few bytes changed, left out, doubled, or set to what is awkward as a length."""
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))])
            case 2:
                del changed[at : at + chance.randrange(1, 9)]
            case 3:
                changed[at:at] = changed[at : at + chance.randrange(1, 9)]
            case _:
                changed[at : at + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1")
                )
    return bytes(changed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_golden_pages(page: GoldenPage) -> None:
    for impl in IMPLS:
        assert verdict(impl, page.columns, page.body, page.row_count) == repr(page.rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_truncation(page: GoldenPage) -> None:
    for end in range(len(page.body)):
        assert same_verdict(page.columns, page.body[:end], page.row_count).startswith("DecodeError")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mutations(page: GoldenPage) -> None:
    chance = random.Random(page.name)
    for _ in range(MUTATIONS // len(PAGES)):
        same_verdict(
            page.columns, mutated(chance, page.body), page.row_count + chance.choice((0, 0, 0, -1, 1))
        )


def test_mutations_of_what_a_node_has_written() -> None:
    chance = random.Random(5)
    body = BODY[OFFSET:]
    for _ in range(MUTATIONS // len(PAGES)):
        same_verdict(COLUMNS, mutated(chance, body), 1)
    for end in range(0, len(body), 3):
        assert same_verdict(COLUMNS, body[:end], 1).startswith("DecodeError")


@given(types, st.binary(max_size=60))
def test_any_bytes_for_any_type(cql_type: Any, raw: bytes) -> None:
    same_verdict(columns(cql_type), len(raw).to_bytes(4) + raw, 1)


@given(types.flatmap(lambda each: st.tuples(st.just(each), values(each))), st.randoms())
def test_mutations_of_any_value(pair: tuple[Any, Any], chance: random.Random) -> None:
    spec = columns(pair[0])
    raw = REGISTRIES["python"].binder(spec).encode(0, pair[1])
    assert raw is not None
    changed = mutated(chance, raw)
    same_verdict(spec, len(changed).to_bytes(4) + changed, 1)


@given(types, st.data())
def test_any_value_for_any_type(cql_type: Any, data: st.DataObject) -> None:
    """Binding a value that is meant for another type."""
    value = data.draw(types.flatmap(values))
    outcomes = set()
    for registry in REGISTRIES.values():
        try:
            outcomes.add(repr(registry.binder(columns(cql_type)).bind((value,))))
        except (TypeError, ValueError) as error:
            outcomes.add(f"{type(error).__name__}: {error}")
    assert len(outcomes) == 1
