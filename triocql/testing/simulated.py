"""A reactor without an event loop: virtual time, seeded order, in-memory connections.

Coroutines written against `triocql.abc.Reactor` run on it unchanged and in no time: the clock jumps to the next timer
when nothing else can run. The seed decides the order of what is ready and how received bytes are cut, so that a
failure repeats. Servers are links, too: `SimulatedReactor.listen` takes a factory of them.

>>> async def main(reactor: SimulatedReactor) -> float:
...     await reactor.sleep(3600)
...     return reactor.now()
>>> reactor = SimulatedReactor(seed=1)
>>> reactor.run(main, reactor)
3600.0
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from types import TracebackType

from triocql.abc import Address, Link, LocalPortUnavailable, SocketOption
from triocql.reactors.base import nothing

from .simloop import Deadlock, SimLoop
from .simnetwork import SimListener, SimNetwork, SimTransport
from .simtasks import SimCancelled, SimTask, SimWaiter

__all__ = [
    "Deadlock",
    "SimCancelled",
    "SimListener",
    "SimTask",
    "SimTransport",
    "SimWaiter",
    "SimulatedReactor",
]


class SimulatedReactor(SimLoop[SimTransport]):
    """Implements `triocql.abc.Reactor` on a virtual clock, for tests.

    Args:
        seed: decides the order of what is ready at one time, and the cutting of received bytes.
        level: whether a cancelled task is cancelled at every checkpoint from then on, as on Trio, not once.

    It may be entered and left like any reactor; `run`, `settle` and `advance` work in any case, and again and again.
    """

    name = "simulated"
    cancellation = SimCancelled

    def __init__(self, seed: int = 0, *, level: bool = False) -> None:
        super().__init__(seed, level=level)
        self.network = SimNetwork(self)

    def listen(self, address: Address, factory: Callable[[], Link]) -> SimListener:
        """Serve at `address`: each connection is given a link of its own, driven like any other."""
        return self.network.listen(address, factory)

    async def connect(
        self,
        address: Address,
        link: Link,
        *,
        timeout: float,
        local_port: int | None = None,
        socket_options: Sequence[SocketOption] = (),
        at_random: bool = False,
    ) -> SimTransport:
        """Connect to a listener of this reactor. Its connections have no sockets, and no options of them."""
        if local_port is not None and self.network.in_use(address, local_port):
            raise LocalPortUnavailable(errno.EADDRINUSE, f"the local port {local_port} is in use")
        waiter = self.waiter(nothing)
        cancels = [
            self.call_at(
                self._now + timeout,
                lambda: waiter.reject(TimeoutError(f"no connection to {address} within {timeout:g} s")),
            ),
            self.spawn(self.network.dial, address, waiter, at_random),
        ]
        try:
            listener = await waiter.wait()
        finally:
            for cancel in cancels:
                cancel()
        return self.network.join(listener, link, local_port)

    async def __aenter__(self) -> SimulatedReactor:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None:
                for transport in [t for t in self.transports if t.closing]:
                    await transport.wait_lost()
        finally:
            task = self.current_task()
            task.shield(1)
            try:
                await self._end_all()
            finally:
                task.shield(-1)

    async def _end_all(self) -> None:
        for background in list(self._background):
            background.cancel()
            await background.wait()
        for transport in list(self.transports):
            transport.abort()
            await transport.wait_lost()
