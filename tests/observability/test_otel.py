"""Spans of requests, as an exporter gets them: one a logical call, as long as the call, closed whatever happens."""

from __future__ import annotations

import importlib
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest
from opentelemetry import context
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
    use_span,
)

import triocql
import triocql.sync
from tests.engine.test_retries import OVERLOADED, refusing
from tests.engine.world import INSERT, SELECT, World
from tests.session.loops import LOOPS, Stage, run_on, settled
from tests.session.test_checkpoints import NODES, SCENARIOS, scripted
from triocql import errors
from triocql.engine.executing import Execution
from triocql.observability import tracker as tracking
from triocql.observability.instrumentor import TriocqlInstrumentor
from triocql.observability.otel import Tracing
from triocql.policies.speculation import ConstantSpeculation
from triocql.protocol.constants import Opcode
from triocql.testing.server import CqlServer, ErrorCode, delay, error, void

SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"


class Spans:
    """A provider, and what it has exported."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self.open = 0
        self.provider.add_span_processor(_Counting(self))

    def ended(self) -> list[ReadableSpan]:
        """Return the spans that have ended since the last time; none may be open."""
        assert self.open == 0
        found = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return found

    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.ended() if "db.query.summary" in attributes(span)]


class _Counting(SimpleSpanProcessor):
    """Counts spans that are open."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._spans.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.open -= 1

    def shutdown(self) -> None:
        """Do nothing: nothing is exported."""


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e9


def refusing_once() -> Any:
    """Return a script for several nodes, that answers the first statement with an error."""
    refuse = refusing(OVERLOADED)
    refused: list[bool] = []

    def script(asked: Any) -> bool:
        if refused or not refuse(asked):
            return False
        refused.append(True)
        return True

    return script


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.provider.shutdown()


@pytest.fixture
def tracing(spans: Spans) -> Tracing:
    return Tracing(spans.provider, root_spans=True)


# --- One request -------------------------------------------------------------------------------------------------


def test_a_request_is_a_span_by_the_conventions(spans: Spans, tracing: Tracing) -> None:
    world = World(tracker=tracing)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        assert spans.ended() == []  # of a PREPARE there is none
        world.call(session.execute, select, [7], consistency="LOCAL_QUORUM", idempotent=True)
        (span,) = spans.ended()
        assert (span.name, span.kind) == ("SELECT ks.t", SpanKind.CLIENT)
        assert span.status.status_code is StatusCode.UNSET
        assert attributes(span) == {
            "db.system.name": "cassandra",
            "db.operation.name": "SELECT",
            "db.namespace": "ks",
            "db.collection.name": "t",
            "db.query.summary": "SELECT ks.t",
            "db.query.text": SELECT,
            "cassandra.consistency.level": "local_quorum",
            "cassandra.page.size": 5000,
            "cassandra.query.idempotent": True,
            "server.address": "10.0.0.1",
            "network.peer.address": "10.0.0.1",
            "network.peer.port": 9042,
            **{name: value for name, value in attributes(span).items() if "coordinator" in name},
        }


class Seeing(Sampler):
    """Notes what it decides by, and lets all pass, or nothing."""

    def __init__(self, decision: Decision) -> None:
        self.seen: list[tuple[str, SpanKind | None, dict[str, Any]]] = []
        self._decision = decision

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.seen.append((name, kind, dict(attributes or {})))
        return SamplingResult(self._decision, attributes)

    def get_description(self) -> str:
        return "Seeing"


@pytest.mark.parametrize("decision", [Decision.RECORD_AND_SAMPLE, Decision.DROP])
def test_a_sampler_sees_what_is_known_at_the_start(decision: Decision) -> None:
    """The cluster among it, as the program names it: which node it will be is not known yet."""
    sampler = Seeing(decision)
    spans = Spans(sampler=sampler)
    tracker = Tracing(spans.provider, root_spans=True)
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        port = server.port
        with triocql.sync.connect("localhost", port=port, tracker=tracker) as session:
            session.execute(session.prepare("INSERT INTO shop.users (id) VALUES (?)"), [1])
    name, kind, has = sampler.seen[-1]
    assert (name, kind) == ("INSERT shop.users", SpanKind.CLIENT)
    assert has == {
        "db.system.name": "cassandra",
        "db.operation.name": "INSERT",
        "db.namespace": "shop",
        "db.collection.name": "users",
        "db.query.summary": "INSERT shop.users",
        "db.query.text": "INSERT INTO shop.users (id) VALUES (?)",
        "cassandra.consistency.level": "local_one",
        "cassandra.query.idempotent": False,
        "server.address": "localhost",
        "server.port": port,
    }
    kept = spans.requests()
    assert len(kept) == (decision is Decision.RECORD_AND_SAMPLE)
    for span in kept:
        assert attributes(span).items() >= has.items()
        assert attributes(span)["network.peer.port"] == port


