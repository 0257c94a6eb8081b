"""Pages of rows, and a pager that hands them out, for the tests of results."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from triocql.codecs.registry import Registry
from triocql.engine.requests import Response
from triocql.protocol.types import ColumnSpec, NativeType
from triocql.results.result import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triocql.codecs.rows import Page

REGISTRY = Registry()
FINGERPRINT = b"the statement"
TRACE = UUID("11111111-2222-1333-8444-555555555555")
WIRE: dict[str, Callable[[Any], bytes]] = {
    "int": lambda value: struct.pack(">i", value),
    "text": str.encode,
    "boolean": lambda value: bytes([value]),
}


def page(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]] = ()) -> Page:
    """Return a page of columns of int, text and boolean."""
    specs = [ColumnSpec("ks", "t", name, NativeType(kind)) for name, kind in columns]
    rows = list(rows)
    body = b"".join(
        b"\xff\xff\xff\xff" if value is None else _cell(WIRE[kind](value))
        for row in rows
        for value, (_, kind) in zip(row, columns, strict=True)
    )
    return REGISTRY.plan(specs).page(body, 0, len(rows))


def _cell(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def users(*ids: int) -> Page:
    """Return a page of users with these ids."""
    return page([("id", "int"), ("name", "text")], [(each, f"user {each}") for each in ids])


class Pages:
    """A pager over given responses; the paging state of each is its place among them."""

    fingerprint = FINGERPRINT

    def __init__(self, *pages: Page | None) -> None:
        self.responses = [
            Response(each, b"%d" % (number + 1) if number + 1 < len(pages) else None)
            for number, each in enumerate(pages)
        ]
        self.fetched: list[bytes] = []
        self.failures: list[Exception] = []

    @property
    def first(self) -> Response:
        """The response that the call itself gave."""
        return self.responses[0]

    async def fetch(self, paging_state: bytes) -> Response:
        """Fail as told to, else give the page."""
        self.fetched.append(paging_state)
        if self.failures:
            raise self.failures.pop()
        return self.responses[int(paging_state)]

    async def trace(self, tracing_id: UUID, *how: Any) -> Trace:
        """Return a trace without events."""
        return Trace(
            id=tracing_id,
            request="Execute CQL3 query",
            parameters={},
            client=None,
            coordinator=None,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            duration=1,
            events=(),
        )


def run(coroutine: Any) -> Any:
    """Run a coroutine that never waits for a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")
