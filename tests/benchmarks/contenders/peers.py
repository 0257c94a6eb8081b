"""The other drivers: acsylla (C++ under asyncio) and cassandra-driver (threads)."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

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


class AcsyllaRunner:
    """An acsylla session; it has no call for many statements, so tasks await `execute`."""

    parameter_type: type = list

    def __init__(self, session: Any, statements: dict[Operation, Any], loop: Loop) -> None:
        self._session = session
        self._statements = statements
        self._loop = loop

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round."""
        bind, execute = self._statements[order.operation].bind, self._session.execute
        remaining = iter(parameters)

        async def insert() -> None:
            for values in remaining:
                statement = bind()
                statement.bind_list(values)
                await execute(statement)

        async def select() -> None:
            row: Any = None
            for values in remaining:
                statement = bind()
                statement.bind_list(values)
                row = (await execute(statement)).first().as_tuple()
            if row is not None:
                check(row)

        await self._loop.run_tasks(insert if order.operation == "INSERT" else select, order.in_flight)


@asynccontextmanager
async def connect_acsylla(contender: Contender, port: int, loop: Loop) -> AsyncIterator[Runner]:
    """Connect acsylla with its defaults. It speaks v4: to it v5 is still the beta, without checksums."""
    import acsylla

    cluster = acsylla.create_cluster(
        ["127.0.0.1"], port=port, protocol_version=contender.version, log_level="disabled"
    )
    session = await cluster.create_session()
    try:
        statements = {name: await session.create_prepared(text) for name, text in STATEMENTS.items()}
        yield AcsyllaRunner(session, statements, loop)
    finally:
        await session.close()


class CassandraRunner:
    """A cassandra-driver session, which blocks the loop that it is called on."""

    parameter_type: type = tuple

    def __init__(self, session: Any, statements: dict[Operation, Any]) -> None:
        self._session = session
        self._statements = statements

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round."""
        statement = self._statements[order.operation]
        if order.shape == "concurrent":
            self._concurrently(order, statement, parameters)
        elif order.shape == "threads":
            self._threads(order, statement, parameters)
        else:
            self._futures(order, statement, parameters)

    def _concurrently(self, order: Order, statement: Any, parameters: list[Any]) -> None:
        from cassandra.concurrent import execute_concurrent_with_args

        results = execute_concurrent_with_args(
            self._session, statement, parameters, concurrency=order.in_flight
        )
        assert len(results) == len(parameters)
        if order.operation == "SELECT":
            for result in results:
                row = result.result_or_exc.one()
            check(row)

    def _threads(self, order: Order, statement: Any, parameters: list[Any]) -> None:
        execute, remaining = self._session.execute, iter(parameters)

        def work() -> None:
            row: Any = None
            for values in remaining:
                row = execute(statement, values).one()
            if row is not None:
                check(row)

        run_threads(work, order.in_flight)

    def _futures(self, order: Order, statement: Any, parameters: list[Any]) -> None:
        execute_async = self._session.execute_async
        waiting: deque[Any] = deque()
        result: Any = None
        for values in parameters:
            if len(waiting) == order.in_flight:
                result = waiting.popleft().result().one()
            waiting.append(execute_async(statement, values))
        while waiting:
            result = waiting.popleft().result().one()
        if order.operation == "SELECT":
            check(result)


@asynccontextmanager
async def connect_cassandra(contender: Contender, port: int, loop: Loop) -> AsyncIterator[Runner]:
    """Connect cassandra-driver with its defaults, but for the version and the compression asked for."""
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import RoundRobinPolicy

    cluster = Cluster(
        ["127.0.0.1"],
        port=port,
        protocol_version=contender.version,
        compression="lz4" if contender.lz4 else False,
        execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(RoundRobinPolicy())},
    )
    try:
        session = cluster.connect()
        yield CassandraRunner(session, {name: session.prepare(text) for name, text in STATEMENTS.items()})
    finally:
        cluster.shutdown()
