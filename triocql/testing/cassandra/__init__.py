"""Real Apache Cassandra nodes for tests and trials, without Docker: Java 17, Maven the first time, and Linux.

>>> from triocql.testing.cassandra import CassandraCluster, prepare
>>> with CassandraCluster(nodes=3) as cluster:  # doctest: +SKIP
...     print(cluster.contact_points)

From a shell: ``python -m triocql.testing.cassandra start --nodes 3``, and ``stop`` when done.
"""

from __future__ import annotations

from triocql.testing.cassandra._cluster import CassandraCluster, prepare
from triocql.testing.cassandra._errors import LauncherError, MissingTool, StartError
from triocql.testing.cassandra._install import DEFAULT_VERSION
from triocql.testing.cassandra._node import Node

__all__ = [
    "DEFAULT_VERSION",
    "CassandraCluster",
    "LauncherError",
    "MissingTool",
    "Node",
    "StartError",
    "prepare",
]
