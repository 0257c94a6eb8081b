"""Scans of tables with tablets: planned by those that are known, right whatever is known of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.test_tablets import NODES
from tests.scylla.world import SCHEMA, SELECT, World
from triocql import Session
from triocql.bulk.coordinators import Coordinators
from triocql.bulk.intervals import Intervals, TokenRange, space_of
from triocql.bulk.planner import TabletRanges, plan
from triocql.errors import InvalidQuery
from triocql.metadata import Tablet, TableTablets
from triocql.metadata.building import finish
from triocql.metadata.partitioners import MURMUR3
from triocql.testing.server import ErrorCode, Opcode, Scylla, as_usual, delay, error
from triocql.testing.server.log import Execution

WHOLE = space_of(MURMUR3)
SPANS = st.tuples(st.integers(-(2**63), 2**63 - 2), st.integers(-(2**63) + 1, 2**63 - 1)).map(sorted)


@settings(max_examples=80)
@given(spans=st.lists(SPANS, max_size=12), tasks=st.integers(1, 40), data=st.data())
def test_all_tokens_are_read_once_whatever_tablets_are_known(
    spans: list[Any], tasks: int, data: st.DataObject
) -> None:
    held = TableTablets("shop", "users")
    for first, last in spans:
        if first < last:
            held.put(Tablet(first, last, (data.draw(st.sampled_from(NODES)),), (0,)))
    ranges = TabletRanges(MURMUR3, held.tablets)
    planned = finish(plan(ranges, ranges, Intervals(), tasks))
    assert WHOLE is not None
    ends = [task.range.end for task in planned]
    assert [task.range.start for task in planned] == [WHOLE.start, *ends[:-1]]
    assert ends[-1] == WHOLE.end


def test_a_range_is_on_the_replicas_of_its_tablet() -> None:
    a, b, c = NODES
    ranges = TabletRanges(MURMUR3, [Tablet(0, 100, (a, b), (0, 0)), Tablet(200, 300, (c,), (0,))])
    assert [ranges.find(token) for token in (0, 1, 100, 101, 200, 201, 300, 301)] == [
        (), (a, b), (a, b), (), (), (c,), (c,), (),
    ]  # fmt: skip
    left = Intervals.of([TokenRange(WHOLE.start, 0), TokenRange(300, WHOLE.end)])  # type: ignore[union-attr]
    planned = finish(plan(ranges, ranges, left, 6))
    assert [task for task in planned if set(task.replicas) <= {a, b} and task.replicas]
    assert planned[0].range.start == 0
    assert planned[-1].range.end == 300


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known"])
def test_a_scan_gives_each_row_once(known: bool) -> None:
    world = World(scylla=Scylla(shards=2))
    world.server.serve_table("shop.users", [(number, f"name {number}") for number in range(300)])
    text = "SELECT id, name FROM shop.users WHERE id = ?"
    with world.session() as session:

        async def scanned() -> list[int]:
            async with session.scan("shop.users", tasks=16) as scan:
                return [row.id async for row in scan.rows()]

        if known:
            statement = world.run(session.prepare(text))
            for number in range(300):
                world.run(session.execute(statement, [number]))
            assert len(session.metadata.tablets) == 8
        assert sorted(world.run(scanned())) == list(range(300))
        world.tablets.split()
        assert sorted(world.run(scanned())) == list(range(300))


@pytest.mark.parametrize("tablets", [True, False], ids=["tablets", "ring"])
@pytest.mark.parametrize(
    "slow", ["FROM system.size_estimates", "FROM shop.users"], ids=["opening", "reading"]
)
def test_a_keyspace_that_is_dropped_in_the_midst_of_a_scan_is_told_of_as_nodes_do(
    slow: str, tablets: bool
) -> None:
    """While it is asked how large the table is, and while it is read."""
    schema = SCHEMA if tablets else SCHEMA.replace("AND tablets = {'enabled': true, 'initial': 8}", "")
    world = World(schema=f"{schema};{schema.replace('shop', 'other')}")
    world.server.serve_table("shop.users", ROWS)
    with world.session() as session:
        world.server.when(re.compile(slow)).then(delay(1.0), as_usual())
        scan = world.reactor.start(scanned_by, session)
        world.reactor.advance(0.5)
        world.run(session.execute("DROP KEYSPACE shop"))
        assert "shop" not in session.metadata.keyspaces
        world.reactor.advance(5.0)
        with pytest.raises(InvalidQuery, match=r"unconfigured table shop\.users"):
            scan.result()


# --- Where pages are asked for ----------------------------------------------------------------------------------------

ROWS = [(number, f"name {number}") for number in range(300)]


def scanned(world: World, session: Session, **options: Any) -> list[int]:
    """Read the table as a whole, and return its keys."""
    return world.run(scanned_by(session, **options))


async def scanned_by(session: Session, **options: Any) -> list[int]:
    async with session.scan("shop.users", **options) as scan:
        return [row.id async for row in scan.rows()]


def pages(world: World) -> list[Execution]:
    """Return the pages that were asked for since the log was cleared."""
    return [
        entry
        for entry in world.server.log.everything
        if entry.request.opcode == Opcode.EXECUTE and "FROM shop.users" in entry.text
    ]


def on_target(world: World, entry: Execution) -> bool:
    """Whether a page was asked of a shard that has its range."""
    tablet = world.tablets.find(entry.values[1])
    return tablet is not None and (entry.node, entry.shard) in tablet.replicas


def refuse(world: World) -> None:
    """Have nobody be allowed to read where tablets are."""
    world.server.when(re.compile("FROM system.tablets")).then(error(ErrorCode.UNAUTHORIZED, "no SELECT"))


def test_pages_are_asked_of_the_shards_that_have_their_ranges() -> None:
    """Though no request has told of any tablet: a node tells all of them."""
    world = World(schema=SCHEMA.replace("'initial': 8", "'initial': 64"), scylla=Scylla(shards=4))
    world.server.serve_table("shop.users", ROWS)
    with world.session() as session:
        assert sorted(scanned(world, session, tasks=64)) == list(range(300))
        found = pages(world)
        assert len(found) >= 64
        assert all(on_target(world, entry) for entry in found)
        assert {(entry.node, entry.shard) for entry in found} == {(n, s) for n in range(3) for s in range(4)}
        assert len(session.metadata.tablets.of("shop", "users")) == 64
        # What follows goes there, too.
        world.server.log.clear()
        statement = world.run(session.prepare(SELECT))
        for number in range(100):
            world.run(session.execute(statement, [number]))
        assert [entry.on_target for entry in world.executed] == [True] * 100


def test_pages_of_a_table_that_nobody_tells_the_tablets_of_are_read_all_the_same() -> None:
    """By those that are known: none, or those that requests have told of."""
    world = World(scylla=Scylla(shards=4))
    world.server.serve_table("shop.users", ROWS)
    refuse(world)
    with world.session() as session:
        assert sorted(scanned(world, session, tasks=16)) == list(range(300))
        assert len(session.metadata.tablets) == 0
        statement = world.run(session.prepare("SELECT id, name FROM shop.users WHERE id = ?"))
        for number in range(300):
            world.run(session.execute(statement, [number]))
        world.server.log.clear()
        assert sorted(scanned(world, session, tasks=16)) == list(range(300))
        assert all(on_target(world, entry) for entry in pages(world))


def test_a_tablet_that_moves_in_mid_scan_is_read_once() -> None:
    world = World(scylla=Scylla(shards=2))
    world.server.serve_table("shop.users", ROWS)

    async def read(session: Session) -> list[int]:
        found = []
        async with session.scan("shop.users", tasks=16, page_size=10, concurrency_per_node=1) as scan:
            async for batch in scan:
                found += [row.id for row in batch.rows()]
                for tablet in world.tablets.all[::3]:
                    node = (tablet.replicas[0][0] + 1) % 3
                    world.tablets.move(tablet.last, [(node, 1), ((node + 1) % 3, 0)])
        return found

    with world.session() as session:
        assert sorted(world.run(read(session))) == list(range(300))


def test_each_shard_is_asked_for_two_pages_at_once() -> None:
    """A node without shards for four; and each node for as many as is said."""
    world = World(4, scylla=[Scylla(shards=4), Scylla(shards=2), Scylla(shards=1), None])
    with world.session() as session:
        pools = session._context.cluster.router.pools
        for wanted, expected in ((None, [8, 4, 2, 4]), (3, [3, 3, 3, 3])):
            nodes = Coordinators(pools, lambda part: (), wanted)
            assert nodes.most == sum(expected)
            for index, count in enumerate(expected):
                node = world.known(session, index)
                for _ in range(count):
                    assert nodes.has_room(node)
                    nodes.ask(node)
                assert not nodes.has_room(node)


@pytest.mark.parametrize("count", [7, 8, 9])
def test_what_a_node_tells_while_a_table_is_divided_anew_is_left_out(count: int) -> None:
    """Rows of two divisions do not make one: there are more than they say, or fewer."""
    world = World()
    world.server.serve_table("shop.users", ROWS)
    world.server.edit("system.tablets", lambda node, rows: [{**row, "tablet_count": count} for row in rows])
    with world.session() as session:
        assert sorted(scanned(world, session, tasks=16)) == list(range(300))
        assert len(session.metadata.tablets) == (8 if count == 8 else 0)


def test_a_table_may_have_its_tablets_with_another_one() -> None:
    """As views that have the partition key of their table."""
    world = World(schema=f"{SCHEMA}; CREATE TABLE shop.twins (id int PRIMARY KEY)")
    world.server.serve_table("shop.twins", [(number,) for number in range(50)])
    ids = {name: world.server.schema.table(name, None).id for name in ("shop.users", "shop.twins")}  # type: ignore[union-attr]
    world.server.edit(
        "system.tablets",
        lambda node, rows: [
            *(row for row in rows if row["table_id"] != ids["shop.twins"]),
            {"table_id": ids["shop.twins"], "base_table": ids["shop.users"]},
        ],
    )
    with world.session() as session:

        async def read() -> list[int]:
            async with session.scan("shop.twins", tasks=16) as scan:
                return [row.id async for row in scan.rows()]

        assert sorted(world.run(read())) == list(range(50))
        known = [(each.first, each.last) for each in session.metadata.tablets.of("shop", "twins")]
        assert known == [(each.first, each.last) for each in world.tablets.all]


def test_versions_that_are_known_stay() -> None:
    """A table tells none: leaders are asked as before."""
    world = World(scylla=Scylla(shards=2, tablets=(1, 2)), tablets_v2=True)
    world.server.serve_table("shop.users", ROWS)
    with world.session() as session:
        statement = world.run(session.prepare("SELECT id, name FROM shop.users WHERE id = ?"))
        for number in range(200):
            world.run(session.execute(statement, [number]))
        before = session.metadata.tablets.of("shop", "users")
        assert all(tablet.version is not None for tablet in before)
        scanned(world, session)
        assert session.metadata.tablets.of("shop", "users") == before


def test_tokens_of_a_partitioner_of_its_own_are_asked_for() -> None:
    """As of the log of changes (CDC) of a table: where its rows are is what nodes say, and nobody else can tell."""
    world = World()
    world.server.serve_table("shop.users", [(number, f"name {number}") for number in range(300)])
    own = {"partitioner": "com.scylladb.dht.CDCPartitioner"}
    world.server.edit("system_schema.scylla_tables", lambda node, rows: [{**row, **own} for row in rows])
    with world.session() as session:

        async def scanned() -> list[tuple[int, str]]:
            async with session.scan("shop.users", tasks=16) as scan:
                return [(row.id, row.name) async for row in scan.rows()]

        rows = world.run(scanned())
        assert sorted(rows) == [(number, f"name {number}") for number in range(300)]
        texts = {entry.text for entry in world.server.log.everything if "FROM shop.users" in entry.text}
        assert all(text.startswith("SELECT id, name, token(id) FROM") for text in texts)
