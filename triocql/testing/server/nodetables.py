"""The tables of the nodes: what each says of itself, and of its peers."""

from __future__ import annotations

from .node import Row, ServerNode
from .schematables import SystemTable, texts


def shared(node: ServerNode, told_to: ServerNode) -> Row:
    """Return what a node tells of another one, or of itself, in all of the tables."""
    return {
        "data_center": node.data_center,
        "rack": node.rack,
        "host_id": node.host_id,
        "release_version": node.release_version,
        "schema_version": node.schema_version or told_to.server.schema.version,
        "tokens": [str(token) for token in node.tokens] or None,  # an empty set is none at all
    }


def local(node: ServerNode) -> list[Row]:
    """Return what a node tells of itself."""
    address, port = node.address.host, node.address.port
    return [
        {
            **shared(node, node),
            "key": "local",
            "bootstrapped": "COMPLETED",
            "broadcast_address": address,
            "broadcast_port": 7000,
            "cluster_name": node.server.name,
            "cql_version": "3.4.7",
            "gossip_generation": 1,
            "listen_address": address,
            "listen_port": 7000,
            "native_protocol_version": str(max(node.versions)),
            "partitioner": node.server.partitioner,
            "rpc_address": address,
            "rpc_port": port,
            "truncated_at": {},
        }
    ]


def peers(node: ServerNode) -> list[Row]:
    """Return what a node tells of the others."""
    return [
        {**shared(peer, node), "peer": peer.address.host, "rpc_address": peer.address.host}
        for peer in node.server.members
        if peer is not node
    ]


def _peers_v2(node: ServerNode) -> list[Row]:
    """Return what a node of Cassandra tells of the others, with their ports."""
    return [
        {
            **shared(peer, node),
            "peer": peer.address.host,
            "peer_port": 7000,
            "native_address": peer.address.host,
            "native_port": peer.address.port,
        }
        for peer in node.server.members
        if peer is not node
    ]


def size_estimates(node: ServerNode) -> list[Row]:
    """Return what a node has estimated of the sizes of tables: nothing, as if all was written a moment ago."""
    return []


# --- The tables of Cassandra ---------------------------------------------------------------------------------

NODE = {
    "data_center": "text",
    "host_id": "uuid",
    "rack": "text",
    "release_version": "text",
    "schema_version": "uuid",
    "tokens": "set<text>",
}
SIZE_ESTIMATES = SystemTable(
    {
        **texts("keyspace_name", "table_name", "range_start", "range_end"),
        "mean_partition_size": "bigint",
        "partitions_count": "bigint",
    },
    size_estimates,
)
NODE_TABLES: dict[str, SystemTable] = {
    "system.local": SystemTable(
        {
            **texts("key", "bootstrapped"),
            "broadcast_address": "inet",
            "broadcast_port": "int",
            **texts("cluster_name", "cql_version"),
            **NODE,
            "gossip_generation": "int",
            "listen_address": "inet",
            "listen_port": "int",
            **texts("native_protocol_version", "partitioner"),
            "rpc_address": "inet",
            "rpc_port": "int",
            "truncated_at": "map<uuid, blob>",
        },
        local,
    ),
    "system.peers": SystemTable(
        {"peer": "inet", **NODE, "preferred_ip": "inet", "rpc_address": "inet"}, peers
    ),
    "system.peers_v2": SystemTable(
        {
            "peer": "inet",
            "peer_port": "int",
            **NODE,
            "native_address": "inet",
            "native_port": "int",
            "preferred_ip": "inet",
            "preferred_port": "int",
        },
        _peers_v2,
    ),
    "system.size_estimates": SIZE_ESTIMATES,
}
