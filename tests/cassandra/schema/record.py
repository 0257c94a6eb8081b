"""Records schemas of real nodes for `tests.metadata.schema.golden`: ``python -m tests.cassandra.schema.record 5.0``."""

from __future__ import annotations

import sys

import triocql
from tests.cassandra.conftest import patient
from tests.metadata.schema.golden import GoldenSchema, save
from triocql.testing.cassandra import CassandraCluster

from .grammar import generate
from .nodes import launch, server_of
from .oracle import Refused, create, describe, read_rows
from .writer import quoted

TRIED = 30
"""Schemas that are drawn; those are kept that have a feature which none before them has."""


def record(series: str, cluster: CassandraCluster) -> list[GoldenSchema]:
    """Return schemas that a node tells, which have all features between them."""
    found: list[GoldenSchema] = []
    seen: set[str] = set()
    with triocql.sync.connect(cluster.contact_points, **patient()) as session:
        for schema in generate(server_of(series), TRIED):
            if schema.features <= seen:
                continue
            try:
                create(session, schema)
            except Refused as refusal:
                print(refusal, file=sys.stderr)
                continue
            seen |= schema.features
            what = f"KEYSPACE {quoted(schema.keyspace)}"
            found.append(
                GoldenSchema(
                    schema.keyspace,
                    sorted(schema.features),
                    read_rows(session, schema.keyspace),
                    describe(session, what, internals=False),
                    describe(session, what, internals=True),
                )
            )
    return found


if __name__ == "__main__":
    for each in sys.argv[1:]:
        with launch(each) as running:
            save(each, record(each, running))
