"""The options of sockets: checked when they are given, and set on the sockets of every reactor."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import triocql
from tests.engine.world import World
from triocql import errors
from triocql.config.groups import ConnectionOptions

KEEPALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
RECEIVE = (socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_by_default_there_is_nothing_beside_what_reactors_do() -> None:
    assert ConnectionOptions().of_sockets == ()


def test_what_the_options_amount_to() -> None:
    options = ConnectionOptions(tcp_nodelay=False, tcp_keepalive=False, socket_options=[(*RECEIVE, 65_536)])
    assert options.of_sockets == (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
        (*KEEPALIVE, 0),
        (*RECEIVE, 65_536),
    )


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="other names")
def test_seconds_are_the_pace_of_keep_alive() -> None:
    found = ConnectionOptions(tcp_keepalive=20).of_sockets
    assert (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20) in found
    assert (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20) in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_nodelay", 1),
        ("tcp_nodelay", None),
        ("tcp_keepalive", 0),
        ("tcp_keepalive", -5),
        ("tcp_keepalive", 1.5),
        ("tcp_keepalive", 100_000),
        ("tcp_keepalive", "yes"),
        ("socket_options", 5),
        ("socket_options", None),
        ("socket_options", [5]),
        ("socket_options", (socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)),
        ("socket_options", [(1, 2)]),
        ("socket_options", [(1, 2, 3, 4)]),
        ("socket_options", [(1, 2, 1.5)]),
        ("socket_options", [(1, 2, None)]),
        ("socket_options", [("SOL_SOCKET", 2, 1)]),
        ("socket_options", [(1, 2, 2**31)]),
    ],
)
def test_nonsense_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(errors.OptionError, match=name):
        triocql.connect(**{name: value})


def test_a_list_is_kept_as_it_was_when_it_was_given() -> None:
    given = [(*RECEIVE, 65_536)]
    options = ConnectionOptions(socket_options=given)
    given.clear()
    assert options.socket_options == ((*RECEIVE, 65_536),)
    assert hash(options) == hash(ConnectionOptions(socket_options=[(*RECEIVE, 65_536)]))


def test_every_connection_is_dialled_with_them() -> None:
    world = World(count=2, connections_local=2, tcp_nodelay=False, socket_options=[(*RECEIVE, 65_536)])
    seen = []
    connect = world.reactor.connect

    async def spy(*args: Any, **options: Any) -> Any:
        seen.append(options["socket_options"])
        return await connect(*args, **options)

    world.reactor.connect = spy  # type: ignore[method-assign]
    with world.session():
        assert len(seen) == 5  # with the control connection
        assert set(seen) == {((socket.IPPROTO_TCP, socket.TCP_NODELAY, 0), (*RECEIVE, 65_536))}
