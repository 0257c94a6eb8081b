"""The options of TCP sockets: checked, and as `socket.setsockopt` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.config.checks import require, require_integer
from triocql.errors import OptionError

if TYPE_CHECKING:
    from triocql.abc import SocketOption

# How long a connection is silent before it is probed, by the names that operating systems have for it, and how long an
# answer is waited for.
_PACES = ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL")
_LONGEST_PACE = 32_767
_INTEGERS = range(-(2**31), 2**31)


def deviations(*, nodelay: bool, keepalive: bool | int) -> tuple[SocketOption, ...]:
    """Return the socket options for the options `tcp_nodelay` and `tcp_keepalive`, unless they are the usual."""
    if nodelay and keepalive is True:
        return ()
    import socket  # not at the top: a reactor loads it, and programs choose when

    found: list[SocketOption] = [] if nodelay else [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)]
    if keepalive is False:
        found.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0))
    elif keepalive is not True:
        names = (getattr(socket, name) for name in _PACES if hasattr(socket, name))
        found.extend((int(socket.IPPROTO_TCP), name, keepalive) for name in names)
    return tuple(found)


def require_keepalive(pace: object) -> None:
    """Raise OptionError unless `pace` can be the option `tcp_keepalive`."""
    if not isinstance(pace, bool):
        require_integer(pace, "tcp_keepalive (True, False or seconds)", 1, _LONGEST_PACE)


def read_socket_options(options: Any) -> tuple[SocketOption, ...]:
    """Return the option `socket_options` as a tuple. Raises OptionError for what `setsockopt` would not take at all;
    whether the operating system knows an option shows when it dials.
    """
    try:
        found = [tuple(option) for option in options]
    except TypeError:
        raise OptionError(
            f"socket_options is {brief(options)}; it has to be a list of options, each (level, name, value): "
            "[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]"
        ) from None
    for option in found:
        fits = len(option) == 3 and all(_is_integer(each) for each in option[:2])
        fits = fits and (_is_integer(option[2]) or isinstance(option[2], bytes))
        require(
            fits, "an option of socket_options", option, "(level, name, value): integers, or a value of bytes"
        )
    return tuple((int(level), int(name), _plain(value)) for level, name, value in found)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and value in _INTEGERS


def _plain(value: int | bytes) -> int | bytes:
    return value if isinstance(value, bytes) else int(value)
