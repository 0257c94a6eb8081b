"""The system tables of ScyllaDB's nodes."""

from __future__ import annotations

from .node import Row, ServerNode
from .nodetables import NODE, SIZE_ESTIMATES, local, peers
from .schematables import SCHEMA_TABLES, SystemTable, texts
from .scylla.settings import CQL_VERSION

_LACKING = frozenset({"system_schema.column_masks"})
"""What Cassandra has, and ScyllaDB has not; its virtual schema is another one."""

_LACKING_OPTIONS = frozenset(
    {
        "additional_write_policy",
        "allow_auto_snapshot",
        "cdc",
        "incremental_backups",
        "memtable",
        "read_repair",
    }
)


def _local(node: ServerNode) -> list[Row]:
    return [{**row, "cql_version": CQL_VERSION, "supported_features": _FEATURES} for row in local(node)]


def _peers(node: ServerNode) -> list[Row]:
    return [{**row, "supported_features": _FEATURES} for row in peers(node)]


def _keyspaces(node: ServerNode) -> list[Row]:
    """Return what keyspaces have that those of Cassandra have not: those that have some of it."""
    return [
        {"keyspace_name": each.name, "initial_tablets": each.tablets, "consistency": each.consistency}
        for each in node.server.schema.keyspaces.values()
        if each.tablets is not None or each.consistency is not None
    ]


def _tables(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "table_name": name,
            "committed_by_group0": True,
            "in_memory": False,
        }
        for keyspace in node.server.schema.keyspaces.values()
        for name in (*keyspace.tables, *keyspace.views)
    ]


def _clients(node: ServerNode) -> list[Row]:
    """Return the connections that are open to a node, with all that STARTUP said."""
    return [
        {
            "address": "::1" if ":" in node.address.host else "127.0.0.1",
            "port": connection.peer_port,
            "client_type": "cql",
            "client_options": connection.options,
            "connection_stage": "READY" if connection.user_ready else "ESTABLISHED",
            "driver_name": connection.options.get("DRIVER_NAME"),
            "driver_version": connection.options.get("DRIVER_VERSION"),
            "protocol_version": connection.version,
            "scheduling_group": "sl:default",
            "shard_id": connection.shard,
            "ssl_enabled": connection.tls and node.server.ssl_context is not None,
        }
        for connection in node.connections
    ]


def _client_routes(node: ServerNode) -> list[Row]:
    return list(node.server.client_routes.rows)


def _tablets(node: ServerNode) -> list[Row]:
    """Return all tablets of all tables, as this node believes that they are."""
    return [
        {
            "table_id": table.id,
            "last_token": tablet.last,
            "keyspace_name": table.keyspace,
            "table_name": table.name,
            "tablet_count": len(seen),
            "resize_type": "none",
            "replicas": tablets.hosts(tablet),
        }
        for table, tablets in node.server.all_tablets()
        for seen in (tablets.as_seen_by(node.index),)
        for tablet in seen
    ]


def _none(node: ServerNode) -> list[Row]:
    return []


def _schema_table(table: SystemTable) -> SystemTable:
    columns = {name: type_ for name, type_ in table.columns.items() if name not in _LACKING_OPTIONS}
    return SystemTable(columns, table.rows)


_FEATURES = "TABLETS,UDA,UDF"
_PLACES = "frozen<list<frozen<tuple<uuid, int>>>>"
_NODE = {**NODE, "supported_features": "text"}

SCYLLA_TABLES: dict[str, SystemTable] = {
    "system.local": SystemTable(
        {
            **texts("key", "bootstrapped"),
            "broadcast_address": "inet",
            **texts("cluster_name", "cql_version"),
            **_NODE,
            "gossip_generation": "int",
            "listen_address": "inet",
            **texts("native_protocol_version", "partitioner"),
            "rpc_address": "inet",
            "truncated_at": "map<uuid, blob>",
        },
        _local,
    ),
    "system.peers": SystemTable(
        {"peer": "inet", **_NODE, "preferred_ip": "inet", "rpc_address": "inet"}, _peers
    ),
    "system.size_estimates": SIZE_ESTIMATES,
    "system.tablets": SystemTable(
        {
            "table_id": "uuid",
            "last_token": "bigint",
            "base_table": "uuid",
            **texts("keyspace_name", "resize_type", "table_name"),
            "tablet_count": "int",
            "new_replicas": _PLACES,
            "replicas": _PLACES,
            "session": "uuid",
            **texts("stage", "transition"),
        },
        _tablets,
    ),
    "system.clients": SystemTable(
        {
            "address": "inet",
            "port": "int",
            "client_type": "text",
            "client_options": "map<text, text>",
            **texts("connection_stage", "driver_name", "driver_version", "hostname"),
            "protocol_version": "int",
            "scheduling_group": "text",
            "shard_id": "int",
            "ssl_cipher_suite": "text",
            "ssl_enabled": "boolean",
            **texts("ssl_protocol", "username"),
        },
        _clients,
    ),
    "system.client_routes": SystemTable(
        {
            "connection_id": "text",
            "host_id": "uuid",
            "address": "text",
            "alternator_https_port": "int",
            "alternator_port": "int",
            "port": "int",
            "tls_port": "int",
        },
        _client_routes,
    ),
    **{
        name: _schema_table(table)
        for name, table in SCHEMA_TABLES.items()
        if name.startswith("system_schema.") and name not in _LACKING
    },
    "system_schema.scylla_keyspaces": SystemTable(
        {
            **texts("keyspace_name", "consistency"),
            "initial_tablets": "int",
            "storage_options": "frozen<map<text, text>>",
            "storage_type": "text",
        },
        _keyspaces,
    ),
    "system_schema.scylla_tables": SystemTable(
        {
            **texts("keyspace_name", "table_name"),
            "cdc": "frozen<map<text, text>>",
            "committed_by_group0": "boolean",
            "in_memory": "boolean",
            "large_data_guardrails_enabled": "boolean",
            **texts("partitioner", "storage_engine"),
            "tablets": "frozen<map<text, text>>",
            "version": "timeuuid",
        },
        _tables,
    ),
    "system_schema.scylla_aggregates": SystemTable(
        {
            **texts("keyspace_name", "aggregate_name"),
            "argument_types": "frozen<list<text>>",
            **texts("reduce_func", "state_type"),
        },
        _none,
    ),
}
