"""The table of metrics for Prometheus: made of the code. ``python -m tests.docs.families`` writes it anew."""

from __future__ import annotations

from triocql.observability.families import FAMILIES

from .pages import ROOT

PAGE = ROOT / "docs" / "howto" / "prometheus.md"
BEGIN, END = "<!-- families -->\n", "<!-- end -->"


def with_table(page: str) -> str:
    """Return the page with its table as the code has it."""
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    assert begun
    assert ended
    lines = ["| name | kind | labels | what it is |", "|---|---|---|---|"]
    for each in FAMILIES:
        name = each.name + ("_total" if each.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{name}` | {each.kind} | {labels} | {each.help} |")
    return before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