@pytest.mark.parametrize("other", ["shop", trace_api.get_tracer("shop")])
def test_what_provides_no_tracers_is_refused(other: Any) -> None:
    with pytest.raises(errors.UsageError, match=rf"takes a TracerProvider .*not {type(other).__name__}"):
        Tracing(other)


@pytest.mark.parametrize("name", ["root_spans", "text", "payload"])
def test_what_is_neither_true_nor_false_is_refused(name: str) -> None:
    wrong: Any = {name: 1}
    with pytest.raises(errors.UsageError, match=rf"^{name} is 1; it has to be True or False$"):
        Tracing(**wrong)


def test_text_is_told_without_what_is_in_it(spans: Spans, tracing: Tracing) -> None:
    world = World(tracker=tracing)
    with world.session() as session:
        world.call(session.execute, "UPDATE Shop.\"Users\" SET name = 'Ann' WHERE id = 7")
        (span,) = spans.ended()
        has = attributes(span)
        assert span.name == "UPDATE shop.Users"
        assert has["db.query.text"] == 'UPDATE Shop."Users" SET name = ? WHERE id = ?'
        assert (has["db.namespace"], has["db.collection.name"]) == ("shop", "Users")


def test_a_batch_tells_how_large_it_is(spans: Spans, tracing: Tracing) -> None:
    world = World(tracker=tracing)
    with world.session() as session:
        for count in (2, 1):
            batch = triocql.Batch()
            for _ in range(count):
                batch.add("INSERT INTO t (k) VALUES (1)")
            world.call(session.execute, batch)
        two, one = spans.ended()
        assert (two.name, attributes(two)["db.operation.batch.size"]) == ("BATCH", 2)
        assert "db.operation.batch.size" not in attributes(one)
        assert "db.query.text" not in attributes(two)


def test_a_failure_is_an_error(spans: Spans, tracing: Tracing) -> None:
    world = World(tracker=tracing)
    with world.session() as session:
        world.node.script = lambda asked: asked.error(0x2200, "no 'secret'")
        with pytest.raises(errors.InvalidQuery):
            world.call(session.execute, "SELECT x")
        (span,) = spans.ended()
        assert span.status.status_code is StatusCode.ERROR
        has = attributes(span)
        assert (has["error.type"], has["db.response.status_code"]) == ("InvalidQuery", str(0x2200))
        assert "secret" not in str(span.to_json())


def test_a_call_that_is_tried_again_is_one_span_with_its_attempts_below(
    spans: Spans, tracing: Tracing
) -> None:
    world = World(count=2, tracker=tracing)
    with world.session() as session:
        world.nodes[0].script = world.nodes[1].script = refusing_once()
        world.call(session.execute, "SELECT x", idempotent=True)
        found = spans.ended()
        (call,) = [span for span in found if "db.query.summary" in attributes(span)]
        attempts = [span for span in found if span is not call]
        assert call.context is not None
        assert len(attempts) >= 2
        assert all(
            each.parent is not None and each.parent.span_id == call.context.span_id for each in attempts
        )
        assert call.status.status_code is StatusCode.UNSET
        assert [attributes(each).get("error.type") for each in attempts] == [
            *["Overloaded"] * (len(attempts) - 1),
            None,
        ]
        assert attributes(call)["triocql.retries"] == len(attempts) - 1


def test_no_span_is_left_open_after_a_cancellation_or_the_end(spans: Spans, tracing: Tracing) -> None:
    world = World(tracker=tracing)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "SELECT x")
        assert spans.open == 1
        task.cancel()
        world.settle()
        (span,) = spans.ended()
        assert (attributes(span)["error.type"], span.status.status_code) == ("Cancelled", StatusCode.ERROR)
        left = world.start(session.execute, "SELECT x")
        world.call(session.aclose, 0)
        with pytest.raises(errors.SessionClosed):
            left.result()
        assert len(spans.ended()) == 1
        world.node.holding = False


