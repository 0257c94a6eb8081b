"""triocql.sync: a session on a loop in a thread, and callers that block."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import triocql
from tests.benchmarks.contenders import (
    STATEMENTS,
    Contender,
    Loop,
    Operation,
    Order,
    Runner,
    check,
    run_threads,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SyncRunner:
    """A session and its two prepared statements; it blocks the loop that it is called on."""

    parameter_type: type = tuple

    def __init__(
        self, session: triocql.sync.Session, statements: dict[Operation, triocql.PreparedStatement]
    ) -> None:
        self._session = session
        self._statements = statements

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round."""
        ways = {"concurrent": self._concurrently, "futures": self._futures, "threads": self._threads}
        row = ways[order.shape](order, self._statements[order.operation], parameters)
        if row is not None:
            check(row)

    def _concurrently(self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]) -> Any:
        results = self._session.execute_concurrent_with_args(statement, parameters, order.in_flight)
        assert len(results) == len(parameters)
        row: Any = None
        if order.operation == "SELECT":
            for result in results:
                row = result.result_or_exc.one()
        return row

    def _futures(self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]) -> Any:
        execute_async = self._session.execute_async
        waiting: deque[Any] = deque()
        row: Any = None
        for values in parameters:
            if len(waiting) == order.in_flight:
                row = waiting.popleft().result().one()
            waiting.append(execute_async(statement, values))
        while waiting:
            row = waiting.popleft().result().one()
        return row

    def _threads(self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]) -> Any:
        execute, remaining = self._session.execute, iter(parameters)
        rows: list[Any] = []

        def work() -> None:
            row: Any = None
            for values in remaining:
                row = execute(statement, values).one()
            rows.append(row)

        run_threads(work, order.in_flight)
        return rows[0]


@asynccontextmanager
async def connect(contender: Contender, port: int, loop: Loop) -> AsyncIterator[Runner]:
    """Connect a session as the contender says."""
    compression: Literal["lz4"] | None = "lz4" if contender.lz4 else None
    with triocql.sync.connect(
        ["127.0.0.1"], port=port, protocol_version=contender.version, compression=compression
    ) as session:
        yield SyncRunner(session, {name: session.prepare(text) for name, text in STATEMENTS.items()})
