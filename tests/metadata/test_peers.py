"""What tables say of nodes: what can be used of a row, and what is told of one that cannot."""

from __future__ import annotations

import uuid
from ipaddress import ip_address
from typing import Any

import pytest

from triocql.abc import Address
from triocql.metadata.peers import UnusableTable, read_cluster

REACHED = Address("10.0.0.1", 9142)
LOCAL: dict[str, Any] = {
    "host_id": uuid.UUID(int=1),
    "rpc_address": ip_address("10.0.0.1"),
    "rpc_port": 9142,
    "cluster_name": "c",
    "partitioner": "p",
    "data_center": "dc1",
    "rack": "r1",
    "release_version": "5.0.6",
    "tokens": {"7", "-3"},
}


def peer(number: int, **columns: Any) -> dict[str, Any]:
    """Return a row of `system.peers_v2`; a column that is None is there, and null."""
    address = ip_address(f"10.0.0.{number}")
    usual = {
        "peer": address,
        "host_id": uuid.UUID(int=number),
        "native_address": address,
        "native_port": 9142,
    }
    return {
        **usual,
        "data_center": "dc1",
        "rack": "r1",
        "release_version": "5.0.6",
        "tokens": {"1"},
        **columns,
    }


def told(*rows: dict[str, Any], local: dict[str, Any] = LOCAL, reached: Address = REACHED) -> Any:
    return read_cluster([local], rows, reached)


def test_a_node_and_its_peers() -> None:
    facts = told(peer(2), peer(3, rack=None, data_center=7))
    assert (facts.name, facts.partitioner, facts.faults) == ("c", "p", ())
    assert facts.local.told == REACHED
    assert facts.local.tokens == ("-3", "7")
    second, third = facts.peers
    assert (second.told, second.rack, second.release) == (Address("10.0.0.2", 9142), "r1", "5.0.6")
    assert (third.rack, third.data_centre) == (None, None)


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"host_id": None}, "it has no host_id"),
        ({"host_id": "text"}, "it has no host_id"),
        ({"native_address": None}, "it has no address for clients"),
        ({"native_address": "db.example"}, "it has no address for clients"),
        ({"native_address": "10.0.0.2"}, "it has no address for clients"),
        ({"native_address": b"\x0a\0\0\x02"}, "it has no address for clients"),
        ({"native_port": -1}, "its port is -1"),
        ({"native_port": 0}, "its port is 0"),
        ({"native_port": 65_536}, "its port is 65536"),
        ({"native_port": "9042"}, "its port is 9042"),
        ({"host_id": uuid.UUID(int=1)}, "it is the node itself, among its peers"),
        ({"native_address": ip_address("10.0.0.1")}, "10.0.0.1"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_told_of(columns: dict[str, Any], fault: str) -> None:
    facts = told(peer(2, **columns), peer(3))
    assert [each.told.host for each in facts.peers] == ["10.0.0.3"]
    (found,) = facts.faults
    assert found.node == "10.0.0.2"
    assert fault in found.what


def test_of_two_rows_with_one_host_id_the_first_counts() -> None:
    facts = told(peer(2), peer(3, host_id=uuid.UUID(int=2)))
    assert [each.told.host for each in facts.peers] == ["10.0.0.2"]
    assert [fault.node for fault in facts.faults] == ["10.0.0.3"]


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_node_that_listens_everywhere_is_dialled_where_its_peers_do(everywhere: str) -> None:
    facts = told(peer(2, native_address=ip_address(everywhere)))
    assert facts.peers[0].told == Address("10.0.0.2", 9142)
    assert everywhere in facts.faults[0].what
    nowhere = told(peer(2, native_address=ip_address(everywhere), peer=None))
    assert nowhere.peers == ()
    assert nowhere.faults[0].node == "without an address"


def test_without_a_column_for_it_the_port_is_that_of_the_node_that_tells() -> None:
    row = peer(2)
    del row["native_port"], row["native_address"]
    row["rpc_address"] = ip_address("fd00::2")
    local = {name: value for name, value in LOCAL.items() if name != "rpc_port"}
    assert told(row, local=local).peers[0].told == Address("fd00::2", 9142)
    socket = told(row, local=local, reached=Address("/run/cql.sock", 0))
    assert socket.peers[0].told.port == 9042


def test_the_node_that_tells_needs_no_address() -> None:
    local = {**LOCAL, "rpc_address": None}
    assert told(local=local).local.told == REACHED
    assert told(local=local).faults == ()


def test_tables_that_say_nothing() -> None:
    with pytest.raises(UnusableTable, match=r"system\.local is empty"):
        read_cluster([], [], REACHED)
    with pytest.raises(UnusableTable, match="no host_id"):
        told(local={**LOCAL, "host_id": None})


@pytest.mark.parametrize("tokens", [None, "text", 7, {1, 2}, ["1", "2"]])
def test_tokens_of_another_type(tokens: Any) -> None:
    expected = ("1", "2") if isinstance(tokens, (set, list)) else ()
    assert told(peer(2, tokens=tokens)).peers[0].tokens == expected
