"""Dialling for every reactor: look up a name, race its addresses, hand over one connected socket.

Several addresses are tried in the manner of Happy Eyeballs (RFC 8305): the families take turns, and the next
attempt starts when the one before it fails or after a quarter of a second.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from triocql.abc import Address, LocalPortUnavailable, Reactor, SocketOption

from .base import nothing

ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried beside one that does not answer (RFC 8305, section 5)."""

_MOST_KEPT = 1024

_IN_USE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
"""Another socket has the local port; a connection from there to the same address has just ended."""
_NOT_BOUND = (*_IN_USE, errno.EACCES)

ConnectSocket = Callable[[socket.socket, Any], Awaitable[None]]
"""Connects a non-blocking socket to a socket address; raises OSError."""


class Target(NamedTuple):
    """A family and a socket address of it."""

    family: int
    sockaddr: Any

    def __str__(self) -> str:
        return str(Address(*self.sockaddr[:2])) if isinstance(self.sockaddr, tuple) else str(self.sockaddr)


class Dialling(NamedTuple):
    """The options of `Reactor.connect`.

    `reached` is kept from one dial of a reactor to the next: where names led to last. That is tried first if it is
    still among what they stand for, so that an address that does not answer lets wait but once. `at_random` is for
    names that stand for many servers which are as good as each other: then each dial begins with any of them.
    """

    timeout: float
    reached: dict[Address, Target]
    local_port: int | None = None
    socket_options: Sequence[SocketOption] = ()
    at_random: bool = False


async def dial(
    reactor: Reactor, connect_socket: ConnectSocket, address: Address, how: Dialling
) -> socket.socket:
    """Return a non-blocking socket connected to `address`.

    Raises OSError or TimeoutError as `Reactor.connect` does; whatever else was opened is closed by then or by the
    next tick of the loop.
    """
    race = _Race(reactor, connect_socket, address, how)
    try:
        race.begin()
        winner = await race.waiter.wait()
    except BaseException:
        race.drop_winner()
        raise
    finally:
        race.stop()
    assert isinstance(winner, socket.socket)
    return winner


