from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import World
from triocql.abc import Address
from triocql.config.requests import INHERIT, RequestKeywords, RequestOptions, ResolvedOptions, merge
from triocql.errors import BindValueError, OptionError, UsageError
from triocql.metadata.node import Node
from triocql.protocol.constants import Consistency
from triocql.statements.statement import Batch, BatchType, Statement

NAMES = [each.name for each in dataclasses.fields(RequestOptions)]
VALUES: dict[str, Any] = {
    "timeout": 1.5,
    "attempt_timeout": 0.5,
    "lwt": True,
    "node": Node(Address("10.0.0.1", 9042)),
    "consistency": Consistency.QUORUM,
    "serial_consistency": Consistency.LOCAL_SERIAL,
    "page_size": 10,
    "profile": "reports",
    "paging_state": b"here",
    "timestamp": 123,
    "tracing": True,
    "custom_payload": {"key": b"value"},
    "keyspace": "ks",
    "now_in_seconds": 5,
    "idempotent": False,
}


def values_of(options: Any) -> dict[str, Any]:
    """Return options by name; what they are is the same object."""
    return {each.name: getattr(options, each.name) for each in dataclasses.fields(options)}


def test_the_defaults() -> None:
    options = ResolvedOptions()
    assert (options.timeout, options.page_size, options.tracing) == (10.0, 5000, False)
    assert (options.consistency, options.serial_consistency) == (Consistency.LOCAL_ONE, Consistency.SERIAL)
    assert (options.idempotent, options.keyspace, options.paging_state) == (None, None, None)


def test_nothing_to_merge_is_the_same_object() -> None:
    base = ResolvedOptions()
    assert merge(base) is base
    assert merge(base, INHERIT, INHERIT) is base


@pytest.mark.parametrize("name", NAMES)
def test_each_option_goes_before_the_layers_below(name: str) -> None:
    base = ResolvedOptions()
    merged = merge(base, RequestOptions(**{name: VALUES[name]}))
    assert values_of(merged) == {**values_of(base), name: VALUES[name]}
    assert type(merged) is ResolvedOptions
    assert merge(base, RequestOptions(**{name: VALUES[name]}), RequestOptions()) == merged


def test_the_call_goes_before_the_statement_and_that_before_the_session() -> None:
    merged = merge(
        ResolvedOptions(timeout=1.0, page_size=1),
        RequestOptions(timeout=2.0, tracing=True),
        RequestOptions(timeout=3.0, tracing=False),
    )
    assert (merged.timeout, merged.page_size, merged.tracing) == (3.0, 1, False)


