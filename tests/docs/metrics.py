"""The tables of metrics in the reference: made of the code, so that they cannot say anything else.

``python -m tests.docs.metrics`` writes them anew, which is to be done when a metric changes.
"""

from __future__ import annotations

import re
from dataclasses import fields

from triocql.observability.metrics import Durations, Metrics, NodeMetrics, RequestMetrics, ShardMetrics

from .options import _described
from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"
TABLES = {
    "session": Metrics,
    "requests": RequestMetrics,
    "nodes": NodeMetrics,
    "shards": ShardMetrics,
    "durations": Durations,
}

_KINDS = ("counter", "gauge", "histogram")
_UNITS = ("seconds", "bytes", "requests", "attempts", "connections", "statements", "stream ids", "events")
_HEADING = "| name | kind | unit | what it is |\n|---|---|---|---|\n"


def rows_of(owner: type) -> list[tuple[str, str, str, str]]:
    """Return name, kind, unit and meaning of each field."""
    described = dict(_described(owner))
    return [(f"`{each.name}`", *_read(described[each.name]), described[each.name]) for each in fields(owner)]


def _read(text: str) -> tuple[str, str]:
    kind = next((kind for kind in _KINDS if re.search(rf"\ba {kind}\b", text)), "")
    found = [(match.start(), unit) for unit in _UNITS if (match := re.search(rf"\b{unit}\b", text))]
    return kind, min(found)[1] if found and kind else ""


def with_tables(page: str) -> str:
    """Return the page with its tables as the code has them."""
    for name, owner in TABLES.items():
        begin, end = f"<!-- metrics of {name} -->\n\n", "<!-- end -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"the page has no table of {name}"
        table = _HEADING + "".join(f"| {' | '.join(row)} |\n" for row in rows_of(owner))
        page = f"{before}{begin}{table}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
