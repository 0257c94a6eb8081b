"""Reading a trace: what is waited for, how long, at which consistency, and what there is of it until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import World
from tests.session.test_checkpoints import TRACE_EVENT, TRACE_SESSION, TRACED, described, scripted
from triocql import Consistency, Result
from triocql.errors import OptionError, ProtocolError, RequestTimeout
from triocql.protocol.constants import Opcode
from triocql.protocol.reader import Reader

PARTIAL = [None, None, None, bytes(4), bytes(8), None]
WHOLE = [b"Query", None, bytes(4), bytes(4), bytes(8), wire.integer(4)]


def consistency_of(asked: Asked) -> int:
    reader = Reader(asked.body)
    reader.short_bytes()
    reader.short_bytes()
    return reader.short()


def traced(rows: Callable[[int], list[Any]], **options: Any) -> tuple[World, Any, list[Asked]]:
    """Return a world with a traced result; `rows` says which rows the n-th look at the trace finds."""
    world = World(**options)
    world.nodes[0] = node = scripted()
    world.listeners[0].factory = node.accept
    by_itself, asked_for = node.script, []
    assert by_itself is not None

    def script(asked: Asked) -> bool:
        if asked.opcode != Opcode.EXECUTE:
            return by_itself(asked)
        asked_for.append(asked)
        if "system_traces.events" in asked.text:
            return asked.answer(wire.RESULT, described(TRACE_EVENT, []))
        found = rows(len(asked_for))
        return asked.answer(wire.RESULT, described(TRACE_SESSION, found)) if found is not None else True

    node.script = script

    async def main() -> Result[Any]:
        return await (await world.connect().__aenter__()).execute(TRACED, tracing=True)

    return world, world.call(main), asked_for


def test_a_trace_is_waited_for_until_it_is_whole() -> None:
    world, result, asked = traced(lambda n: [[], [PARTIAL], [WHOLE]][min(n, 3) - 1])
    trace = world.call(result.trace)
    assert (trace.request, trace.duration, trace.events) == ("Query", 4, ())
    assert len(asked) == 4
    assert {consistency_of(each) for each in asked} == {Consistency.ONE}


def test_a_part_of_a_trace() -> None:
    world, result, asked = traced(lambda n: [[], [PARTIAL]][min(n, 2) - 1])
    trace = world.call(result.trace, complete=False, consistency="QUORUM")
    assert (trace.request, trace.duration, trace.parameters) == (None, None, {})
    assert {consistency_of(each) for each in asked} == {Consistency.QUORUM}


EVENT_NAMES = ["event_id", "activity", "source", "source_elapsed", "thread"]
ODD: dict[str, tuple[Any, list[Any], Any, list[Any]]] = {
    "no columns of a session": ((("other", "int"),), [bytes(4)], TRACE_EVENT, []),
    "no columns of an event": (TRACE_SESSION, WHOLE, (("other", "int"),), [bytes(4)]),
    "an event at no time": (TRACE_SESSION, WHOLE, TRACE_EVENT, [bytes(16), b"", None, None, b""]),
    "an event with no id": (TRACE_SESSION, WHOLE, TRACE_EVENT, [None, b"", None, None, b""]),
    "an event with an empty id": (TRACE_SESSION, WHOLE, TRACE_EVENT, [b"", b"", None, None, b""]),
    "events of another type": (
        TRACE_SESSION,
        WHOLE,
        tuple((name, "int") for name in EVENT_NAMES),
        [bytes(4)] * 5,
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_rows_that_are_none_of_a_trace(name: str) -> None:
    session_columns, session_row, event_columns, event_row = ODD[name]
    world, result, _ = traced(lambda n: [])
    by_itself = world.node.script

    def script(asked: Asked) -> bool:
        if asked.opcode != Opcode.EXECUTE:
            return bool(by_itself and by_itself(asked))
        if "system_traces.events" in asked.text:
            return asked.answer(wire.RESULT, described(event_columns, [event_row] if event_row else []))
        return asked.answer(wire.RESULT, described(session_columns, [session_row]))

    world.node.script = script
    with pytest.raises(ProtocolError, match="rows of system_traces are not those of a trace"):
        world.call(result.trace)


@pytest.mark.parametrize("complete", [True, False])
def test_a_wait_of_its_own(complete: bool) -> None:
    world, result, _ = traced(lambda n: [PARTIAL] if complete else [])
    began = world.reactor.now()
    with pytest.raises(RequestTimeout, match=r"the trace \S+ within 2 s") as caught:
        world.call(result.trace, timeout=2.0, complete=complete)
    assert ("trace(complete=False) takes what there is" in str(caught.value)) is complete
    assert caught.value.timeout == 2.0
    assert world.reactor.now() - began == pytest.approx(2.0)


def test_the_wait_is_that_of_the_request_unless_said_otherwise() -> None:
    world, result, _ = traced(lambda n: [], timeout=3.0)
    with pytest.raises(RequestTimeout, match="within 3 s"):
        world.call(result.trace)


def test_a_node_that_does_not_answer() -> None:
    world, result, _ = traced(lambda n: [])
    began = world.reactor.now()
    with pytest.raises(RequestTimeout):
        world.call(result.trace, timeout=2.0)
    assert world.reactor.now() - began == pytest.approx(2.0, abs=0.1)


def test_a_time_that_is_none() -> None:
    world, result, asked = traced(lambda n: [WHOLE])
    with pytest.raises(OptionError, match="timeout is 0; it has to be"):
        world.call(result.trace, timeout=0)
    with pytest.raises(OptionError, match="consistency is 'MOST'"):
        world.call(result.trace, consistency="MOST")
    assert asked == []
