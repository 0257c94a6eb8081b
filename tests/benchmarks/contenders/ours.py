"""triocql on Trio, asyncio and uvloop."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import triocql
from tests.benchmarks.contenders import STATEMENTS, Contender, Loop, Operation, Order, Runner, check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TriocqlRunner:
    """A session and its two prepared statements."""

    parameter_type: type = tuple

    def __init__(
        self, session: triocql.Session, statements: dict[Operation, triocql.PreparedStatement], loop: Loop
    ) -> None:
        self._session = session
        self._statements = statements
        self._loop = loop

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round."""
        statement = self._statements[order.operation]
        if order.shape == "concurrent":
            await self._concurrently(order, statement, parameters)
        elif order.operation == "INSERT":
            await self._insert(order, statement, parameters)
        else:
            await self._select(order, statement, parameters)

    async def _concurrently(
        self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]
    ) -> None:
        results = await triocql.execute_concurrent_with_args(
            self._session, statement, parameters, concurrency=order.in_flight
        )
        assert len(results) == len(parameters)
        if order.operation == "SELECT":
            for result in results:
                row = result.result_or_exc.one()
            check(row)

    async def _insert(
        self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]
    ) -> None:
        execute, remaining = self._session.execute, iter(parameters)

        async def worker() -> None:
            for values in remaining:
                await execute(statement, values)

        await self._loop.run_tasks(worker, order.in_flight)

    async def _select(
        self, order: Order, statement: triocql.PreparedStatement, parameters: list[Any]
    ) -> None:
        execute, remaining = self._session.execute, iter(parameters)

        async def worker() -> None:
            row: Any = None
            for values in remaining:
                row = (await execute(statement, values)).one()
            if row is not None:
                check(row)

        await self._loop.run_tasks(worker, order.in_flight)


@asynccontextmanager
async def connect(contender: Contender, port: int, loop: Loop) -> AsyncIterator[Runner]:
    """Connect a session as the contender says."""
    compression: Literal["lz4"] | None = "lz4" if contender.lz4 else None
    watching = _watching(contender.watching)
    async with triocql.connect(
        ["127.0.0.1"],
        port=port,
        protocol_version=contender.version,
        compression=compression,
        **watching.options,
    ) as session:
        statements = {name: await session.prepare(text) for name, text in STATEMENTS.items()}
        with watching.around():
            yield TriocqlRunner(session, statements, loop)


def _watching(name: str) -> Any:
    """Return a way to watch. Where there is none, nothing of it is imported."""
    if not name:
        return SimpleNamespace(options={}, around=nullcontext)
    from tests.benchmarks.contenders.watching import WATCHING

    return WATCHING[name]
