"""What each of the server's nodes says of itself, of the others, and of the keyspace."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.server.answers import UUID, Cell, Table, integer, number, short, text, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.benchmarks.server.answers import Tables

_RING = 2**64


class Place(NamedTuple):
    """One node of several, which have as many parts of the ring."""

    number: int
    nodes: int
    port: int

    @property
    def host(self) -> str:
        """The address it listens at."""
        return f"127.0.0.{self.number + 1}"

    def others(self) -> list[Place]:
        """Return the other nodes."""
        return [self._replace(number=each) for each in range(self.nodes) if each != self.number]

    def tables(self, replication: Mapping[str, str]) -> Tables:
        """Return the rows of its system tables."""
        keyspace = {
            "keyspace_name": text("bench"),
            "durable_writes": Cell(short(0x04), b"\1"),
            "replication": _text_map(replication),
        }
        local, others = _local(self), self.others()
        return {
            ("system", "local"): Table(local, [local]),
            ("system", "peers"): Table(_peer(self), [_peer(other) for other in others]),
            ("system", "peers_v2"): Table(_peer_v2(self), [_peer_v2(other) for other in others]),
            ("system_schema", "keyspaces"): Table(keyspace, [keyspace]),
        }


def _shared(place: Place) -> dict[str, Cell]:
    token = place.number * _RING // place.nodes - _RING // 2
    return {
        "data_center": text("datacenter1"),
        "rack": text("rack1"),
        "release_version": text("4.1.0"),
        "host_id": Cell(short(0x0C), UUID[:-1] + bytes([place.number])),
        "schema_version": Cell(short(0x0C), UUID),
        "tokens": Cell(short(0x22) + short(0x0D), integer(1) + value(str(token).encode())),
    }


def _local(place: Place) -> dict[str, Cell]:
    address = _address(place)
    return {
        "key": text("local"),
        "bootstrapped": text("COMPLETED"),
        "cluster_name": text("canned answers"),
        "partitioner": text("org.apache.cassandra.dht.Murmur3Partitioner"),
        "cql_version": text("3.4.6"),
        "native_protocol_version": text("5"),
        "rpc_address": address,
        "rpc_port": number(place.port),
        "broadcast_address": address,
        "listen_address": address,
        **_shared(place),
    }


def _peer(place: Place) -> dict[str, Cell]:
    return {"peer": _address(place), "rpc_address": _address(place), **_shared(place)}


def _peer_v2(place: Place) -> dict[str, Cell]:
    address = {"peer": _address(place), "peer_port": number(7000)}
    return {**address, "native_address": _address(place), "native_port": number(place.port), **_shared(place)}


def _address(place: Place) -> Cell:
    return Cell(short(0x10), ipaddress.ip_address(place.host).packed)


def _text_map(content: Mapping[str, str]) -> Cell:
    pairs = (value(name.encode()) + value(each.encode()) for name, each in content.items())
    return Cell(short(0x21) + short(0x0D) * 2, integer(len(content)) + b"".join(pairs))
