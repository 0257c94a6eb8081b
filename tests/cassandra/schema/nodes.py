"""Nodes that take all features of the grammar."""

from __future__ import annotations

from typing import Any

from triocql.testing.cassandra import CassandraCluster

from .triggers import folder
from .writer import Server

_MEMTABLES = {
    "configurations": {
        "skiplist": {"class_name": "SkipListMemtable"},
        "trie": {"class_name": "TrieMemtable"},
        "default": {"inherits": "skiplist"},
    }
}


def server_of(series: str) -> Server:
    """Return what a node of `launch` takes."""
    return Server(
        series, cdc=True, masking=series >= "5.0", transient=True, memtables=series >= "5.0", triggers=True
    )


def launch(series: str, **keywords: Any) -> CassandraCluster:
    """Return a cluster of a series, as "5.0", with all features switched on, to be started."""
    features = ["cdc", "transient_replication", *(["masking"] if series >= "5.0" else [])]
    yaml = {"num_tokens": 1, **({"memtable": _MEMTABLES} if series >= "5.0" else {})}
    jvm = [f"-Dcassandra.triggers_dir={folder()}"]
    return CassandraCluster(version=series, features=features, yaml=yaml, jvm=jvm, **keywords)
