from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory import traced
from triocql.errors import LimitExceeded, MissingExtraError, OptionError, ProtocolError
from triocql.protocol.compression import Algorithm, block_compression, check_algorithm, frame_compression

algorithms = pytest.mark.parametrize("algorithm", ["lz4", "snappy"])


@algorithms
@given(body=st.binary(max_size=2000))
def test_bodies_come_back(algorithm: Algorithm, body: bytes) -> None:
    codec = frame_compression(algorithm, 2000)
    assert codec.decompress(codec.compress(body)) == body


@given(data=st.binary(min_size=1, max_size=2000))
def test_blocks_come_back(data: bytes) -> None:
    codec = block_compression()
    assert codec.decompress(codec.compress(memoryview(data)), len(data)) == data


@algorithms
@given(noise=st.binary(max_size=60), position=st.integers(0, 59), mask=st.integers(1, 255))
def test_corrupt_bodies_give_nothing_but_protocol_errors(
    algorithm: Algorithm, noise: bytes, position: int, mask: int
) -> None:
    codec = frame_compression(algorithm, 1000)
    damaged = bytearray(codec.compress(b"some text, some text, some other text" * 4))
    damaged[position % len(damaged)] ^= mask
    for body in (noise, bytes(damaged)):
        try:
            assert len(codec.decompress(body)) <= 1000
        except ProtocolError:
            continue


@algorithms
def test_every_truncation_is_refused(algorithm: Algorithm) -> None:
    codec = frame_compression(algorithm, 1000)
    packed = codec.compress(b"some text, some text, some other text" * 4)
    for end in range(len(packed)):
        with pytest.raises(ProtocolError):
            codec.decompress(packed[:end])


@algorithms
def test_what_is_over_the_limit_is_refused(algorithm: Algorithm) -> None:
    packed = frame_compression(algorithm, 1001).compress(bytes(1001))
    with pytest.raises(LimitExceeded, match="declares 1001 bytes; the limit is 1000"):
        frame_compression(algorithm, 1000).decompress(packed)


@pytest.mark.parametrize("size", [2**31 - 1, 200 * 1024 * 1024])
def test_an_lz4_body_cannot_declare_more_than_it_can_hold(size: int) -> None:
    body = size.to_bytes(4, "big") + block_compression().compress(b"twenty bytes of data")
    with traced() as memory, pytest.raises(ProtocolError):
        frame_compression("lz4", 256 * 1024 * 1024).decompress(body)
    assert memory.highest < 100_000


def test_a_snappy_body_cannot_declare_more_than_it_can_hold() -> None:
    codec = frame_compression("snappy", 256 * 1024 * 1024)
    packed = codec.compress(bytes(100_000))
    assert codec.decompress(packed) == bytes(100_000)
    assert 100_000 / len(packed) > 20  # what is allowed is not far from what there is
    size = 200 * 1024 * 1024
    declared = bytes((size >> shift & 0x7F) | 0x80 for shift in (0, 7, 14)) + bytes([size >> 21])
    with pytest.raises(ProtocolError, match="of Snappy cannot hold the 209715200 bytes"):
        codec.decompress(declared + packed[3:])


def test_a_snappy_body_has_its_size_in_at_most_five_bytes() -> None:
    with pytest.raises(ProtocolError, match="does not start with its size"):
        frame_compression("snappy", 1000).decompress(b"\xff" * 9)


def test_unknown_algorithms_are_named() -> None:
    with pytest.raises(OptionError, match="'zstd'; it can be 'lz4', 'snappy' or None"):
        check_algorithm("zstd")


def test_snappy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(MissingExtraError, match=r"pip install triocql\[snappy\]"):
        frame_compression("snappy", 1000)


def test_lz4_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an isolated subinterpreter."""
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(MissingExtraError, match=r"package lz4, which cannot be loaded here: .*lz4\.block"):
        check_algorithm("lz4")
