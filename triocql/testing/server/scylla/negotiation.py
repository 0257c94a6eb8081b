"""What a node of ScyllaDB offers on a connection, and what the client takes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from ..wire import BadRequest
from .settings import CQL_VERSION, SHARDING, TABLETS_V1, Scylla


class Node(Protocol):
    """A node, as it tells of itself."""

    host_id: UUID

    @property
    def shard_aware_port(self) -> int | None:
        """The port without TLS where a client chooses its shard."""

    @property
    def shard_aware_tls_port(self) -> int | None:
        """The port with TLS where a client chooses its shard."""


def supported(
    node: Node, scylla: Scylla, shard: int, *, compression: Sequence[str], partitioner: str
) -> dict[str, Sequence[str]]:
    """Return the content of SUPPORTED on a connection to a shard."""
    truth = {
        "CQL_VERSION": [CQL_VERSION],
        "COMPRESSION": list(compression),
        "CLIENT_OPTIONS": [""],
        "SCYLLA_HOST_ID": [str(node.host_id)],
        "SCYLLA_SHARD": [str(shard)],
        "SCYLLA_NR_SHARDS": [str(scylla.shards)],
        "SCYLLA_SHARDING_ALGORITHM": [SHARDING],
        "SCYLLA_SHARDING_IGNORE_MSB": [str(scylla.ignore_msb)],
        "SCYLLA_PARTITIONER": [partitioner],
    }
    ports = {
        "SCYLLA_SHARD_AWARE_PORT": node.shard_aware_port,
        "SCYLLA_SHARD_AWARE_PORT_SSL": node.shard_aware_tls_port,
    }
    truth |= {key: [str(port)] for key, port in ports.items() if port is not None and scylla.shard_aware}
    truth |= {key: [parameters] for key, parameters in scylla.extensions.items()}
    return scylla.told(truth)


def negotiated(scylla: Scylla, options: Mapping[str, str]) -> frozenset[str]:
    """Return which of the extensions that a node offers are among the options of STARTUP.

    Raises:
        BadRequest: both versions of tablets-routing are.
    """
    found = scylla.extensions.keys() & options.keys()
    if {TABLETS_V1, scylla.tablets_v2_name} <= found:
        raise BadRequest(f"STARTUP has both {TABLETS_V1} and {scylla.tablets_v2_name}")
    return frozenset(found)
