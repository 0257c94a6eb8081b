"""The properties in statements that change a schema: what follows WITH, and the options of an index."""

from __future__ import annotations

import re
from typing import Any

from .declared import Index, Options

_PAIR = re.compile(r"'([^']*)'\s*:\s*'?([^',}]*)'?")
_PROPERTY = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|\{[^}]*\}|[\w.+-]+)", re.DOTALL)
_PACKAGES = {
    "compaction": "org.apache.cassandra.db.compaction.",
    "compression": "org.apache.cassandra.io.compress.",
}
_SAI = "StorageAttachedIndex"


def pairs(text: str) -> dict[str, str]:
    """Return a map of texts, from between its braces.

    >>> pairs("'class': 'SimpleStrategy', 'replication_factor': 3")
    {'class': 'SimpleStrategy', 'replication_factor': '3'}
    """
    return dict(_PAIR.findall(text))


def table_options(text: str) -> Options:
    """Return the options of a table as the columns of its row.

    >>> table_options("WITH comment = 'it''s' AND default_time_to_live = 60 AND compaction = {'class': 'X'}")
    {'comment': "it's", 'default_time_to_live': 60, 'compaction': {'class': 'org.apache.cassandra.db.compaction.X'}}
    """
    return {name.lower(): _value(name.lower(), literal) for name, literal in _PROPERTY.findall(text)}


def index_options(target: str, using: str | None, rest: str) -> Index:
    """Return an index on a target, of a class if it is `using` one, with what follows WITH OPTIONS."""
    given = re.search(r"options\s*=\s*\{([^}]*)\}", rest, re.IGNORECASE)
    options = {**(pairs(given[1]) if given else {}), "target": target}
    if using is None:
        return Index("COMPOSITES", options)
    return Index("CUSTOM", {"class_name": _SAI if using == "sai" else using, **options})


def _value(name: str, literal: str) -> Any:
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    if literal.startswith("{"):
        found = pairs(literal)
        if "class" in found and name in _PACKAGES and "." not in found["class"]:
            found["class"] = _PACKAGES[name] + found["class"]
        return found
    if literal.lower() in ("true", "false"):
        return literal.lower() == "true"
    return float(literal) if "." in literal else int(literal)
