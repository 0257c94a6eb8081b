from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.errors import PagingStateMismatch
from triocql.statements.paging import PagingState, fingerprint

ONE = fingerprint(b"SELECT * FROM t WHERE id = ?", b"\x00\x01")


@given(st.binary(max_size=100))
def test_gives_back_what_was_wrapped(raw: bytes) -> None:
    assert PagingState.wrap(raw, ONE).unwrap(ONE) == raw


def test_is_bytes_and_survives_what_bytes_survive() -> None:
    state = PagingState.wrap(b"here", ONE)
    assert isinstance(state, bytes)
    assert PagingState.fromhex(state.hex()).unwrap(ONE) == b"here"
    assert PagingState(bytes(state)).unwrap(ONE) == b"here"
    assert pickle.loads(pickle.dumps(state)).unwrap(ONE) == b"here"


def test_another_statement_or_other_values_refuse_it() -> None:
    state = PagingState.wrap(b"here", ONE)
    for other in (
        fingerprint(b"SELECT * FROM u WHERE id = ?", b"\x00\x01"),
        fingerprint(b"SELECT * FROM t WHERE id = ?", b"\x00\x02"),
        fingerprint(b"SELECT * FROM t WHERE id = ?"),
    ):
        with pytest.raises(PagingStateMismatch, match="another statement"):
            state.unwrap(other)


@given(st.binary(max_size=40))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PagingStateMismatch):
        PagingState(data).unwrap(ONE)


@given(st.integers(0, 12), st.integers(1, 255))
def test_damage_is_refused(place: int, mask: int) -> None:
    state = bytearray(PagingState.wrap(b"here", ONE))
    state[place] ^= mask
    with pytest.raises(PagingStateMismatch):
        PagingState(state).unwrap(ONE)


def test_every_truncation_is_refused() -> None:
    state = PagingState.wrap(b"here", ONE)
    for length in range(len(state)):
        with pytest.raises(PagingStateMismatch):
            PagingState(state[:length]).unwrap(ONE)


def test_the_parts_of_a_fingerprint_do_not_run_together() -> None:
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")
    assert fingerprint(b"a") == fingerprint(b"a")
