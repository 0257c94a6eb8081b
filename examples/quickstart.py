"""The first steps: connect, write, read. Run it with the address of a node: python examples/quickstart.py 127.19.1.1"""

from __future__ import annotations

import sys
from uuid import uuid4

import trio

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "USE shop",
    "CREATE TABLE IF NOT EXISTS users (id uuid PRIMARY KEY, name text, emails set<text>)",
)


async def main(address: str) -> None:
    async with triocql.connect(address) as session:
        for statement in SCHEMA:
            await session.execute(statement)

        # Values never become part of the text. It is prepared behind the scenes, once.
        ada = uuid4()
        await session.execute(
            "INSERT INTO users (id, name, emails) VALUES (?, ?, ?)", [ada, "Ada", {"ada@example.org"}]
        )

        result = await session.execute("SELECT name, emails FROM users WHERE id = ?", [ada])
        user = result.exactly_one()
        print(user.name, user["emails"])

        # Every wait can be cancelled, by a deadline for instance; the session is none the worse for it.
        with trio.move_on_after(1):
            async with session.stream("SELECT * FROM users", page_size=1000) as users:
                async for user in users:
                    print(user.id, user.name)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
