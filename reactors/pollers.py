"""Pollers say which sockets are ready: epoll where there is one, or whatever `selectors` has.

Both modules are looked into when a poller is made: gevent and eventlet patch them.
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Iterable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Protocol

OnReady = Callable[[int], None]
"""Called with those of `selectors.EVENT_READ` and `EVENT_WRITE` that a socket is ready for."""


class Poller(Protocol):
    """Watches sockets."""

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Watch a socket for `events` from now on, in place of those before; for 0, no longer."""

    def poll(self, timeout: float) -> Iterable[tuple[OnReady, int]]:
        """Wait `timeout` seconds at most; return who is to be told, and of what."""

    def close(self) -> None:
        """Close the sockets that are watched, and the poller."""


class EpollPoller:
    """Without the objects that `selectors` makes for each event: that takes as long as the call of the system."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[socket.socket, OnReady]] = {}
        self._masks = {
            EVENT_READ: select.EPOLLIN,
            EVENT_WRITE: select.EPOLLOUT,
            EVENT_READ | EVENT_WRITE: select.EPOLLIN | select.EPOLLOUT,
        }
        # An error or the end of a connection is for both: the next call of the socket tells which it is.
        self._events = tuple(
            (EVENT_READ if mask & ~select.EPOLLOUT else 0) | (EVENT_WRITE if mask & ~select.EPOLLIN else 0)
            for mask in range(2 * max(select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP))
        )

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Watch a socket (`Poller`)."""
        fd = sock.fileno()
        known = fd in self._watched
        if events:
            self._watched[fd] = sock, on_ready
            (self._epoll.modify if known else self._epoll.register)(fd, self._masks[events])
        elif known:
            del self._watched[fd]
            self._epoll.unregister(fd)

    def poll(self, timeout: float) -> Iterable[tuple[OnReady, int]]:
        """Wait (`Poller`)."""
        ready = []
        for fd, mask in self._epoll.poll(timeout):
            ready.append((self._watched[fd][1], self._events[mask]))
        return ready

    def close(self) -> None:
        """Close all (`Poller`)."""
        for sock, _ in self._watched.values():
            sock.close()
        self._epoll.close()


class SelectorPoller:
    """For other systems, and for green threads."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Watch a socket (`Poller`)."""
        known = sock in self._selector.get_map()
        if not known and events:
            self._selector.register(sock, events, on_ready)
        elif known and events:
            self._selector.modify(sock, events, on_ready)
        elif known:
            self._selector.unregister(sock)

    def poll(self, timeout: float) -> Iterable[tuple[OnReady, int]]:
        """Wait (`Poller`)."""
        return [(key.data, events) for key, events in self._selector.select(timeout)]

    def close(self) -> None:
        """Close all (`Poller`)."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # nothing but sockets is watched
        self._selector.close()


def make_poller() -> Poller:
    """Return the best poller there is."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


def threads_are_green() -> bool:
    """Whether this program is patched by gevent or eventlet, which remove what would block all their threads."""
    return not (hasattr(select, "epoll") or hasattr(select, "kqueue"))