@pytest.mark.parametrize(
    ("loop", "name"),
    [
        *(("simulated", name) for name in SCENARIOS),
        *(
            (loop, name)
            for loop in LOOPS
            if loop != "simulated"
            for name in ("execute_unprepared", "stream, two pages ahead")
        ),
    ],
)
def test_no_span_is_left_open_wherever_a_call_is_cancelled(loop: str, name: str, spans: Spans) -> None:
    scenario = SCENARIOS[name]

    async def main(stage: Stage) -> None:
        tracker = Tracing(spans.provider, root_spans=True)
        async with stage.connect(max_in_flight=8, tracker=tracker) as session:
            NODES[session] = stage.node
            number, is_more = 0, True
            while is_more:
                stepped = await stage.cancelling_at(number, scenario(session))
                await settled(session)
                await stage.until(lambda: spans.open == 0)
                for span in spans.requests():
                    assert attributes(span).get("error.type", "Cancelled") == "Cancelled"
                is_more = stepped.count > number
                number += 1
            del NODES[session]

    run_on(loop, main, scripted())
    assert spans.open == 0


def test_a_span_lasts_as_long_as_its_call(spans: Spans, tracing: Tracing) -> None:
    wait = 0.5
    with CqlServer(schema=SCHEMA) as server:
        server.when("INSERT INTO shop.users (id) VALUES (?)").then(delay(wait), void())
        with triocql.sync.connect(server.contact_points, tracker=tracing) as session:
            insert = session.prepare("INSERT INTO shop.users (id) VALUES (?)")
            began = time.monotonic()
            session.execute(insert, [1])
            took = time.monotonic() - began
    (span,) = spans.requests()
    clocks = 0.02  # a span has the time of day
    assert wait - clocks <= seconds(span) <= took + clocks


# --- Parents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_spans_are_below_the_one_that_is_current_only(loop: str, spans: Spans) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(tracker=Tracing(spans.provider)) as session:
            await session.execute("SELECT x")
            insert = await session.prepare(INSERT)
            assert spans.ended() == []
            with spans.tracer.start_as_current_span("parent") as parent:
                await session.execute("SELECT x")
                await session.execute_concurrent_with_args(insert, [[n] for n in range(300)], concurrency=10)
            found = spans.requests()
            assert len(found) == 301
            wanted = parent.get_span_context().span_id
            assert {span.parent.span_id for span in found if span.parent is not None} == {wanted}
            assert all(span.parent is not None for span in found)

    run_on(loop, main)


def test_spans_of_threads_are_below_theirs(spans: Spans) -> None:
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        with triocql.sync.connect(server.contact_points, tracker=Tracing(spans.provider)) as session:
            insert = session.prepare("INSERT INTO shop.users (id) VALUES (?)")
            session.execute(insert, [0])
            assert spans.ended() == []
            with spans.tracer.start_as_current_span("parent") as parent:
                session.execute(insert, [1])
                session.execute_async(insert, [2]).result()
                session.execute_concurrent_with_args(insert, [[n] for n in range(50)], concurrency=5)
            found = spans.requests()
    assert len(found) == 52
    wanted = parent.get_span_context().span_id
    assert [span.parent.span_id for span in found if span.parent is not None] == [wanted] * 52


@pytest.mark.parametrize("seed", range(20))
def test_there_is_a_span_where_the_current_one_is_recorded_at_that_moment_and_nowhere_else(
    seed: int, spans: Spans
) -> None:
    """Whatever was current before: what is kept of that never counts for something else."""
    random = Random(seed)
    tracing = Tracing(spans.provider)
    off = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    contexts = [context.Context()]
    recorded: list[Span] = []
    expected = 0
    world = World(tracker=tracing)
    with world.session() as session:
        for _ in range(40):
            kind = random.choice(["recorded", "not recorded", "ended", "another", "again", "again", "again"])
            if kind == "ended" and recorded:
                recorded.pop().end()
            elif kind == "recorded":
                recorded.append(spans.tracer.start_span("outer"))
                contexts.append(set_span_in_context(recorded[-1]))
            elif kind == "not recorded":
                contexts.append(set_span_in_context(off.start_span("outer")))
            elif kind == "another":
                contexts.append(context.set_value("mine", random.random(), random.choice(contexts)))
            chosen = random.choice(contexts)
            expected += get_current_span(chosen).is_recording()
            token = context.attach(chosen)
            world.call(session.execute, "SELECT x")
            context.detach(token)
        for span in recorded:
            span.end()
    assert len(spans.requests()) == expected


