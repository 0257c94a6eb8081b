"""Tokens are those that real nodes make of the same keys, in all partitioners; both hashes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from triocql.codecs.registry import Registry
from triocql.metadata import murmur3 as pure
from triocql.metadata import partitioners
from triocql.metadata.partitioners import BYTE_ORDERED, MURMUR3, RANDOM, Partitioner, partitioner_of

from .keys import MURMUR3_TOKENS, PARTITIONERS, TABLES

HASHES = [pure.murmur3]
if find_spec("triocql.metadata._murmur3"):
    from triocql.metadata import _murmur3

    HASHES.append(_murmur3.murmur3)

TOLD: dict[str, Any] = json.loads(PARTITIONERS.read_text())


@pytest.mark.parametrize("murmur3", HASHES, ids=["python", "cython"][: len(HASHES)])
def test_tokens_of_keys_of_every_type_are_the_servers(
    murmur3: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioners, "murmur3", murmur3)
    registry = Registry()
    keys = [key for table in TABLES for key in table.keys(registry)]
    told = [token for (token,) in struct.iter_unpack(">q", MURMUR3_TOKENS.read_bytes())]
    assert len(told) == 10_000
    assert list(map(MURMUR3.token, keys)) == told


@pytest.mark.parametrize("partitioner", [RANDOM, BYTE_ORDERED], ids=repr)
def test_tokens_of_other_partitioners_are_the_servers(partitioner: Partitioner) -> None:
    registry = Registry()
    keys = [next(table.keys(registry)) for table in TABLES]
    told = map(partitioner.parse, TOLD[partitioner.name]["keys"])
    assert list(map(partitioner.token, keys)) == list(told)


@pytest.mark.parametrize("partitioner", [MURMUR3, RANDOM, BYTE_ORDERED], ids=repr)
def test_what_a_node_tells_of_itself_is_read(partitioner: Partitioner) -> None:
    told = TOLD[partitioner.name]
    assert partitioner_of(told["class"]) is partitioner
    assert partitioner.token(b"") == partitioner.parse(told["empty"]), "only a view has it"
    assert len(set(map(partitioner.parse, told["node"]))) == len(told["node"])


def test_the_least_number_is_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioners, "murmur3", lambda key: -(2**63))
    assert MURMUR3.token(b"key") == 2**63 - 1


@pytest.mark.parametrize(
    ("partitioner", "text"),
    [
        *(
            (MURMUR3, text)
            for text in ("", " 1", "1 ", "+1", "01", "1_0", "-", "0x1", "1.0", "٣", "ff", "None")
        ),
        *((MURMUR3, str(number)) for number in (2**63, -(2**63) - 1)),
        (MURMUR3, "1" * 5000),
        *((RANDOM, text) for text in ("-2", str(2**127 + 1), "x")),
        *((BYTE_ORDERED, text) for text in ("f", "0x", "fg", "f f0", " ff", "٣٣")),
    ],
)
def test_what_is_no_token_is_refused_and_cut_short(partitioner: Partitioner, text: str) -> None:
    with pytest.raises(ValueError, match="is no token") as refused:
        partitioner.parse(text)
    assert len(str(refused.value)) < 200


def test_the_ends_of_the_tokens() -> None:
    assert MURMUR3.parse(str(-(2**63))) == -(2**63)
    assert MURMUR3.parse(str(2**63 - 1)) == 2**63 - 1
    assert (RANDOM.parse("-1"), RANDOM.parse(str(2**127))) == (-1, 2**127)
    assert (BYTE_ORDERED.parse(""), BYTE_ORDERED.parse("0aFF")) == (b"", b"\x0a\xff")


def test_partitioners_by_the_names_of_their_classes() -> None:
    for name, partitioner in (("Murmur3", MURMUR3), ("Random", RANDOM), ("ByteOrdered", BYTE_ORDERED)):
        assert partitioner_of(f"{name}Partitioner") is partitioner
        assert partitioner_of(f"org.apache.cassandra.dht.{name}Partitioner") is partitioner
    for unknown in ("", ".", "Murmur3", "org.apache.cassandra.dht.OrderPreservingPartitioner", "x" * 100_000):
        assert partitioner_of(unknown) is None
