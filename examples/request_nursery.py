"""Requests that come one by one and belong to a block: here, the lines of a log as they are written."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import trio

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS logs WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS logs.lines (host text, number int, line text, PRIMARY KEY (host, number))",
)


async def lines() -> AsyncIterator[str]:
    """Stand in for a source that takes its time."""
    for number in range(1000):
        if number % 100 == 0:
            await trio.sleep(0.01)
        yield f"line {number}"


async def main(address: str) -> None:
    async with triocql.connect(address) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        insert = await session.prepare("INSERT INTO logs.lines (host, number, line) VALUES (?, ?, ?)")

        number = 0
        async with triocql.open_request_nursery(session, concurrency=200) as nursery:
            async for line in lines():
                await nursery.start(insert, ["db1", number, line])  # waits only while 200 are under way
                number += 1
            handle = nursery.start_soon("SELECT count(*) FROM logs.lines WHERE host = 'db1'")
            print(f"{(await handle).scalar()} lines are there already")
        # Here all are written. Had one failed, its error would have left the block, and the rest been abandoned.

        count = await session.execute("SELECT count(*) FROM logs.lines WHERE host = 'db1'")
        print(f"{count.scalar()} lines in the end")


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