@given(st.lists(st.sets(st.sampled_from(NAMES)), max_size=4))
def test_merging_is_as_updating_a_dict(layers: list[set[str]]) -> None:
    base = ResolvedOptions()
    expected = values_of(base)
    for layer in layers:
        expected.update({name: VALUES[name] for name in layer})
    options = (RequestOptions(**{name: VALUES[name] for name in layer}) for layer in layers)
    assert values_of(merge(base, *options)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", math.nan),
        ("timeout", "5"),
        ("timeout", True),
        ("consistency", 4),
        ("consistency", "QUORAM"),
        ("serial_consistency", Consistency.QUORUM),
        ("page_size", 0),
        ("page_size", 2**31),
        ("page_size", 10.0),
        ("page_size", True),
        ("paging_state", "here"),
        ("timestamp", -(2**63) - 1),
        ("timestamp", 1.5),
        ("tracing", 1),
        ("custom_payload", [b"x"]),
        ("custom_payload", {"key": "value"}),
        ("custom_payload", {1: b"value"}),
        ("keyspace", ""),
        ("now_in_seconds", -1),
        ("idempotent", "yes"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name}.* it has to be "):
        RequestOptions(**{name: value})


@pytest.mark.parametrize(
    ("taken", "refused"),
    [
        ({"page_size": 1}, {"page_size": True}),
        ({"page_size": 5}, {"page_size": 5.0}),
        ({"tracing": True}, {"tracing": 1}),
    ],
)
def test_what_was_taken_before_does_not_count(taken: Any, refused: Any) -> None:
    """Values of other types that are equal are checked for themselves."""
    world = World()
    with world.session() as session:
        assert session._context.call_options(taken) is session._context.call_options(taken)
        with pytest.raises(OptionError, match="it has to be"):
            session._context.call_options(refused)


def test_no_bound_for_the_timeout() -> None:
    assert RequestOptions(timeout=math.inf).timeout == math.inf


def test_what_may_be_secret_is_in_no_repr_or_message() -> None:
    options = RequestOptions(custom_payload={"token": b"s3cret"}, paging_state=b"s3cret")
    assert "s3cret" not in repr(options)
    with pytest.raises(OptionError) as caught:
        RequestOptions(custom_payload={"token": "s3cret"})  # type: ignore[dict-item]
    assert "s3cret" not in str(caught.value)


def test_the_keywords_are_the_fields_and_have_their_types() -> None:
    keywords = {name: kind.__forward_arg__ for name, kind in RequestKeywords.__annotations__.items()}
    by_name = dict.fromkeys(("consistency", "serial_consistency"), "Consistency | str | None")
    assert keywords == {each.name: each.type for each in dataclasses.fields(RequestOptions)} | by_name


def test_statement() -> None:
    statement = Statement("SELECT 1", timeout=2.0, page_size=5)
    assert statement.options == RequestOptions(timeout=2.0, page_size=5)
    assert Statement("SELECT 1").options is INHERIT
    changed = statement.with_options(timeout=None, tracing=True)
    assert changed.options == RequestOptions(page_size=5, tracing=True)
    assert changed.text == statement.text
    assert statement.options.timeout == 2.0
    assert repr(statement) == "Statement('SELECT 1')"
    with pytest.raises(OptionError, match="of type bytes"):
        Statement(b"SELECT 1")  # type: ignore[arg-type]


def test_batch() -> None:
    batch = Batch(BatchType.UNLOGGED, timestamp=1)
    statement = Statement("DELETE FROM t WHERE id = 2")
    assert batch.add("DELETE FROM t WHERE id = ?", [1]).add(statement) is batch
    assert len(batch) == 2
    assert list(batch) == [("DELETE FROM t WHERE id = ?", [1]), (statement, None)]
    assert batch.options == RequestOptions(timestamp=1)
    assert (Batch().type, Batch().options) == (BatchType.LOGGED, INHERIT)
    assert repr(batch) == "Batch(UNLOGGED, 2 statements)"


def test_a_changed_copy_of_a_batch_has_its_own_statements() -> None:
    batch = Batch(BatchType.COUNTER, timeout=1.0).add("UPDATE t SET n = n + 1 WHERE id = 1")
    copy = batch.with_options(tracing=True)
    copy.add("UPDATE t SET n = n + 1 WHERE id = 2")
    assert (len(batch), len(copy), copy.type) == (1, 2, BatchType.COUNTER)
    assert copy.options == RequestOptions(timeout=1.0, tracing=True)


def test_what_a_batch_does_not_take() -> None:
    with pytest.raises(UsageError, match="cannot hold a batch"):
        Batch().add(Batch())
    for wrong in (None, b"DELETE", 1):
        with pytest.raises(UsageError, match=f"not {type(wrong).__name__}"):
            Batch().add(wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="BatchType"):
        Batch("LOOSE")


def test_a_batch_has_at_most_65535_statements() -> None:
    batch = Batch()
    for _ in range(65_535):
        batch.add("DELETE FROM t WHERE id = 1")
    with pytest.raises(BindValueError, match="65,535 statements at most"):
        batch.add("DELETE FROM t WHERE id = 1")
    assert len(batch) == 65_535
