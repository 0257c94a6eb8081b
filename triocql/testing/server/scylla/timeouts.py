"""``USING TIMEOUT``, which ScyllaDB knows and Cassandra does not."""

from __future__ import annotations

import re

_VALUE = r"(?:\?|:\w+|[\w.µ-]+)"
_PROPERTY = rf"(?:ttl|timestamp|timeout)\s+{_VALUE}"
_CLAUSE = re.compile(
    rf"'(?:[^']|'')*'|\busing\s+(?P<properties>{_PROPERTY}(?:\s+and\s+{_PROPERTY})*)", re.IGNORECASE
)
_TIMEOUT = re.compile(rf"timeout\s+(?P<value>{_VALUE})", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_ALLOWED = re.compile(r"(?:\d+(?:h|ms|m|s))+|\?|:\w+", re.IGNORECASE)


def without_timeout(text: str) -> str:
    """Return a statement without the timeout that it says.

    >>> without_timeout("INSERT INTO t (k) VALUES (1) USING TTL 5 AND TIMEOUT 50ms")
    'INSERT INTO t (k) VALUES (1) USING TTL 5'
    """
    return _CLAUSE.sub(_shortened, text).rstrip() if "timeout" in text.lower() else text


def timeouts(text: str) -> list[str]:
    """Return the timeouts that a statement says; a batch may have several.

    >>> timeouts("SELECT k FROM t USING TIMEOUT 50ms"), timeouts("SELECT timeout FROM t WHERE k = 'using timeout 1s'")
    (['50ms'], [])
    """
    if "timeout" not in text.lower():
        return []
    clauses = [match["properties"] or "" for match in _CLAUSE.finditer(text)]
    return [found["value"] for clause in clauses for found in _TIMEOUT.finditer(clause)]


def is_allowed(timeout: str) -> bool:
    """Whether it is a duration in whole milliseconds, or a bind marker."""
    return _ALLOWED.fullmatch(timeout) is not None


def _shortened(match: re.Match[str]) -> str:
    if match["properties"] is None:
        return match[0]
    kept = [each for each in _AND.split(match["properties"]) if not _TIMEOUT.match(each)]
    return f"USING {' AND '.join(kept)}" if kept else ""
