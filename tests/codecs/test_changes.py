"""Whether values that were written for a type are values of what it has become."""

from __future__ import annotations

import pytest

from triocql.codecs.changes import still_fit, takes
from triocql.codecs.typeparser import parse_type
from triocql.protocol.types import (
    ColumnSpec,
    CqlType,
    ListType,
    MapType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

INT, BIGINT, TEXT = (parse_type(name) for name in ("int", "bigint", "text"))


def udt(**fields: CqlType) -> UserType:
    return UserType("ks", "u", tuple(fields.items()))


A, AB, AC, BA = udt(a=TEXT), udt(a=TEXT, b=TEXT), udt(a=TEXT, c=TEXT), udt(b=TEXT, a=TEXT)
NESTED = [
    ListType,
    SetType,
    lambda inner: MapType(inner, INT),
    lambda inner: MapType(INT, inner),
    lambda inner: TupleType((INT, inner)),
    lambda inner: VectorType(inner, 2),
    lambda inner: udt(x=INT, y=inner),
    lambda inner: inner,
]


@pytest.mark.parametrize("nest", NESTED)
def test_fields_that_came_or_have_other_names(nest: type[ListType]) -> None:
    for old, new in ((A, AB), (AB, AC), (A, udt(z=TEXT)), (A, A), (A, udt(a=TEXT, b=INT))):
        assert takes(nest(new), nest(old))


@pytest.mark.parametrize("nest", NESTED)
def test_fields_that_are_gone_have_moved_or_another_type(nest: type[ListType]) -> None:
    for old, new in ((AB, A), (AB, BA), (A, BA), (A, udt(a=INT)), (A, TEXT), (TEXT, A), (INT, BIGINT)):
        assert not takes(nest(new), nest(old))


def test_other_shapes() -> None:
    pairs = [(TupleType((INT,)), TupleType((INT, INT))), (VectorType(INT, 2), VectorType(INT, 3))]
    for old, new in [*pairs, (ListType(INT), SetType(INT))]:
        assert not takes(new, old)


def test_parameters() -> None:
    one, two = (ColumnSpec("ks", "t", name, INT) for name in ("a", "b"))
    assert still_fit([one], [two])
    assert not still_fit([one], [one, two])
