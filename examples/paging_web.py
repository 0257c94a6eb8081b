"""Pages for a web client: each answer carries, as text, where the next one begins; the server keeps nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import NamedTuple

import triocql
from triocql import PagingState

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS web WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS web.posts (blog text, number int, title text, PRIMARY KEY (blog, number)) "
    "WITH CLUSTERING ORDER BY (number DESC)",
)
SELECT = "SELECT number, title FROM web.posts WHERE blog = ?"


class Page(NamedTuple):
    """What a handler would answer with."""

    titles: list[str]
    next: str | None


async def posts(session: triocql.Session, blog: str, after: str | None) -> Page:
    """Handle ``GET /blog/{blog}?after=...``."""
    try:
        state = PagingState.fromhex(after) if after else None
        result = await session.execute(SELECT, [blog], page_size=10, paging_state=state)
    except ValueError as error:  # of another blog, damaged, or no paging state at all
        return Page([f"400 Bad Request: {error}"], None)
    return Page(
        [post.title for post in result.rows], result.paging_state.hex() if result.paging_state else None
    )


async def main(address: str) -> None:
    session = await triocql.connect(address)  # on asyncio it may be awaited, too
    try:
        for statement in SCHEMA:
            await session.execute(statement)
        insert = "INSERT INTO web.posts (blog, number, title) VALUES (?, ?, ?)"
        rows = [(blog, n, f"Post {n} of {blog}") for blog in ("cats", "dogs") for n in range(25)]
        await session.execute_concurrent_with_args(insert, rows)

        page = await posts(session, "cats", None)
        second = page.next
        while page.next is not None:
            print(f"{page.titles[0]} … {page.titles[-1]}, next: {page.next[:16]}…")
            page = await posts(session, "cats", page.next)
        print(f"{page.titles[0]} … {page.titles[-1]}, and no more")
        print((await posts(session, "dogs", second)).titles[0])
    finally:
        await session.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