def test_below_a_span_that_is_not_recorded_there_is_none() -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    world = World(tracker=Tracing(spans.provider))

    async def main(session: triocql.Session) -> None:
        with spans.tracer.start_as_current_span("parent"):
            await session.execute("SELECT x")

    with world.session() as session:
        world.call(main, session)
    assert spans.ended() == []


# --- What nodes are told of the trace ----------------------------------------------------------------------------


def traceparent(span: Span | ReadableSpan) -> bytes:
    context = span.get_span_context()  # type: ignore[no-untyped-call, unused-ignore]
    assert context is not None
    ids = format_trace_id(context.trace_id), format_span_id(context.span_id)
    return f"00-{ids[0]}-{ids[1]}-{context.trace_flags:02x}".encode()


INSERT_USER = "INSERT INTO shop.users (id) VALUES (?)"
LITERAL = "INSERT INTO shop.users (id) VALUES (7)"


def told(server: CqlServer) -> list[dict[str, bytes | None]]:
    """Return the payloads of requests since the last time, but for PREPAREs."""
    found = [
        dict(entry.request.payload or {}) for entry in server.log if entry.request.opcode != Opcode.PREPARE
    ]
    server.log.clear()
    return found


def all_kinds(session: triocql.sync.Session) -> None:
    """Make each kind of call."""
    insert = session.prepare(INSERT_USER)
    session.execute(insert, [1])
    session.execute(LITERAL)
    session.execute(INSERT_USER, [2])
    session.execute(insert.bind(3))
    session.execute(triocql.Batch().add(insert, [1]).add(LITERAL))
    session.execute(triocql.Batch().add("INSERT INTO shop.users (id, name) VALUES (?, 'x')", [1]))
    session.execute_async(insert, [2], timeout=5.0).result()
    session.execute_concurrent_with_args(insert, [[3], [4]])
    session.execute_concurrent([(insert, [5]), (LITERAL, None)])


CALLS = 11


class Tracking:
    """A tracker that follows every request."""

    def start(self, *_: object) -> Any:
        return 1

    attempt = retry = finish = start


@contextmanager
def telling(spans: Spans) -> Iterator[tuple[CqlServer, triocql.sync.Session]]:
    """A session that tells its node of spans."""
    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(
            server.contact_points, tracker=Tracing(spans.provider, payload=True), keyspace="shop"
        ) as session,
    ):
        server.log.clear()
        yield server, session


def test_nodes_are_told_of_the_span_of_each_request(spans: Spans) -> None:
    """Whatever kind it is of: also one that waits until its statement is prepared, in another thread."""
    with telling(spans) as (server, session):
        all_kinds(session)
        assert told(server) == [{}] * CALLS
        for _ in range(2):
            with spans.tracer.start_as_current_span("parent"):
                all_kinds(session)
            names = [traceparent(span) for span in spans.requests()]
            assert len(set(names)) == CALLS
            assert sorted(each["traceparent"] or b"" for each in told(server)) == sorted(names)
        session.execute(INSERT_USER, [1])
        assert told(server) == [{}]


def test_a_program_has_the_last_word_of_what_nodes_are_told(spans: Spans) -> None:
    given = {"a": b"b", "none": None}
    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(
            server.contact_points,
            tracker=Tracing(spans.provider, root_spans=True, payload=True),
            keyspace="shop",
            custom_payload=lambda: given,
        ) as session,
    ):
        server.log.clear()
        all_kinds(session)
        names = [traceparent(span) for span in spans.requests()]
        found = told(server)
        assert sorted(each.pop("traceparent") or b"" for each in found) == sorted(names)
        assert found == [given] * CALLS
        session.execute(LITERAL, custom_payload={"traceparent": b"mine"})
        assert told(server) == [{"traceparent": b"mine"}]


@pytest.mark.parametrize("root_spans", [False, True])
def test_nodes_are_told_of_a_span_that_is_not_recorded_as_it_is(root_spans: bool) -> None:
    """So that they record nothing either, and of nothing where there is nothing."""
    spans = Spans(sampler=ALWAYS_OFF)
    tracking = Tracing(spans.provider, root_spans=root_spans, payload=True)
    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(server.contact_points, tracker=tracking, keyspace="shop") as session,
    ):
        server.log.clear()
        with spans.tracer.start_as_current_span("parent") as parent:
            all_kinds(session)
        found = [each["traceparent"] or b"" for each in told(server)]
        assert len(found) == CALLS
        trace_of_it = traceparent(parent)[:36]
        assert {name[:36] for name in found} == {trace_of_it}
        assert not any(int(name[-2:], 16) & TraceFlags.SAMPLED for name in found)
        assert set(found) == {traceparent(parent)} or root_spans
        session.execute(LITERAL)
        assert bool(told(server)[0]) is root_spans
    assert spans.ended() == []


