"""Profiles: a report that may take its time, beside logins that may not, on one session.

python examples/profiles.py 127.19.1.1
"""

from __future__ import annotations

import sys
from decimal import Decimal

import trio

import triocql
from triocql.policies import ExponentialBackoffRetry, NeverThrottle, Throttle

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS chain WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS chain.sales (shop text, number int, price decimal, PRIMARY KEY (shop, number))",
    "CREATE TABLE IF NOT EXISTS chain.users (name text PRIMARY KEY, password text)",
)
SHOPS = ("north", "south", "west")

PROFILES = {
    # Patient, and never more than four of its requests at a time: what others ask for does not wait behind them.
    "reports": triocql.Profile(timeout=60.0, page_size=100, throttling=Throttle(concurrency=4)),
    # As reports, but tried again for as long as it takes; what it writes may be written twice.
    "nightly": triocql.Profile(
        base="reports", timeout=600.0, idempotent=True, retry=ExponentialBackoffRetry(attempts=10)
    ),
    "logins": triocql.Profile(timeout=5.0, throttling=NeverThrottle()),
}


async def load(session: triocql.Session) -> None:
    """Write what the shops have sold; a statement may have its profile with it."""
    insert = await session.prepare("INSERT INTO chain.sales (shop, number, price) VALUES (?, ?, ?)")
    sales = [(shop, number, Decimal(number)) for shop in SHOPS for number in range(200)]
    await session.execute_concurrent_with_args(insert.with_options(profile="nightly"), sales)


async def report(session: triocql.Session) -> None:
    """Add up the sales of each shop, page by page."""
    for shop in SHOPS:
        query = "SELECT price FROM chain.sales WHERE shop = ?"
        async with session.stream(query, [shop], profile="reports") as rows:
            prices = [row.price async for row in rows]
        print(f"{shop}: {sum(prices):,} in {len(prices)} sales")


async def log_in(session: triocql.Session, name: str) -> None:
    found = await session.execute("SELECT name FROM chain.users WHERE name = ?", [name], profile="logins")
    assert found.one() is None


async def main(address: str) -> None:
    async with triocql.connect(address, profiles=PROFILES) as session:
        for statement in SCHEMA:
            await session.execute(statement)
        await load(session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report, session)
            for number in range(50):
                nursery.start_soon(log_in, session, f"user {number}")

        # What was counted is told apart by profile, too.
        for profile, operation in (("nightly", "INSERT"), ("reports", "SELECT"), ("logins", "SELECT")):
            durations = session.metrics.durations(profile=profile, operation=operation, outcome="success")
            print(f"{profile}: {durations.count} requests")

        # A name that is misspelt is an error before anything is sent.
        try:
            await session.execute("SELECT * FROM chain.sales", profile="report")
        except triocql.errors.OptionError as error:
            print(error)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
