"""Prepared statements, rate limits and client routes with nodes of ScyllaDB, on every loop, over real sockets."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.faults.scene import EVERYWHERE, PATIENCE, Play, Scene, run_on
from triocql import ClientRoutes, errors
from triocql.abc import Address
from triocql.testing.server import CqlServer, Scylla, rate_limited

SCHEMA = """
CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE ks.t (k int PRIMARY KEY, v text)
"""


async def nothing(scene: Scene) -> None:
    """Nothing is to be done, or checked."""


def serving(nodes: int, **scylla: Any) -> CqlServer:
    server = CqlServer(nodes, scylla=Scylla(shards=2, **scylla), schema=SCHEMA, unprimed="echo")
    server.serve_table("ks.t", [[k, f"v{k}"] for k in range(20)])
    return server


@EVERYWHERE
def test_columns_change_and_limits_are_raised(loop: str) -> None:

    async def row(scene: Scene) -> None:
        session, server = scene.session, scene.server
        select = await session.prepare("SELECT * FROM ks.t WHERE k = ?")
        for k in range(20):
            assert (await session.execute(select, [k])).one() == (k, f"v{k}")
        server.alter("ks.t", "ADD aaa int", announce=False)
        for k in range(20):
            found = (await session.execute(select, [k])).exactly_one()
            assert (found.k, found.v, found.aaa) == (k, f"v{k}", None)
        rule = server.when(select.text).then(rate_limited(op="read"))
        with pytest.raises(errors.RateLimitReached):
            await session.execute(select, [1])
        assert len(rule.calls) == 1

    run_on(loop, Play(serving(2), {}, None, row, nothing))


@EVERYWHERE
def test_nodes_are_reached_by_their_routes_alone(loop: str) -> None:
    """The contact point alone is dialled as it is given."""
    server = serving(3)
    proxies: list[int] = []

    async def before(scene: Scene) -> None:
        for index, node in enumerate(server.nodes):
            proxies.append(node.listen_at(Address("127.0.0.1", 9101 + index if scene.virtual else 0)).port)
            server.client_routes.set("c1", node, "127.0.0.1", proxies[index], announce=False)

    async def row(scene: Scene) -> None:
        node = server.nodes[2]
        moved = node.listen_at(Address("127.0.0.1", 9203 if scene.virtual else 0)).port
        server.client_routes.set("c1", node, "127.0.0.1", moved)
        for link in [link for link in server.connections if link.node is node]:
            link.drop("reset")
        await scene.until(lambda: any(each.port == moved for each in node.accepted))
        own, *others = [{each.port for each in node.accepted} for node in server.nodes]
        assert own == {server.nodes[0].address.port, proxies[0]}
        assert others == [{proxies[1]}, {proxies[2], moved}]

    options: dict[str, Any] = {"client_routes": ClientRoutes(connection_ids=["c1"])}
    play = Play(server, {**options, "timeout": PATIENCE, "connect_timeout": PATIENCE}, before, row, nothing)
    if loop != "trio":
        run_on(loop, play)
        return

    async def main() -> None:
        async with server:  # which listens for the proxies until its end: there are more tasks after the row
            await play.run(lambda: "auto")

    trio.run(main)
