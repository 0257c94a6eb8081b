"""Who takes part: a contender is one driver on one event loop, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

Driver = Literal["triocql", "acsylla", "cassandra-driver", "raw socket"]
LoopName = Literal["trio", "asyncio", "uvloop", "thread", "blocking"]
Operation = Literal["INSERT", "SELECT"]
Shape = Literal["concurrent", "tasks", "futures", "threads", "windows"]

Worker = Callable[[], Coroutine[Any, Any, None]]  # a task's body

STATEMENTS: dict[Operation, str] = {
    "INSERT": "INSERT INTO bench.kv (k, v) VALUES (?, ?)",
    "SELECT": "SELECT k, v FROM bench.kv WHERE k = ?",
}
# What the server answers to the SELECT: every driver reads it, and is checked for it once a round.
ROW = (1234567890123, "0123456789abcdef0123456789abcdef")
WHAT: dict[Shape, str] = {
    "concurrent": "execute_concurrent_with_args",
    "tasks": "tasks awaiting execute",
    "futures": "execute_async",
    "threads": "threads in execute",
    "windows": "windows of ready requests",
}


@dataclass(frozen=True)
class Contender:
    """One driver on one loop, with one wire format. `pure` leaves out triocql's compiled part; `watching` is a way to
    watch it (`contenders.watching`).

    `folder` is where triocql is imported from, if it is not this checkout's.
    """

    driver: Driver
    loop: LoopName
    version: int = 5
    lz4: bool = False
    pure: bool = False
    folder: str = ""
    watching: str = ""

    def __str__(self) -> str:
        parts = [self.driver, self.loop, f"v{self.version}"]
        parts += ["LZ4"] * self.lz4 + ["pure Python"] * self.pure + [self.watching] * bool(self.watching)
        return ", ".join(parts)


@dataclass(frozen=True)
class Order:
    """One round: so many requests of one operation, so many of them in flight, in one shape of calls."""

    shape: Shape
    operation: Operation
    in_flight: int
    requests: int


class Loop(Protocol):
    """What a contender's process needs of its event loop."""

    async def read_line(self) -> str:
        """Return the next line of stdin, "" at its end, without holding up the loop."""

    async def run_tasks(self, worker: Worker, count: int) -> None:
        """Run `count` tasks of the same body to their end."""


class Runner(Protocol):
    """A connected driver."""

    parameter_type: type

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round, reading every row that comes back."""


class Meter(Protocol):
    """Measures a round."""

    def start(self) -> None:
        """Begin a round."""

    def stop(self) -> tuple[float, float] | None:
        """End it, and return the seconds of CPU time and of time, if those are measured."""


class Opener(Protocol):
    """Connects a driver."""

    def __call__(
        self, contender: Contender, port: int, loop: Loop
    ) -> AbstractAsyncContextManager[Runner]: ...


def run_threads(worker: Callable[[], None], count: int) -> None:
    """Run `count` threads of the same body to their end; raises what one of them raised."""
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(worker) for _ in range(count)]:
            ended.result()


def check(row: Any) -> None:
    """Raise unless a driver read the server's row."""
    if tuple(row) != ROW:
        raise AssertionError(f"the server's row is {ROW}, this is {row}")
