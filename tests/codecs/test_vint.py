from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs.vint import pack_signed_vint, pack_unsigned_vint, read_signed_vint, read_unsigned_vint
from triocql.errors import DecodeError


@given(st.integers(0, 2**64 - 1))
def test_unsigned(value: int) -> None:
    raw = pack_unsigned_vint(value)
    assert read_unsigned_vint(raw + b"\xff", 0) == (value, len(raw))
    assert len(raw) == max(1, min(9, -(-value.bit_length() // 7)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed(value: int) -> None:
    raw = pack_signed_vint(value)
    assert read_signed_vint(b"\x00" + raw, 1) == (value, len(raw) + 1)


@pytest.mark.parametrize(
    ("value", "raw"), [(0, "00"), (127, "7f"), (128, "8080"), (16383, "bfff"), (2**56, "ff0100000000000000")]
)
def test_examples(value: int, raw: str) -> None:
    assert pack_unsigned_vint(value).hex() == raw


@pytest.mark.parametrize("raw", ["", "80", "ff" * 8])
def test_cut_off(raw: str) -> None:
    with pytest.raises(DecodeError):
        read_unsigned_vint(bytes.fromhex(raw), 0)
