"""The dashboard and the alerts of ``examples/monitoring`` ask for what the collector tells, and for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from triocql.observability.families import FAMILIES

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "monitoring"
OF_PROMETHEUS = {"job", "instance", "le"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
LABELS = {
    family.name + suffix: {"session", *family.labels}
    for family in FAMILIES
    for suffix in SUFFIXES[family.kind]
}

_METRIC = re.compile(r"\b(triocql_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return board


def expressions() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [*panels, *(rule["expr"] for rule in alerts())]


@pytest.mark.parametrize("text", expressions())
def test_each_expression_is_about_metrics_that_there_are(text: str) -> None:
    used = _METRIC.findall(text)
    assert used
    common = set.intersection(*(LABELS[name] for name, _ in used)) | OF_PROMETHEUS
    for name, matchers in used:
        assert set(re.findall(r"(\w+)[=!]~?\"", matchers)) <= LABELS[name] | OF_PROMETHEUS
    for labels in _GROUPED.findall(text):
        assert {each.strip() for each in labels.split(",")} <= common


def test_variables_ask_for_a_metric_that_there_is() -> None:
    queries = [each["query"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    for query in queries:
        assert _METRIC.findall(query)[0][0] in LABELS


def test_annotations_show_labels_that_the_alert_has() -> None:
    for rule in alerts():
        (grouped,) = _GROUPED.findall(rule["expr"])[:1] or [None]
        names = (
            {each.strip() for each in grouped.split(",")}
            if grouped
            else LABELS[_METRIC.findall(rule["expr"])[0][0]]
        )
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert shown <= names | ({"job", "instance"} if grouped is None else set()), rule["alert"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.long
def test_prometheus_takes_the_rules() -> None:
    """With Debian's package: ``.ci/system prometheus``."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    for command in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
