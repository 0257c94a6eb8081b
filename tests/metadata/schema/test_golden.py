"""Rows of real nodes of Cassandra 4.0, 4.1 and 5.0 become the CQL that these nodes say."""

from __future__ import annotations

import pytest

from tests.metadata.schema.golden import GoldenSchema, load
from triocql.metadata.building import finish
from triocql.metadata.schema import build_keyspaces

CASES = [
    pytest.param(schema, id=f"{series}-{number}")
    for series in ("4.0", "4.1", "5.0")
    for number, schema in enumerate(load(series))
]


@pytest.mark.parametrize("golden", CASES)
@pytest.mark.parametrize("internals", [False, True])
def test_cql_is_what_the_node_said(golden: GoldenSchema, internals: bool) -> None:
    keyspace = finish(build_keyspaces(golden.rows, {}))[golden.keyspace]
    assert list(keyspace.describe(internals).objects) == (golden.internals if internals else golden.described)


@pytest.mark.parametrize("series", ["4.0", "4.1", "5.0"])
def test_the_schemas_have_many_features(series: str) -> None:
    features = {feature for schema in load(series) for feature in schema.features}
    assert len(features) >= 40
