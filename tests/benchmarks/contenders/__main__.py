"""A contender's process: `python -m tests.benchmarks.contenders CONTENDER PORT` obeys its stdin.

It prints a line when connected, then one a round: the process's CPU time, all threads together, and the time
that passed, both in seconds. Everything is JSON. With a third argument, `count`, it runs under valgrind, which it has
count the instructions of each round into a file.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from typing import Any

from tests.benchmarks import compiled
from tests.benchmarks.contenders import ROW, Contender, Loop, Meter, Opener, Order, Worker


class AsyncioLoop:
    """asyncio and uvloop, and the callers that block."""

    async def read_line(self) -> str:
        """Return the next line of stdin."""
        return await asyncio.to_thread(sys.stdin.readline)

    async def run_tasks(self, worker: Worker, count: int) -> None:
        """Run the tasks in a task group."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())


class TrioLoop:
    """Trio."""

    async def read_line(self) -> str:
        """Return the next line of stdin."""
        import trio

        return await trio.to_thread.run_sync(sys.stdin.readline)

    async def run_tasks(self, worker: Worker, count: int) -> None:
        """Run the tasks in a nursery."""
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(worker)


def opener(contender: Contender) -> Opener:
    """Import a driver, and nothing of the others."""
    if contender.driver == "triocql" and contender.loop == "thread":
        from tests.benchmarks.contenders import blocking

        return blocking.connect
    if contender.driver == "triocql":
        from tests.benchmarks.contenders import ours

        return ours.connect
    if contender.driver == "raw socket":
        from tests.benchmarks.contenders import floors

        return floors.connect
    from tests.benchmarks.contenders import peers

    return peers.connect_acsylla if contender.driver == "acsylla" else peers.connect_cassandra


async def obey(contender: Contender, port: int, meter: Meter, loop: Loop) -> None:
    """Connect, then carry out orders until stdin ends."""
    async with opener(contender)(contender, port, loop) as runner:
        print(json.dumps("ready"), flush=True)
        while line := await loop.read_line():
            order = Order(**json.loads(line))
            values = ROW if order.operation == "INSERT" else ROW[:1]
            parameters: list[Any] = [runner.parameter_type((i, *values[1:])) for i in range(order.requests)]
            gc.collect()
            meter.start()
            await runner.run(order, parameters)
            print(json.dumps(meter.stop()), flush=True)


class Clocks:
    """Measures CPU time, of all threads of this process and in the kernel too, and the time that passes."""

    def start(self) -> None:
        """Begin a round."""
        self._started = self._now()

    def stop(self) -> tuple[float, float]:
        """Return the seconds since the start."""
        cpu, wall = self._now()
        return cpu - self._started[0], wall - self._started[1]

    def _now(self) -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime, time.perf_counter()


def main() -> None:
    contender, port = Contender(**json.loads(sys.argv[1])), int(sys.argv[2])
    meter: Meter = compiled.load("callgrind").Counter() if sys.argv[3:] == ["count"] else Clocks()
    if contender.loop == "trio":
        import trio

        trio.run(obey, contender, port, meter, TrioLoop())
    elif contender.loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(obey(contender, port, meter, AsyncioLoop()))
    else:
        asyncio.run(obey(contender, port, meter, AsyncioLoop()))


if __name__ == "__main__":
    main()
