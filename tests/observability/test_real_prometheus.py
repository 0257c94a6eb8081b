"""A real Prometheus scrapes a session and evaluates the rules of ``examples``: an alert fires when a node goes."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

import triocql.sync
from tests.observability.test_monitoring import FOLDER
from triocql.observability.families import FAMILIES
from triocql.observability.prometheus import Collector
from triocql.testing.server import CqlServer

pytestmark = pytest.mark.long

PATIENCE = 60.0
SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"
INSERT = "INSERT INTO shop.users (id) VALUES (?)"


class Prometheus:
    """A server that runs, asked by HTTP."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}{path}?{query}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that has one, None while it has none."""
        found = self.get("/api/v1/query", query=expression)["result"]
        assert len(found) <= 1
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        """Return the names of the alerts that fire, each with what is said of it."""
        return {
            (alert["labels"]["alertname"], alert["annotations"]["summary"])
            for alert in self.get("/api/v1/alerts")["alerts"]
            if alert["state"] == "firing"
        }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def watching(target: int, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on the configuration of the examples, in shorter times, until it is ready, and to the end."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: .ci/system prometheus")
    rules = (FOLDER / "alerts.yaml").read_text()
    (folder / "alerts.yaml").write_text(re.sub(r"for: \d+[ms]", "for: 1s", rules))
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            prometheus = Prometheus(port)
            until(lambda: process.poll() is not None or prometheus.is_ready())
            assert process.poll() is None, (folder / "log").read_text()
            yield prometheus
        finally:
            process.terminate()


def test_an_alert_fires_when_a_node_is_killed_and_ends_when_it_is_back(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    served, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with (
            CqlServer(3, schema=SCHEMA, unprimed="echo") as server,
            triocql.sync.connect(
                server.contact_points, reconnection_maximum=0.2, reconnection_base=0.1
            ) as session,
            watching(served.server_port, tmp_path) as prometheus,
        ):
            Collector(registry).add(session, "shop")
            insert = session.prepare(INSERT)
            session.execute_concurrent_with_args(insert, [[number] for number in range(200)])
            requests = (
                'triocql_requests_total{operation="INSERT",outcome="success",session="shop",job="shop"}'
            )
            until(lambda: prometheus.value(requests) == 200)
            told = set(prometheus.get("/api/v1/label/__name__/values"))
            absent = {each for each in FAMILIES if not any(name.startswith(each.name) for name in told)}
            # Nothing failed in a phase, and these nodes have no shards.
            missing = [each.name for each in absent if not {"phase", "shard"} & set(each.labels)]
            assert missing == []
            groups = prometheus.get("/api/v1/rules")["groups"]
            until(
                lambda: all(
                    rule["health"] == "ok"
                    for group in prometheus.get("/api/v1/rules")["groups"]
                    for rule in group["rules"]
                )
            )
            assert {rule["name"] for group in groups for rule in group["rules"]} >= {"TriocqlNodeDown"}
            assert prometheus.firing() == set()

            node = server.nodes[2]
            name = node.contact_point
            node.stop()
            until(lambda: any(alert == "TriocqlNodeDown" for alert, _ in prometheus.firing()))
            (said,) = [text for alert, text in prometheus.firing() if alert == "TriocqlNodeDown"]
            assert f"the node {name} in" in said
            assert prometheus.value("sum (triocql_node_up)") == 2

            for each in server.nodes[:2]:
                each.stop()
            until(lambda: any(alert == "TriocqlNoNode" for alert, _ in prometheus.firing()))
            for each in server.nodes:
                each.start()
            until(
                lambda: not {"TriocqlNodeDown", "TriocqlNoNode"} & {alert for alert, _ in prometheus.firing()}
            )
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


UNIT = {
    "rule_files": [str(FOLDER / "alerts.yaml")],
    "evaluation_interval": "15s",
    "tests": [
        {
            "interval": "15s",
            "input_series": [
                {
                    "series": 'triocql_node_up{job="shop",instance="a",session="1",node="n1",dc="dc1"}',
                    "values": "1x19 0x60",
                },
                {
                    "series": 'triocql_requests_total{job="shop",session="1",outcome="success"}',
                    "values": "0+150x80",
                },
                {
                    "series": 'triocql_requests_total{job="shop",session="1",outcome="Unavailable"}',
                    "values": "0x19 0+30x60",
                },
            ],
            "alert_rule_test": [
                {"eval_time": "9m", "alertname": "TriocqlNodeDown", "exp_alerts": []},
                {
                    "eval_time": "10m15s",
                    "alertname": "TriocqlNodeDown",
                    "exp_alerts": [
                        {
                            "exp_labels": {
                                "severity": "warning",
                                "job": "shop",
                                "instance": "a",
                                "session": "1",
                                "node": "n1",
                                "dc": "dc1",
                            },
                            "exp_annotations": {"summary": "a does not reach the node n1 in dc1"},
                        }
                    ],
                },
                {
                    "eval_time": "18m",
                    "alertname": "TriocqlErrors",
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": "critical", "job": "shop", "session": "1"},
                            "exp_annotations": {"summary": "16.67% of the requests of shop fail"},
                        }
                    ],
                },
            ],
        }
    ],
}
"""A node that goes after five minutes, with an error in each six requests from then on."""


def test_alerts_come_when_they_are_to(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: .ci/system prometheus")
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(UNIT))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
