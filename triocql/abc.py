"""The contract between the core and the event loops: what a reactor offers, and what it is offered.

The core (protocol, engine, cluster, session) never imports an event loop. It is driven through `Link` and reaches
the loop through `Reactor`. Everything here is called on the loop only, by one thread, and never needs a lock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Address(NamedTuple):
    """The address that a node listens on: a host name or IP literal with a port, or the path of a unix socket.

    >>> str(Address("10.0.0.1", 9042)), str(Address("::1", 9042)), str(Address("/run/cql.sock", 0))
    ('10.0.0.1:9042', '[::1]:9042', '/run/cql.sock')
    """

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether `host` is the path of a unix socket; the port has no meaning then."""
        return self.host.startswith(("/", "@"))

    def __str__(self) -> str:
        if self.is_unix:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


SocketOption = tuple[int, int, int | bytes]
"""The level, the name and the value of an option, as `socket.setsockopt` takes them."""


class LocalPortUnavailable(OSError):
    """The local port that `Reactor.connect` was asked for cannot be used now: it is taken, or not allowed."""


class Link(Protocol):
    """The core's side of one connection. The reactor calls it; no method blocks, awaits or raises."""

    def connection_made(self, transport: Transport) -> None:
        """Called once, before every other method, with the transport of the connection."""

    def data_to_send(self) -> bytes:
        """Hand over everything that waits to be sent, b"" if nothing does.

        Pulled once a tick when the socket can take it, so that segments, compression and TLS work on the batch.
        """

    def data_received(self, data: bytes | memoryview) -> None:
        """Called with bytes from the peer. A memoryview is only valid during the call."""

    def eof_received(self) -> None:
        """Called when the peer has closed its sending side. The transport stays open until it is closed."""

    def connection_lost(self, error: Exception | None) -> None:
        """Called exactly once, when the transport has ended: by `error`, or None after our own `close` or `abort`."""


class Transport(Protocol):
    """The reactor's side of one connection. Every method is synchronous; every method may be called after the end.

    No method calls the link before it returns: what it sets off happens in a later tick.
    """

    def wake(self) -> None:
        """Called when the link's buffer became non-empty: `data_to_send` is pulled in this tick or the next."""

    def pause_reading(self) -> None:
        """Stop calling `data_received`, so that the peer feels back-pressure."""

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""

    def close(self) -> None:
        """Send what waits to be sent, within a bound of a few seconds, then close. Idempotent."""

    def abort(self) -> None:
        """Drop everything and close now. Idempotent."""


class Waiter(Protocol[T]):
    """One result on its way to one consumer. The first `resolve` or `reject` counts, later ones are ignored.

    Where a loop calls `on_cancel` some time after it was told to cancel the consumer, its waiters have an `is_gone`,
    too: whether it was told. What is not written yet by then will not be.
    """

    def resolve(self, value: T) -> None:
        """End the wait with a value."""

    def reject(self, error: BaseException) -> None:
        """End the wait with an error. Each waiter needs an exception object of its own.

        It is no `Exception` where code of the consumer's, a codec say, raised such a thing while it was run for them.
        """

    def wait(self) -> Awaitable[T]:
        """Wait for the outcome: always a checkpoint. If cancelled, `on_cancel` is called before the cancellation
        goes on; it may come after the waiter was resolved, and the value is lost then."""


class Reactor(Protocol):
    """An event loop as the core sees it: also an async context manager that owns whatever runs in the background.

    Leaving it ends its background tasks and closes its transports; nothing of it is left open then.
    """

    name: str

    def now(self) -> float:
        """Return the loop's monotonic clock in seconds. Any thread may ask, once the reactor was entered."""

    def check_caller(self) -> None:
        """Raise UsageError if the caller is not in this loop: in another thread or loop, or after the loop's end.

        Users reach a session from anywhere; what drives connections must not.
        """

    def waiter(self, on_cancel: Callable[[], None]) -> Waiter[Any]:
        """Make a waiter; `on_cancel` is called, synchronously, if its consumer is cancelled.

        Raises as `check_caller` does.
        """

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once when `now()` reaches `when`; returns the function that cancels it."""

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns the function that cancels it.

        An exception from it does not reach the user's tasks: it is passed to `on_bug`, if set, else logged; so is what
        is no `Exception`, such as SystemExit, but for the loop's own cancellation. Where a program can cancel it, by
        listing all tasks, it is run again.
        """

    on_bug: Callable[[BaseException], None] | None

    def protect(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Return `fn` such that KeyboardInterrupt is held back while it runs."""

    def drop(self) -> None:
        """Abort every connection: what waits to be sent is lost."""

    async def connect(
        self,
        address: Address,
        link: Link,
        *,
        timeout: float,
        local_port: int | None = None,
        socket_options: Sequence[SocketOption] = (),
        at_random: bool = False,
    ) -> Transport:
        """Open a connection and start to drive `link` by it. TCP connections get TCP_NODELAY and keep-alive, and after
        that `socket_options`, all before they are dialled.

        A name is resolved off the loop; of several addresses, later ones are tried while earlier ones hang. The first
        one is that which the name led to last; `at_random`, it is any of them.
        Raises OSError (from the last address tried, the others in its notes), or TimeoutError after `timeout`
        seconds; LocalPortUnavailable if `local_port`, the port of this side, is what cannot be had: another one might
        do. If it raises or is cancelled, nothing is left open and `connection_made` has not been called.
        """

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of this reactor's clock pass; 0 lets others run once."""

    async def outlast(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await what `wait()` returns, until it has ended by itself: a cancellation of the caller is raised after that.

        If it is cancelled, `wait` is called again, so that it has to know whether there is anything to wait for.
        """

    async def run_blocking(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a function that blocks in a thread. If cancelled, the thread is abandoned."""

    async def __aenter__(self) -> Reactor: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...
