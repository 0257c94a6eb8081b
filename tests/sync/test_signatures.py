"""Both kinds of sessions, and what they give, have the same methods with the same arguments, but for these tables."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, get_overloads

import pytest

import triocql
from triocql import sync

if TYPE_CHECKING:
    from collections.abc import Callable

# The names that one of the two has alone, for users; and those that the rest of the driver calls.
ONLY_THERE: dict[str, tuple[set[str], set[str]]] = {
    "Session": ({"aclose"}, {"close", "execute_async"}),
    "Result": (set(), set()),
    "RowStream": (set(), set()),
    "Scan": (set(), set()),
    "ConcurrentStream": (set(), set()),
    "RequestNursery": ({"start_soon"}, set()),
    "Handle": (set(), {"result"}),
}
INTERNAL = {"Handle": {"reject", "resolve"}}
# The annotations of what waits, and of what blocks.
ANNOTATIONS = {
    "Statements": "Iterable[Item]",
    "Iterable[Parameters] | AsyncIterable[Parameters]": "Iterable[Parameters]",
    "Registry": "Codecs",
    "Connecting": "Session",
    **{f"AsyncIterator[{each}]": f"Iterator[{each}]" for each in ("Any", "Row", "T", "dict[str, Any]")},
}
FUNCTIONS = [
    "connect",
    "execute_concurrent",
    "execute_concurrent_with_args",
    "open_request_nursery",
    "stream_concurrent",
]


def public(name: str) -> tuple[set[str], set[str]]:
    waits, blocks = (
        {each for each in dir(getattr(module, name)) if not each.startswith("_")}
        for module in (triocql, sync)
    )
    return waits - INTERNAL.get(name, set()), blocks


def function(module: Any, kind: str, name: str) -> Callable[..., Any]:
    found: Any = inspect.getattr_static(getattr(module, kind), name)
    return getattr(found, "fget", found)  # type: ignore[no-any-return]


def signatures(fn: Callable[..., Any]) -> list[inspect.Signature]:
    return [inspect.signature(each) for each in (*get_overloads(fn), fn)]


def as_blocking(signature: inspect.Signature) -> inspect.Signature:
    parameters = [
        each.replace(annotation=ANNOTATIONS.get(each.annotation, each.annotation))
        for each in signature.parameters.values()
        if each.name != "reactor"
    ]
    returned = signature.return_annotation
    return signature.replace(parameters=parameters, return_annotation=ANNOTATIONS.get(returned, returned))


def shared() -> list[tuple[str, str]]:
    return [(kind, name) for kind in ONLY_THERE for name in sorted(set.intersection(*public(kind)))]


@pytest.mark.parametrize("kind", ONLY_THERE)
def test_both_kinds_have_the_same_names(kind: str) -> None:
    waits, blocks = public(kind)
    assert (waits - blocks, blocks - waits) == ONLY_THERE[kind]


@pytest.mark.parametrize(("kind", "name"), shared())
def test_both_kinds_have_the_same_signatures(kind: str, name: str) -> None:
    waits, blocks = function(triocql, kind, name), function(sync, kind, name)
    if callable(waits):
        assert [as_blocking(each) for each in signatures(waits)] == signatures(blocks)
        assert inspect.getdoc(blocks)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_both_kinds_of_functions_have_the_same_signatures(name: str) -> None:
    waits, blocks = getattr(triocql, name), getattr(sync, name)
    assert [as_blocking(each) for each in signatures(waits)] == signatures(blocks)


def test_both_kinds_close_in_the_same_way() -> None:
    assert inspect.signature(triocql.Session.aclose) == inspect.signature(sync.Session.close)


def test_what_execute_takes_execute_async_takes() -> None:
    def future(signature: inspect.Signature) -> inspect.Signature:
        returned = signature.return_annotation.replace("Result[", "ResultFuture[")
        return signature.replace(return_annotation=returned)

    found = signatures(sync.Session.execute)
    assert [future(each) for each in found] == signatures(sync.Session.execute_async)
    assert len(found) == 4


@pytest.mark.parametrize("name", sorted(public("Session")[1]))
def test_no_method_that_blocks_has_to_be_awaited(name: str) -> None:
    assert not inspect.iscoroutinefunction(getattr(sync.Session, name))
