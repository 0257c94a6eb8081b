"""What is read of a node's SUPPORTED, and what STARTUP says then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from triocql.abc import Address
from triocql.protocol.constants import Opcode
from triocql.protocol.features import Features, read_features
from triocql.protocol.handshake import Handshake
from triocql.protocol.login import Login
from triocql.protocol.reader import Reader
from triocql.protocol.requests import encode_string
from triocql.protocol.scylla import Sharding

HOST_ID = UUID(int=7)
SHARDS = {
    "SCYLLA_SHARD": ("3",),
    "SCYLLA_NR_SHARDS": ("12",),
    "SCYLLA_SHARDING_IGNORE_MSB": ("12",),
    "SCYLLA_SHARDING_ALGORITHM": ("biased-token-round-robin",),
    "SCYLLA_PARTITIONER": ("org.apache.cassandra.dht.Murmur3Partitioner",),
}
SCYLLA = {
    "CQL_VERSION": ("3.0.0",),
    "COMPRESSION": ("lz4", "snappy"),
    "CLIENT_OPTIONS": ("",),
    "SCYLLA_HOST_ID": (str(HOST_ID),),
    **SHARDS,
    "SCYLLA_SHARD_AWARE_PORT": ("19042",),
    "SCYLLA_SHARD_AWARE_PORT_SSL": ("19142",),
    "TABLETS_ROUTING_V1": ("",),
    "TABLETS_ROUTING_V2_EXPERIMENTAL": ("",),
    "SCYLLA_USE_METADATA_ID": ("",),
    "SCYLLA_LWT_ADD_METADATA_MARK": ("LWT_OPTIMIZATION_META_BIT_MASK=2147483648",),
    "SCYLLA_RATE_LIMIT_ERROR": ("ERROR_CODE=61440",),
}


def without(*names: str, **others: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: value for name, value in SCYLLA.items() if name not in names} | others


def started(supported: Mapping[str, tuple[str, ...]], version: int = 4, **options: Any) -> dict[str, str]:
    """Return the options of STARTUP after such a SUPPORTED."""
    handshake = Handshake(version, Login(None, Address("10.0.0.1", 9042)), **options)
    handshake.begin()
    parts = [len(supported).to_bytes(2, "big")]
    for name, values in supported.items():
        parts += [encode_string(name), len(values).to_bytes(2, "big"), *map(encode_string, values)]
    request = handshake.receive(Opcode.SUPPORTED, 0, b"".join(parts))
    assert request is not None
    reader = Reader(request.body)
    return {reader.string(): reader.string() for _ in range(reader.short())}


def test_all_that_a_node_of_scylladb_offers() -> None:
    """N1, N2, N5, N6."""
    features = read_features(SCYLLA, 4)
    assert features.is_scylla
    assert features.host_id == HOST_ID
    assert features.sharding == Sharding(3, 12, 12, 19042, 19142)
    assert (features.tablets, features.metadata_ids) == (1, True)
    assert (features.lwt_mask, features.rate_limit_code) == (1 << 31, 0xF000)
    assert not features.faults


def test_cassandra_offers_nothing_of_that() -> None:
    cassandra = {"CQL_VERSION": ("3.4.7",), "COMPRESSION": ("lz4",), "PROTOCOL_VERSIONS": ("5/v5",)}
    assert read_features(cassandra, 5) == Features(cassandra)
    assert started(cassandra, 5).keys() == {"CQL_VERSION", "DRIVER_NAME", "DRIVER_VERSION"}


def test_startup_says_what_is_used() -> None:
    """N4: each extension by its name, the hints about tablets in one version."""
    options = started(SCYLLA)
    assert {name: value for name, value in options.items() if name.startswith(("SCYLLA", "TABLETS"))} == {
        "SCYLLA_RATE_LIMIT_ERROR": "",
        "SCYLLA_LWT_ADD_METADATA_MARK": "LWT_OPTIMIZATION_META_BIT_MASK=2147483648",
        "SCYLLA_USE_METADATA_ID": "",
        "TABLETS_ROUTING_V1": "",
    }


@pytest.mark.parametrize("name", ["TABLETS_ROUTING_V2_EXPERIMENTAL", "TABLETS_ROUTING_V2_EXPERIMENTAL_V2"])
def test_the_second_version_of_tablets_takes_the_place_of_the_first_where_it_is_wanted(name: str) -> None:
    """V1."""
    supported = without("TABLETS_ROUTING_V2_EXPERIMENTAL", **{name: ("",)})
    options = started(supported, tablets_v2=True)
    assert name in options
    assert "TABLETS_ROUTING_V1" not in options
    assert name not in started(supported)


def test_a_second_version_by_another_name_is_another_one() -> None:
    supported = without("TABLETS_ROUTING_V2_EXPERIMENTAL", TABLETS_ROUTING_V2_EXPERIMENTAL_V3=("",))
    assert "TABLETS_ROUTING_V1" in started(supported, tablets_v2=True)


@pytest.mark.parametrize("version", [3, 5])
def test_what_changes_messages_is_for_v4_alone(version: int) -> None:
    features = read_features(SCYLLA, version, tablets_v2=True)
    assert (features.tablets, features.metadata_ids) == (0, False)
    assert features.sharding is not None
    assert "SCYLLA_USE_METADATA_ID" not in started(SCYLLA, version)


@pytest.mark.parametrize("name", SHARDS)
@pytest.mark.parametrize("values", [None, (), ("",), ("x",), ("-1",), ("1", "2"), ("9" * 5000,), ("\u0663",)])
def test_a_part_of_the_sharding_that_is_missing_or_nonsense_leaves_none(
    name: str, values: tuple[str, ...] | None
) -> None:
    """N5, 2: no shards then, and one fault."""
    supported = without(name) if values is None else SCYLLA | {name: values}
    features = read_features(supported, 4)
    assert features.sharding is None
    assert list(features.faults) == ["SCYLLA_NR_SHARDS"]
    assert len(features.faults["SCYLLA_NR_SHARDS"]) < 300
    assert features.tablets == 1


@pytest.mark.parametrize(
    ("name", "value", "is_read"),
    [
        ("SCYLLA_SHARD", "11", True),
        ("SCYLLA_SHARD", "12", False),
        ("SCYLLA_NR_SHARDS", "0", False),
        ("SCYLLA_NR_SHARDS", "3", False),
        ("SCYLLA_NR_SHARDS", "4", True),
        ("SCYLLA_NR_SHARDS", "65535", True),
        ("SCYLLA_NR_SHARDS", "65536", False),
        ("SCYLLA_SHARDING_IGNORE_MSB", "0", True),
        ("SCYLLA_SHARDING_IGNORE_MSB", "63", True),
        ("SCYLLA_SHARDING_IGNORE_MSB", "64", False),
        ("SCYLLA_SHARDING_ALGORITHM", "another", False),
        ("SCYLLA_PARTITIONER", "org.apache.cassandra.dht.RandomPartitioner", False),
    ],
)
def test_the_bounds_of_the_sharding(name: str, value: str, is_read: bool) -> None:
    features = read_features(SCYLLA | {name: (value,)}, 4)
    assert (features.sharding is not None) == is_read
    assert (not features.faults) == is_read


def test_a_node_without_shard_awareness_is_one_of_scylladb_all_the_same() -> None:
    """N2: and there is nothing to warn of."""
    features = read_features(without(*SHARDS, "SCYLLA_SHARD_AWARE_PORT", "SCYLLA_SHARD_AWARE_PORT_SSL"), 4)
    assert features.is_scylla
    assert features.sharding is None
    assert not features.faults
    assert read_features({"TABLETS_ROUTING_V1": ("",)}, 4).is_scylla


@pytest.mark.parametrize("value", ["0", "65536", "x", ""])
def test_a_port_that_is_none_is_left_out_and_the_shards_stay(value: str) -> None:
    features = read_features(SCYLLA | {"SCYLLA_SHARD_AWARE_PORT": (value,)}, 4)
    assert features.sharding == Sharding(3, 12, 12, None, 19142)
    assert list(features.faults) == ["SCYLLA_SHARD_AWARE_PORT"]


@pytest.mark.parametrize(
    ("name", "values", "attribute"),
    [
        ("SCYLLA_LWT_ADD_METADATA_MARK", (), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=0",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=-2147483648",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=4294967296",), "lwt_mask"),
        # Flags that mean something else already, alone and beside a free one.
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=1",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=2",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=4",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=8",), "lwt_mask"),
        ("SCYLLA_LWT_ADD_METADATA_MARK", ("LWT_OPTIMIZATION_META_BIT_MASK=2147483649",), "lwt_mask"),
        ("SCYLLA_RATE_LIMIT_ERROR", ("",), "rate_limit_code"),
        ("SCYLLA_RATE_LIMIT_ERROR", ("ERROR_CODE=x",), "rate_limit_code"),
        ("SCYLLA_RATE_LIMIT_ERROR", ("ERROR_CODE=2147483648",), "rate_limit_code"),
        ("SCYLLA_RATE_LIMIT_ERROR", ("ERROR_CODE=4097",), "rate_limit_code"),
        ("SCYLLA_HOST_ID", ("x",), "host_id"),
        ("SCYLLA_HOST_ID", (), "host_id"),
    ],
)
def test_an_extension_that_cannot_be_read_is_off(name: str, values: tuple[str, ...], attribute: str) -> None:
    """N4: and the others are on."""
    supported = SCYLLA | {name: values}
    features = read_features(supported, 4)
    assert not getattr(features, attribute)
    assert list(features.faults) == [name]
    options = started(supported)
    assert name not in options
    assert "SCYLLA_USE_METADATA_ID" in options


def test_another_mask_and_another_code() -> None:
    supported = SCYLLA | {
        "SCYLLA_LWT_ADD_METADATA_MARK": ("X=1", "LWT_OPTIMIZATION_META_BIT_MASK=16"),
        "SCYLLA_RATE_LIMIT_ERROR": ("ERROR_CODE=17185",),
    }
    features = read_features(supported, 4)
    assert (features.lwt_mask, features.rate_limit_code) == (16, 0x4321)
    assert started(supported)["SCYLLA_LWT_ADD_METADATA_MARK"] == "LWT_OPTIMIZATION_META_BIT_MASK=16"
