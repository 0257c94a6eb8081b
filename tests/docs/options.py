"""The tables of options in the reference: made of the code, so that they cannot say anything else.

``python -m tests.docs.options`` writes them anew, which is to be done when an option changes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any

import triocql
from triocql.config.options import (
    ClientOptions,
    ConnectionOptions,
    Options,
    PoolOptions,
    ReconnectionOptions,
    ScyllaOptions,
)
from triocql.config.requests import RequestOptions, ResolvedOptions

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "options.md"
GROUPS = {"request", "connection", "pool", "reconnection", "scylla", "client", "policies", "keywords"}
"""The arguments that stand for several options of the tables."""

_UNITS = {"microseconds": "µs", "seconds": "s", "bytes": "bytes", "frame body": "bytes"}
_HEADING = "| option | default | unit | what it is |\n|---|---|---|---|\n"

Row = tuple[str, str, str, str]


def rows_of(owner: type | Callable[..., Any], defaults: dict[str, Any], prefix: str = "") -> list[Row]:
    """Return a row for each name in the docstring's list of arguments or attributes."""
    rows = []
    for name, text in _described(owner):
        if name not in GROUPS:
            default = defaults.get(name, inspect.Parameter.empty)
            rows.append((f"`{prefix}{name}`", _shown(default), _unit(text), text))
    return rows


def _described(owner: type | Callable[..., Any]) -> list[tuple[str, str]]:
    doc = inspect.getdoc(owner) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n(?= {4}))+)", doc + "\n", re.MULTILINE)
    assert section is not None, owner
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1], re.MULTILINE)
    return [(name, _as_markdown(" ".join(text.split()))) for name, text in found]


def _as_markdown(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|").rstrip(".")


def _unit(text: str) -> str:
    return next((unit for word, unit in _UNITS.items() if re.search(rf"\b{word}\b", text)), "")


def _shown(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return ""
    if isinstance(default, Enum):
        return f"`{default.name}`"
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, int) and not isinstance(default, bool):
        mebibytes, rest = divmod(default, 2**20)
        return f"{default:,}" if rest or not default else f"{default:,} ({mebibytes} MiB)"
    if isinstance(default, tuple):
        return ", ".join(f"`{each}`" for each in default) or "none"
    return f"`{default!r}`"


def defaults_of(*owners: type) -> dict[str, Any]:
    """Return the defaults of the fields of dataclasses, the last one's where several have the same name."""
    found = {}
    for owner in owners:
        for field in fields(owner):
            made = None if field.default_factory is MISSING else field.default_factory()
            found[field.name] = made if field.default is MISSING else field.default
    return found


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a function's parameters."""
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


def connect_rows() -> list[Row]:
    """Return the arguments of `connect`, in the order in which they are told of."""
    request = [
        row
        for row in rows_of(RequestOptions, defaults_of(ResolvedOptions))
        if row[0].strip("`") in inspect.get_annotations(triocql.config.options.ConnectKeywords)
        and row[0] != "`keyspace`"
    ]
    told = {row[0] for row in rows_of(triocql.connect, parameters_of(triocql.connect))}
    own = [row for row in rows_of(Options, defaults_of(Options)) if row[0] not in told]
    return [
        *rows_of(triocql.connect, parameters_of(triocql.connect)),
        *own,
        *request,
        *rows_of(ConnectionOptions, defaults_of(ConnectionOptions)),
        *rows_of(PoolOptions, defaults_of(PoolOptions)),
        *rows_of(ReconnectionOptions, defaults_of(ReconnectionOptions), "reconnection_"),
        *rows_of(ScyllaOptions, defaults_of(ScyllaOptions)),
        *rows_of(ClientOptions, defaults_of(ClientOptions)),
    ]


def execute_rows() -> list[Row]:
    """Return the arguments of `Session.execute`; the defaults are those of a session that sets none."""
    execute = triocql.Session.execute
    own = [row for row in rows_of(execute, parameters_of(execute)) if row[0] != "`options`"]
    return [*own, *rows_of(RequestOptions, defaults_of(RequestOptions, ResolvedOptions))]


def table(rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    return _HEADING + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_tables(page: str) -> str:
    """Return the page with its tables as the code has them."""
    for name, rows in (("connect", connect_rows()), ("execute", execute_rows())):
        begin, end = f"<!-- options of {name} -->\n\n", "<!-- end -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"the page has no table of {name}"
        page = f"{before}{begin}{table(rows)}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