class _Race:
    """The attempts to reach one address; the first socket that connects wins."""

    def __init__(
        self, reactor: Reactor, connect_socket: ConnectSocket, address: Address, how: Dialling
    ) -> None:
        self.waiter = reactor.waiter(self.stop)
        self._reactor = reactor
        self._connect_socket = connect_socket
        self._address = address
        self._how = how
        self._targets: list[Target] = []
        self._running = 0
        self._errors: list[OSError] = []
        self._winner: socket.socket | None = None
        self._over = False
        self._cancels: list[Callable[[], None]] = []
        self._cancel_delay: Callable[[], None] = nothing

    def begin(self) -> None:
        """Begin to look up the name, and arm the timeout."""
        self._cancels.append(self._reactor.call_at(self._reactor.now() + self._how.timeout, self._time_out))
        self._spawn(self._look_up)

    def stop(self) -> None:
        """End every attempt and timer; idempotent."""
        self._over = True
        self._cancel_delay()
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()

    def drop_winner(self) -> None:
        """Close the socket that won, as nobody is there to take it."""
        if self._winner is not None:
            self._winner.close()

    def _spawn(self, step: Callable[..., Awaitable[None]], *args: Target) -> None:
        self._cancels.append(self._reactor.spawn(self._run, step, *args))

    async def _run(self, step: Callable[..., Awaitable[None]], *args: Target) -> None:
        """Run a step in the background; whatever ends it is reported to the caller."""
        if self._over:
            return
        try:
            await step(*args)
        except Exception as error:
            self._end(error)
        except BaseException:
            self._end(ConnectionAbortedError("the reactor was left while it was connecting"))
            raise

    async def _look_up(self) -> None:
        self._targets = targets = await look_up(self._reactor, self._address)
        if self._how.at_random:
            random.shuffle(targets)
        else:
            last = self._how.reached.get(self._address)
            targets.sort(key=lambda target: target != last)
        self._start_next()

    def _start_next(self) -> None:
        if self._over or not self._targets:
            return
        self._running += 1
        self._spawn(self._attempt, self._targets.pop(0))
        self._cancel_delay()
        self._cancel_delay = self._reactor.call_at(self._reactor.now() + ATTEMPT_DELAY, self._start_next)

    async def _attempt(self, target: Target) -> None:
        try:
            sock = await self._connected(target)
        except OSError as error:
            self._failed(target, error)
        else:
            _keep(self._how.reached, self._address, target)
            self._won(sock)

    async def _connected(self, target: Target) -> socket.socket:
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if not self._address.is_unix:
                _set_options(sock, self._how.socket_options)
            if self._how.local_port is None or self._address.is_unix:
                await self._connect_socket(sock, target.sockaddr)
            else:
                await self._connect_from(self._how.local_port, sock, target.sockaddr)
            _refuse_self_connection(sock, self._address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _connect_from(self, local_port: int, sock: socket.socket, sockaddr: Any) -> None:
        """Connect from a port of our own. Raises LocalPortUnavailable if it is that which cannot be had."""
        try:
            _bind(sock, local_port)
        except OSError as error:
            _check_port(error, local_port, _NOT_BOUND)
            raise
        try:
            await self._connect_socket(sock, sockaddr)
        except OSError as error:
            _check_port(error, local_port, _IN_USE)
            raise

    def _won(self, sock: socket.socket) -> None:
        if self._over:
            sock.close()
            return
        self._winner = sock
        self.stop()
        self.waiter.resolve(sock)

    def _failed(self, target: Target, error: OSError) -> None:
        self._running -= 1
        error.add_note(f"while connecting to {target}")
        self._errors.append(error)
        if self._targets:
            self._start_next()
        elif not self._running:
            self._end(self._errors[-1])

    def _time_out(self) -> None:
        self._end(TimeoutError(f"no connection to {self._address} within {self._how.timeout:g} s"))

    def _end(self, error: Exception) -> None:
        """End with the error, with what happened at the other addresses in its notes."""
        if self._over:
            return
        for other in self._errors:
            if other is not error:
                error.add_note(f"{other} ({other.__notes__[0]})")
        self.stop()
        self.waiter.reject(error)


def _keep(reached: dict[Address, Target], address: Address, target: Target) -> None:
    """Keep where an address led to, of a bounded number of them."""
    if len(reached) >= _MOST_KEPT:
        reached.clear()
    reached[address] = target


async def look_up(reactor: Reactor, address: Address) -> list[Target]:
    """Return the socket addresses of `address`, families taking turns. Only a name costs a thread."""
    if address.is_unix:
        path = address.host
        return [Target(socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path)]
    try:
        found = _getaddrinfo(address, socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await reactor.run_blocking(_getaddrinfo, address, 0)
    first = [target for target in found if target.family == found[0].family]
    others = [target for target in found if target.family != found[0].family]
    return [target for target in chain.from_iterable(zip_longest(first, others)) if target is not None]


def _getaddrinfo(address: Address, flags: int) -> list[Target]:
    try:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise OSError(f"{address.host!r} is not a valid host name: {error}") from error
    return [Target(family, sockaddr) for family, _, _, _, sockaddr in infos]


def _set_options(sock: socket.socket, options: Sequence[SocketOption]) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in options:
        try:
            sock.setsockopt(*option)
        except OSError as error:
            raise OSError(error.errno, f"the socket option {option} was refused: {error.strerror}") from error


def _bind(sock: socket.socket, local_port: int) -> None:
    """Bind to a port of our own. SO_REUSEADDR lets one that is in TIME_WAIT, or used towards another node, serve."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", local_port))


def _check_port(error: OSError, local_port: int, unavailable: tuple[int, ...]) -> None:
    """Raise LocalPortUnavailable if `error` says that a local port cannot be had."""
    if error.errno in unavailable:
        reason = f"the local port {local_port} cannot be used: {error.strerror}"
        raise LocalPortUnavailable(error.errno, reason) from error


def _refuse_self_connection(sock: socket.socket, address: Address) -> None:
    """Refuse what TCP's simultaneous open makes of a port of ours where nobody listens: a connection to itself."""
    if not address.is_unix and sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