def test_a_span_that_has_ended_is_told_of_and_left_alone(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    with telling(spans) as (server, session):
        with spans.tracer.start_as_current_span("parent") as parent:
            parent.end()
            session.execute(LITERAL)
        assert told(server) == [{"traceparent": traceparent(parent)}]
    assert spans.requests() == []
    assert [record for record in caplog.records if "opentelemetry" in record.name] == [
        record for record in caplog.records if record.funcName == "end"
    ][:1]


def test_nodes_are_told_of_each_page_by_a_span_of_its_own(spans: Spans) -> None:
    query = "SELECT id, name FROM shop.users"
    tracker = Tracing(spans.provider, root_spans=True, payload=True)
    with CqlServer(schema=SCHEMA) as server:
        users = server.serve_table("shop.users", ([n, "x"] for n in range(30)))
        server.when(query).then(users.step)
        with triocql.sync.connect(server.contact_points, tracker=tracker) as session:
            for statement in (query, session.prepare(query)):
                server.log.clear()
                spans.requests()
                with session.stream(statement, page_size=10) as rows:
                    assert len(list(rows)) == 30
                found = spans.requests()
                assert len(found) >= 3
                assert told(server) == [{"traceparent": traceparent(span)} for span in found]


def test_all_attempts_at_a_request_tell_of_its_span(spans: Spans) -> None:
    """Those that follow one that failed, and copies while others are under way."""
    tracker = Tracing(spans.provider, root_spans=True, payload=True)
    with CqlServer(3, schema=SCHEMA, unprimed="echo") as server:
        server.when(LITERAL, times=1).then(error(ErrorCode.OVERLOADED))
        with triocql.sync.connect(server.contact_points, tracker=tracker) as session:
            server.log.clear()
            session.execute(LITERAL, idempotent=True)
            (call,) = spans.requests()
            assert told(server) == [{"traceparent": traceparent(call)}] * 2
        server.when("SELECT id FROM shop.users", times=1).then(delay(5.0), void())
        policies = triocql.PolicyOptions(speculation=ConstantSpeculation(0.01))
        with triocql.sync.connect(server.contact_points, tracker=tracker, policies=policies) as session:
            for statement in ("SELECT id FROM shop.users", session.prepare("SELECT id FROM shop.users")):
                server.log.clear()
                session.execute(statement, idempotent=True)
                (call,) = spans.requests()
                assert {each["traceparent"] for each in told(server)} == {traceparent(call)}


def test_attempts_below_a_span_of_another_process_have_none(spans: Spans) -> None:
    """It is not recorded here, so neither is the request, though it was sampled there."""
    there = NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    world = World(count=2, tracker=Tracing(spans.provider, payload=True))
    with world.session() as session:
        world.nodes[0].script = world.nodes[1].script = refusing_once()
        with use_span(there):
            world.call(session.execute, "SELECT x", idempotent=True)
        assert session.metrics.all_nodes.retries == 1
    assert spans.ended() == []


@pytest.mark.parametrize("wrong", [7, {"a": 7}, {7: b"a"}, {str(n): b"" for n in range(70_000)}])
def test_nonsense_that_a_tracker_wants_nodes_to_be_told_is_logged_and_nothing_to_the_request(
    wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Tracking):
        def payload(self, token: int) -> Any:
            return wrong

    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(server.contact_points, tracker=Wrong(), keyspace="shop") as session,
    ):
        server.log.clear()
        all_kinds(session)
        assert told(server) == [{}] * CALLS
    assert len([record for record in caplog.records if "tracker" in record.name]) == 1


def test_an_empty_payload_that_a_tracker_returns_is_not_sent() -> None:
    class Silent(Tracking):
        def payload(self, token: int) -> dict[str, bytes]:
            return {}

    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(server.contact_points, tracker=Silent(), keyspace="shop") as session,
    ):
        server.log.clear()
        all_kinds(session)
        assert {entry.request.payload for entry in server.log} == {None}


def test_nodes_are_told_nothing_where_the_protocol_has_no_payloads(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(
            server.contact_points,
            protocol_version=3,
            tracker=Tracing(spans.provider, root_spans=True, payload=True),
            keyspace="shop",
        ) as session,
    ):
        server.log.clear()
        all_kinds(session)
        assert told(server) == [{}] * CALLS
    assert len(spans.requests()) == CALLS
    assert [record for record in caplog.records if "tracker" in record.name] == []


