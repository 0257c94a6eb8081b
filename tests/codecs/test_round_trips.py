"""Whatever triocql reads it also writes, and reads again as the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from triocql.codecs.registry import Registry
from triocql.codecs.rows import RowPlan
from triocql.protocol.types import CqlType, NativeType

from .helpers import IMPLS, columns, encode, round_trip
from .strategies import NATIVE, typed_values

if TYPE_CHECKING:
    from triocql._impl import Impl

REGISTRIES = {impl: Registry(impl=impl) for impl in IMPLS}


def alike(ours: Any, read: Any) -> bool:
    """Return whether values are equal and of the same classes all the way down; what compares itself counts."""
    if type(ours) is not type(read) or ours != read:
        return False
    if isinstance(ours, (list, tuple)):
        return all(map(alike, ours, read))
    if isinstance(ours, dict):
        return all(alike(ours[key], read[key]) for key in ours)
    return True


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("name", NATIVE)
def test_native_types(impl: Impl, name: str) -> None:
    @given(NATIVE[name])
    def check(value: Any) -> None:
        assert alike(value, round_trip(REGISTRIES[impl], NativeType(name), value))

    check()


@pytest.mark.parametrize("impl", IMPLS)
@given(typed_values)
def test_nested_types(impl: Impl, pair: tuple[CqlType, Any]) -> None:
    cql_type, value = pair
    assert alike(value, round_trip(REGISTRIES[impl], cql_type, value))


@given(typed_values)
def test_the_same_bytes_from_both(pair: tuple[CqlType, Any]) -> None:
    assert len({encode(registry, *pair) for registry in REGISTRIES.values()}) == 1


def test_both_twins_are_what_they_say() -> None:
    """A registry that is told to use one implementation uses that one."""
    plans = {impl: type(registry.plan(columns("int"))) for impl, registry in REGISTRIES.items()}
    assert plans["python"] is RowPlan
    assert len(set(plans.values())) == len(IMPLS)
