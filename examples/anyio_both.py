"""One program on both of AnyIO's backends, with its task groups and its cancel scopes around everything."""

from __future__ import annotations

import sys

import anyio

import triocql


async def release(session: triocql.Session, versions: list[str]) -> None:
    versions.append((await session.execute("SELECT release_version FROM system.local")).scalar())


async def main(address: str, backend: str) -> None:
    async with triocql.connect(address) as session:
        versions: list[str] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(release, session, versions)
        print(f"{len(versions)} answers, {set(versions)}, {backend}")

        tables = 0
        with anyio.move_on_after(0.5) as scope:
            while True:
                async with session.stream("SELECT * FROM system_schema.tables", page_size=10) as rows:
                    async for _ in rows:
                        tables += 1
        print(f"{tables:,} rows until the scope was cancelled ({scope.cancelled_caught})")


if __name__ == "__main__":
    for backend in ("trio", "asyncio"):
        anyio.run(main, sys.argv[1], backend, backend=backend)
