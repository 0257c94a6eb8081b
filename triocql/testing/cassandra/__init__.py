"""Real Apache Cassandra nodes for tests and trials, without Docker, without root, on Linux: 4.0, 4.1 and 5.0.

>>> from triocql.testing.cassandra import CassandraCluster, prepare
>>> with CassandraCluster(nodes=3) as cluster:  # doctest: +SKIP
...     print(cluster.contact_points)

From a shell: ``python -m triocql.testing.cassandra start --nodes 3``, and ``stop`` when done.
"""

from __future__ import annotations

from triocql.testing.cassandra._cluster import CassandraCluster, prepare
from triocql.testing.cassandra._errors import LauncherError, MissingTool, StartError
from triocql.testing.cassandra._node import Node
from triocql.testing.cassandra._versions import DEFAULT_VERSION

__all__ = [
    "DEFAULT_VERSION",
    "CassandraCluster",
    "LauncherError",
    "MissingTool",
    "Node",
    "StartError",
    "prepare",
]
