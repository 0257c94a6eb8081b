"""Lightweight transactions of one partition meet at one node, in whichever form they come."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import triocql
from tests.scylla.world import SCHEMA, SELECT, World, token
from triocql import Batch, Consistency, Profile, Session
from triocql.policies.balancing import DefaultBalancing
from triocql.policies.speculation import ConstantSpeculation
from triocql.testing.server import Opcode, Scylla, as_usual, delay

KEYS = range(25)
RING = SCHEMA.replace("AND tablets = {'enabled': true, 'initial': 8}", "")
UPDATE = "UPDATE shop.users SET name = 'a' WHERE id = ? IF name = 'b'"
INSERT = "INSERT INTO shop.users (id, name) VALUES (?, 'x')"
RACKS = {"dc1": {"r1": 2, "r2": 2}}

Ask = Callable[[Session, int], Any]


async def _conditional_batch(session: Session, key: int) -> None:
    await session.execute(Batch().add(INSERT, [key]).add(UPDATE, [key]), idempotent=True)


async def _batch_with_a_condition_as_text(session: Session, key: int) -> None:
    text = f"UPDATE shop.users SET name = 'a' WHERE id = {key} IF name = 'b'"
    await session.execute(Batch().add(INSERT, [key]).add(text), idempotent=True)


async def _at_serial_by_a_profile(session: Session, key: int) -> None:
    await session.execute(SELECT, [key], profile="serial", idempotent=True)


async def _conditional(session: Session, key: int) -> None:
    await session.execute(UPDATE, [key], idempotent=True)


@pytest.mark.parametrize("schema", [RING, SCHEMA], ids=["ring", "tablets"])
@pytest.mark.parametrize(
    "ask", [_conditional, _conditional_batch, _batch_with_a_condition_as_text, _at_serial_by_a_profile]
)
def test_all_of_one_partition_go_to_its_first_replica(ask: Ask, schema: str) -> None:
    """Whatever rack it is in, however busy it is, and no copy goes to another one."""
    world = World(
        topology=RACKS,
        schema=schema,
        scylla=Scylla(shards=2),
        profiles={"serial": Profile(consistency=Consistency.LOCAL_SERIAL)},
        policies=triocql.PolicyOptions(
            balancing=DefaultBalancing(local_rack="r1"), speculation=ConstantSpeculation(0.01)
        ),
    )
    with world.session() as session:
        for key in range(
            400
        ):  # all tablets are known after that, and each node has prepared what it will be asked
            world.run(session.execute(SELECT, [key]))
        for key in KEYS:
            world.run(ask(session, key))
        world.server.log.clear()
        world.server.when(re.compile("shop.users")).then(delay(0.05), as_usual())

        async def all_at_a_time() -> None:
            for key in KEYS:
                await ask(session, key)
                await ask(session, key)

        world.run(all_at_a_time())
        entries = [each for each in world.server.log.everything if "shop.users" in each.text]
        executed = [each for each in entries if each.request.opcode in (Opcode.EXECUTE, Opcode.BATCH)]
        assert len(executed) == 2 * len(KEYS)
        for number, entry in enumerate(executed):
            place = world.server.replicas("shop.users", token(KEYS[number // 2]))[0]
            assert (entry.node, entry.shard) == place
        assert len({entry.node for entry in executed}) == 4
