"""What Prometheus is told of sessions, read as Prometheus reads it."""

from __future__ import annotations

import dataclasses
import gc
import re
import threading
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import triocql.sync
from tests.cluster.world import World, other
from tests.session.loops import LOOPS, Stage, run_on
from triocql import errors
from triocql.abc import Address
from triocql.metadata.node import Node, NodeState
from triocql.observability.families import BUCKETS, FAMILIES
from triocql.observability.health import Health
from triocql.observability.meter import Histogram
from triocql.observability.metrics import Durations, Metrics, NodeMetrics, RequestMetrics
from triocql.observability.prometheus import Collector
from triocql.testing.server import CqlServer

SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"


class Scraped(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """The samples of a scrape."""

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that have these labels."""
        return sum(self.samples(name, **labels).values())

    def samples(self, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        return {
            has: value for (own, has), value in self.items() if own == name and labels.items() <= set(has)
        }


def scraped(registry: CollectorRegistry) -> Scraped:
    text = generate_latest(registry).decode()
    found = Scraped()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


class Counted:
    """A session that has counted this."""

    def __init__(self, **metrics: Any) -> None:
        self.metrics = Metrics(**metrics)
        self.is_open = True

    def health(self) -> Health:
        return Health(is_open=self.is_open, coverage=None)  # type: ignore[arg-type]


def durations(*seconds: float) -> Durations:
    histogram = Histogram()
    for each in seconds:
        histogram.record(each)
    return Durations.read(histogram)


def node_metrics(address: str = "10.0.0.1", **counted: Any) -> NodeMetrics:
    node = Node(Address(address, 9042))
    node.data_centre = "dc1"
    return NodeMetrics(**{"node": node, "state": NodeState.UP, **counted})


# --- Sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_sessions_of_each_loop_are_told_of_until_they_are_closed(
    loop: str, registry: CollectorRegistry
) -> None:
    async def main(stage: Stage) -> None:
        collector = Collector(registry)
        async with stage.connect() as session:
            collector.add(session, "main")
            await session.execute("SELECT x")
            found = scraped(registry)
            assert (
                found.of("triocql_requests_total", session="main", operation="SELECT", outcome="success") == 1
            )
            assert found.of("triocql_node_up", session="main") == 1
            assert found.of("triocql_control_connection_up", session="main") == 1
            assert found.of("triocql_received_bytes_total") > 0
        assert scraped(registry) == {}

    run_on(loop, main)


def test_sessions_that_block_are_told_of_to_other_threads_while_they_work(
    registry: CollectorRegistry,
) -> None:
    seen: list[float] = []
    collector = Collector(registry)
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        with (
            triocql.sync.connect(server.contact_points) as first,
            triocql.sync.connect(server.contact_points) as second,
        ):
            collector.add(first, "first")
            collector.add(second)
            over = threading.Event()

            def look() -> None:
                while not over.is_set():
                    seen.append(
                        scraped(registry).of("triocql_requests_total", session="first", operation="INSERT")
                    )

            watcher = threading.Thread(target=look)
            watcher.start()
            try:
                insert = "INSERT INTO shop.users (id) VALUES (?)"
                first.execute_concurrent_with_args(insert, [[n] for n in range(1000)])
            finally:
                over.set()
                watcher.join()
            assert seen == sorted(seen)
            found = scraped(registry)
            labels = {"profile": "", "keyspace": "shop", "operation": "INSERT"}
            assert found.of("triocql_requests_total", session="first", **labels) == 1000
            assert found.of("triocql_request_duration_seconds_count", session="first", **labels) == 1000
            assert found.of("triocql_requests_total", session="2", **labels) == 0
            assert found.of("triocql_nodes", session="2", state="up") == 1
        assert scraped(registry) == {}


def test_counters_never_fall_when_a_node_leaves(registry: CollectorRegistry) -> None:
    world = World()
    with world.session() as session:
        Collector(registry).add(session)
        for _ in range(12):
            world.run(session.execute("SELECT x"))
        before = scraped(registry)
        leaving = other(world, session)
        leaving.member = False
        leaving.stop()
        world.server.announce("TOPOLOGY_CHANGE", "REMOVED_NODE", leaving)
        world.reactor.advance(30.0)
        after = scraped(registry)
        assert len(session.metadata.nodes) == 2
        assert len(after.samples("triocql_node_up")) == 2
        for key, value in after.items():
            if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
                assert value >= before.get(key, 0.0), key
        assert after.of("triocql_requests_total") >= before.of("triocql_requests_total")


def test_a_session_that_was_dropped_is_not_held_on_to(registry: CollectorRegistry) -> None:
    collector = Collector(registry)
    session = Counted()
    collector.add(session, "a")
    del session
    gc.collect()
    collector.add(Counted(), "a")


def test_two_open_sessions_have_two_names(registry: CollectorRegistry) -> None:
    collector = Collector(registry)
    first, second = Counted(), Counted()
    collector.add(first, "a")
    with pytest.raises(errors.UsageError, match="an open session with the name 'a'"):
        collector.add(second, "a")
    first.is_open = False
    collector.add(second, "a")
    collector.remove(second)
    assert scraped(registry) == {}


# --- Samples -----------------------------------------------------------------------------------------------------


def test_a_histogram_is_cumulative_and_whole(registry: CollectorRegistry) -> None:
    took = [0.0005, 0.001, 0.0011, 0.3, 20.0, 100.0]
    kind = RequestMetrics(
        operation="SELECT", outcomes={"success": durations(*took[:3]), "Unavailable": durations(*took[3:])}
    )
    session = Counted(requests=(kind,))
    Collector(registry).add(session)
    found = scraped(registry)
    for bound in BUCKETS:
        le = "1.0" if bound == 1 else str(bound)
        assert found.of("triocql_request_duration_seconds_bucket", le=le) == sum(
            each <= bound for each in took
        )
    assert found.of("triocql_request_duration_seconds_bucket", le="+Inf") == 6
    assert found.of("triocql_request_duration_seconds_count") == 6
    assert found.of("triocql_request_duration_seconds_sum") == pytest.approx(sum(took))
    assert found.of("triocql_requests_total", outcome="Unavailable") == 3


def test_values_of_labels_are_bounded_and_escaped(registry: CollectorRegistry) -> None:
    odd = 'a"b\\c\nd'
    long = "k" * 10_000
    kinds = [RequestMetrics(profile=odd, keyspace=long + end, retries=2) for end in "ab"]
    session = Counted(requests=tuple(kinds))
    Collector(registry).add(session, odd)
    found = scraped(registry)
    assert found.of("triocql_request_retries_total", session=odd, profile=odd) == 4
    assert all(len(value) <= 128 for _, labels in found for _, value in labels)


def test_a_name_that_cannot_be_shown_does_not_keep_the_others_from_being_told(
    registry: CollectorRegistry,
) -> None:
    session = Counted(requests=(RequestMetrics(keyspace="sh\udcffp", retries=2),))
    Collector(registry).add(session, "a\ud800")
    assert b'session="a?"' in generate_latest(registry)
    assert scraped(registry).of("triocql_request_retries_total", session="a?", keyspace="sh?p") == 2


@pytest.mark.parametrize("name", [7, b"shop", "x" * 129])
def test_what_is_no_name_is_refused(name: Any, registry: CollectorRegistry) -> None:
    """Of longer ones, those that begin alike would be one series twice, which fails a scrape."""
    collector = Collector(registry)
    with pytest.raises(errors.UsageError, match="name of a session is a str of 128 characters at most"):
        collector.add(Counted(), name)
    collector.add(Counted(), "x" * 128)


def test_an_address_of_two_nodes_is_one_series(registry: CollectorRegistry) -> None:
    both = [node_metrics(bytes_sent=5, attempts={"success": durations(0.01)}) for _ in range(2)]
    session = Counted(nodes=tuple(both))
    Collector(registry).add(session)
    found = scraped(registry)
    assert found.samples("triocql_sent_bytes_total") == {
        frozenset({("session", "1"), ("node", "10.0.0.1:9042"), ("dc", "dc1")}): 10.0
    }
    assert found.of("triocql_attempt_duration_seconds_count") == 2


def test_whatever_is_counted_is_told(registry: CollectorRegistry) -> None:
    """Each number of a session's metrics is in some sample: a new one that no family tells of fails here."""
    unique = count(1001)

    def filled(kind: Any, **known: Any) -> dict[str, Any]:
        names = (each.name for each in dataclasses.fields(kind) if each.type in ("int", int))
        return {name: next(unique) for name in names} | known

    kinds = RequestMetrics(**filled(RequestMetrics, outcomes={}, timeouts={"queued": next(unique)}))
    nodes = node_metrics(**filled(NodeMetrics, is_slow=True))
    session = Counted(**filled(Metrics, requests=(kinds,), nodes=(nodes,)))
    Collector(registry).add(session)
    found = scraped(registry)
    assert {float(number) for number in range(1001, next(unique))} <= set(found.values())
    assert found.of("triocql_node_slow", node="10.0.0.1:9042", dc="dc1") == 1


@pytest.mark.parametrize(
    ("of", "names"),
    [
        ({"profile", "keyspace", "operation"}, "request_duration_seconds request_retries_total"),
        ({"profile", "keyspace", "operation", "phase"}, "request_timeouts_total"),
        ({"profile", "keyspace", "operation", "outcome"}, "requests_total"),
        (
            {"profile", "keyspace", "operation"},
            "speculative_executions_total speculative_executions_won_total",
        ),
        ({"node", "dc", "outcome"}, "attempts_total"),
        ({"node", "dc"}, "connections in_flight orphaned_streams reconnects_total connections_lost_total"),
        ({"node", "dc"}, "sent_bytes_total received_bytes_total node_up node_retries_total"),
        ({"state"}, "nodes"),
        (set(), "queue_length queue_bytes prepared_statements control_connection_up"),
    ],
)
def test_what_a_company_asks_for_is_there(of: set[str], names: str) -> None:
    """By session, node and data centre: these names do not change."""
    labels = {family.name + "_total" * (family.kind == "counter"): set(family.labels) for family in FAMILIES}
    for name in names.split():
        assert labels[f"triocql_{name}"] == of, name


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"triocql(_[a-z]+)+", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert family.kind != "histogram" or family.name.endswith("_seconds")
        assert family.help
        assert "." not in family.help


def test_a_registry_takes_one_collector_without_asking_sessions(registry: CollectorRegistry) -> None:
    collector = Collector(registry)
    assert len(list(collector.describe())) == len(FAMILIES)
    with pytest.raises(errors.UsageError, match=r"has metrics of triocql already: one Collector .* add\(\)$"):
        Collector(registry)


@pytest.mark.parametrize("other", [None, "x", Metrics(), triocql.connect("10.0.0.1"), Counted])
def test_what_is_no_session_is_refused(other: Any) -> None:
    with pytest.raises(errors.UsageError, match=rf"takes a session .*not {type(other).__name__}"):
        Collector(None).add(other)


def test_a_session_is_no_registry() -> None:
    session: Any = Counted()
    with pytest.raises(errors.UsageError, match=r"not Counted; sessions go to its add\(\)"):
        Collector(session)


def test_the_multiprocess_mode_is_warned_of(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    Collector(registry)
    assert "scrape each process" in caplog.text