def test_the_span_of_what_is_too_long_with_what_nodes_are_told_ends(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(length: int) -> NoReturn:
        raise errors.UsageError(f"{length} bytes")

    world = World(tracker=Tracing(spans.provider, root_spans=True, payload=True))
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        module = sys.modules[Execution.__module__]
        monkeypatch.setattr(module, "MAX_FRAME", 80)
        monkeypatch.setattr(module, "check_body", refuse)
        for statement, values in ((insert, [1]), (INSERT.replace("?", "1"), None)):
            with pytest.raises(errors.UsageError):
                world.call(session.execute, statement, values)
            (span,) = spans.ended()
            assert attributes(span)["error.type"] == "UsageError"
        assert session.stats()[1:] == (0, 0, 0)


def test_a_function_of_a_profile_or_a_call_makes_a_payload_for_each_call() -> None:
    made: list[dict[str, bytes | None]] = []

    def noted() -> dict[str, bytes | None]:
        made.append({"number": str(len(made)).encode()})
        return made[-1]

    profiles = {"traced": triocql.Profile(custom_payload=noted)}
    with (
        CqlServer(schema=SCHEMA, unprimed="echo") as server,
        triocql.sync.connect(server.contact_points, profiles=profiles, keyspace="shop") as session,
    ):
        insert = session.prepare(INSERT_USER)
        server.log.clear()
        session.execute(insert, [1])
        assert told(server) == [{}]
        session.execute(insert, [1], profile="traced")
        session.execute(LITERAL, custom_payload=noted)
        session.execute(triocql.Statement(LITERAL, custom_payload=noted))
        assert told(server) == made
        session.execute(insert, [1], custom_payload={})
        assert told(server) == [{}]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [(lambda: 7, errors.OptionError), (lambda: {"a": 7}, errors.OptionError), ({}.popitem, KeyError)],
)
def test_a_payload_that_cannot_be_made_fails_its_call_alone(wrong: Any, kind: type[Exception]) -> None:
    world = World(profiles={"wrong": triocql.Profile(custom_payload=wrong)})
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for statement, values in (
            (insert, [1]),
            ("INSERT 1", None),
            (triocql.Batch().add(insert, [1]), None),
        ):
            with pytest.raises(kind):
                world.call(session.execute, statement, values, profile="wrong")
            world.call(session.execute, statement, values)
        with pytest.raises(kind):
            world.call(session.execute_concurrent_with_args, insert, [[1]], profile="wrong")


class BrokenProcessor(SimpleSpanProcessor):
    """Raises when a span begins, or when it ends."""

    def __init__(self, when: str, kind: type[BaseException]) -> None:
        super().__init__(InMemorySpanExporter())
        self._when = when
        self._kind = kind

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._fail("start")

    def on_end(self, span: ReadableSpan) -> None:
        self._fail("end")

    def _fail(self, when: str) -> None:
        if when == self._when:
            raise self._kind("mine")


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
@pytest.mark.parametrize("when", ["start", "end"])
def test_what_is_broken_behind_a_span_is_nothing_to_the_request(
    when: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BrokenProcessor(when, kind))
    world = World(count=2, tracker=Tracing(provider, root_spans=True, payload=True))
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.script = refusing_once()
        assert [world.call(session.execute, select, [n]).scalar() for n in range(3)] == [0, 1, 2]
        world.call(session.execute, "SELECT x")
        assert session.stats()[1:] == (0, 0, 0)
    assert len([record for record in caplog.records if "tracker" in record.name]) == 1


# --- From outside ------------------------------------------------------------------------------------------------


def test_the_instrumentor_traces_sessions_that_have_no_tracker(spans: Spans) -> None:
    project = tomllib.loads((Path(triocql.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["opentelemetry_instrumentor"]["triocql"].partition(":")
    assert getattr(importlib.import_module(module), name) is TriocqlInstrumentor
    instrumentor = TriocqlInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider, root_spans=True, skip_dep_check=True)
    try:
        world = World()
        with world.session() as session:
            world.call(session.execute, "SELECT x")
        assert [span.name for span in spans.ended()] == ["SELECT"]
    finally:
        instrumentor.uninstrument()
    assert tracking.default() is None
    world = World()
    with world.session() as session:
        world.call(session.execute, "SELECT x")
    assert spans.ended() == []
