"""scylla-driver reads by prepared statements: run apart, as it owns the same package as cassandra-driver.

Arguments: the port, the query, the number of keys, and how often all of them are read. It stops after each time, until
a line comes.
"""

from __future__ import annotations

import logging
import sys
import warnings

warnings.simplefilter("ignore")

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile  # noqa: E402 - it warns of its own
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy  # noqa: E402


def main(port: int, query: str, keys: int, rounds: int) -> None:
    """Read."""
    logging.getLogger("cassandra").setLevel(logging.ERROR)
    profile = ExecutionProfile(load_balancing_policy=TokenAwarePolicy(RoundRobinPolicy()))
    cluster = Cluster(["127.0.0.1"], port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    session = cluster.connect()
    try:
        statement = session.prepare(query)
        print("connected", flush=True)
        for _ in range(rounds):
            sys.stdin.readline()
            found = [session.execute(statement, [key]).one().name for key in range(keys)]
            print(len(found), flush=True)
        sys.stdin.readline()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
