"""What `Session.execute` takes and gives, on a real node."""

from __future__ import annotations

import time
import zipfile
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

import triocql
from triocql import SERVER, UNSET, Batch, BatchType, Consistency, Session, Statement
from triocql.errors import (
    BindTypeError,
    BindValueError,
    InvalidQuery,
    PagesRemain,
    SessionClosed,
    UnsupportedVersion,
    UsageError,
)
from triocql.protocol.types import NativeType, quote_name
from triocql.testing.cassandra._install import installation

from .conftest import (
    FAILING,
    KEYSPACE,
    ROOT,
    connected,
    create_keyspace,
    name_of,
    on_every_wire,
    on_v4_and_v5,
    patient,
)

if TYPE_CHECKING:
    from triocql.config.options import ConnectKeywords
    from triocql.testing.cassandra import CassandraCluster

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]


@pytest.mark.short
@on_every_wire
async def test_statements_in_every_form(session: Session, table: Table, options: ConnectKeywords) -> None:
    assert session.protocol_version == options["protocol_version"]
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (1, 'text')")
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [2, "text with values"])
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (:id, :v)", {"v": "text with names", "id": 3})
    await session.execute(Statement(f"INSERT INTO {t} (id, v) VALUES (?, ?)"), (4, "statement"))
    await session.execute(insert, [5, "prepared"])
    await session.execute(insert, {"id": 6, "v": "prepared, by name"})
    await session.execute(insert.bind(7, "bound"))
    await session.execute(insert.bind(v="bound by name", id=8))
    batch = Batch(BatchType.UNLOGGED)
    batch.add(f"INSERT INTO {t} (id, v) VALUES (9, 'text in a batch')")
    batch.add(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [10, "text with values in a batch"])
    batch.add(Statement(f"INSERT INTO {t} (id, v) VALUES (?, ?)"), [11, "statement in a batch"])
    batch.add(insert, [12, "prepared in a batch"])
    batch.add(insert.bind(13, "bound in a batch"))
    await session.execute(batch)
    rows = await (await session.execute(f"SELECT id, v FROM {t}")).all()
    assert sorted(rows) == [
        (1, "text"),
        (2, "text with values"),
        (3, "text with names"),
        (4, "statement"),
        (5, "prepared"),
        (6, "prepared, by name"),
        (7, "bound"),
        (8, "bound by name"),
        (9, "text in a batch"),
        (10, "text with values in a batch"),
        (11, "statement in a batch"),
        (12, "prepared in a batch"),
        (13, "bound in a batch"),
    ]


async def test_what_a_prepared_statement_tells(session: Session, table: Table) -> None:
    t = await table("a int, b text, c int, PRIMARY KEY ((a, b), c)")
    select = await session.prepare(f"SELECT c, b FROM {t} WHERE b = ? AND a = ?")
    assert [(column.name, str(column.type)) for column in select.columns] == [("b", "text"), ("a", "int")]
    assert [column.name for column in select.result_columns] == ["c", "b"]
    assert select.partition_key_indexes == (1, 0)
    assert select.bind("x", 1).routing_key == b"\0\4\0\0\0\1\0" + b"\0\1x\0"
    assert select.keyspace == KEYSPACE
    partly = await session.prepare(f"SELECT c FROM {t} WHERE b = 'x' AND a = ?")
    assert partly.partition_key_indexes == ()
    assert partly.bind(1).routing_key is None
    with pytest.raises(InvalidQuery, match="Undefined column name nope"):
        await session.prepare(f"SELECT nope FROM {t}")


@pytest.mark.short
@pytest.mark.parametrize("options", [{"protocol_version": 3}], ids=name_of)
async def test_v3_does_not_tell_the_key_and_any_node_is_asked(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    select = await session.prepare(f"SELECT v FROM {t} WHERE id = ?")
    assert insert.partition_key_indexes == select.partition_key_indexes == ()
    assert insert.bind(1, "x").routing_key is select.bind(1).routing_key is None
    await session.execute(insert, [1, "x"])
    assert (await session.execute(select, [1])).scalar() == "x"


async def test_the_result(session: Session, table: Table, cassandra: CassandraCluster) -> None:
    t = await table("id int PRIMARY KEY, v text")
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (1, 'x')")
    result = await session.execute(f"SELECT id, v FROM {t}")
    (row,) = result.rows
    assert (row.id, row["v"], row[0], row._asdict()) == (1, "x", 1, {"id": 1, "v": "x"})
    assert result.one() == result.exactly_one() == result[0] == (1, "x")
    assert result.scalar() == 1
    assert len(result) == 1
    assert [(c.keyspace, c.table, c.name, c.type) for c in result.columns] == [
        (KEYSPACE, t, "id", NativeType("int")),
        (KEYSPACE, t, "v", NativeType("text")),
    ]
    assert str(result.coordinator) == f"{cassandra.nodes[0].address}:9042"
    assert (result.applied, result.warnings, result.custom_payload, result.schema_change) == (
        None,
        (),
        None,
        None,
    )
    assert (result.has_more_pages, result.paging_state) == (False, None)
    nothing = await session.execute(f"SELECT id FROM {t} WHERE id = 0")
    assert (nothing.one(), nothing.scalar(), list(nothing)) == (None, None, [])
    assert (await session.execute(f"INSERT INTO {t} (id, v) VALUES (2, 'y')")).rows == []


async def test_the_form_of_rows(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (1, 'x')")
    as_dict = await session.execute(f"SELECT id, v FROM {t}", row_type=dict)
    assert as_dict.rows == [{"id": 1, "v": "x"}]
    assert as_dict.scalar() == 1
    (as_tuple,) = await session.execute(f"SELECT id, v FROM {t}", row_type=tuple)
    assert type(as_tuple) is tuple
    assert as_tuple == (1, "x")


@pytest.mark.short
@on_every_wire
async def test_unset_null_and_empty(session: Session, table: Table, options: ConnectKeywords) -> None:
    t = await table("id int PRIMARY KEY, n int, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, n, v) VALUES (?, ?, ?)")
    select = await session.prepare(f"SELECT n, v FROM {t} WHERE id = ?")
    await session.execute(insert, [1, 7, "before"])
    await session.execute(insert, [2, 7, ""])
    assert (await session.execute(select, [2])).one() == (7, "")
    await session.execute(insert, [2, None, None])
    assert (await session.execute(select, [2])).one() == (None, None)
    if options["protocol_version"] == 3:
        with pytest.raises(BindValueError, match="v4"):
            await session.execute(insert, [1, UNSET, "after"])
        return
    await session.execute(insert, [1, UNSET, "after"])
    assert (await session.execute(select, [1])).one() == (7, "after")
    with pytest.raises(BindValueError, match="no values for v"):
        await session.execute(f"INSERT INTO {t} (id, n, v) VALUES (:id, :n, :v)", {"id": 1, "n": 8})
    for statement, values in ((insert, [UNSET, 7, "x"]), (select, [UNSET])):
        with pytest.raises(BindValueError, match="a partition key needs all its values"):
            await session.execute(statement, values)


async def test_wrong_values_are_found_before_anything_is_sent(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    with pytest.raises(BindTypeError, match=r"id.*int.*str"):
        await session.execute(insert, ["1", "x"])
    with pytest.raises(BindValueError, match=r"id.*int"):
        await session.execute(insert, [2**31, "x"])
    with pytest.raises(BindValueError):
        await session.execute(insert, [1, "x", "too many"])
    with pytest.raises(UsageError, match="list"):
        await session.execute([f"SELECT * FROM {t}"])  # type: ignore[call-overload]
    assert (await session.execute(f"SELECT * FROM {t}")).rows == []


async def test_values_are_never_part_of_the_text(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    hostile = f"x'); DROP TABLE {t}; --"
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [1, hostile])
    assert (
        await session.execute(f"SELECT v FROM {t} WHERE v = ? ALLOW FILTERING", [hostile])
    ).scalar() == hostile


@pytest.mark.parametrize("kind", [BatchType.LOGGED, BatchType.UNLOGGED])
@on_every_wire
async def test_batches(session: Session, table: Table, kind: BatchType) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    batch = Batch(kind, timestamp=1_000_000)
    for n in range(20):
        batch.add(insert, [n, str(n)]).add(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [100 + n, "text"])
    await session.execute(batch)
    rows = (await session.execute(f"SELECT id, writetime(v) FROM {t}")).rows
    assert sorted(rows) == [(n, 1_000_000) for n in [*range(20), *range(100, 120)]]


async def test_an_empty_batch_does_nothing(session: Session) -> None:
    assert (await session.execute(Batch())).rows == []


@on_every_wire
async def test_counter_batches(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, n counter")
    add = await session.prepare(f"UPDATE {t} SET n = n + ? WHERE id = ?")
    batch = (
        Batch(BatchType.COUNTER)
        .add(add, [3, 1])
        .add(add, [4, 1])
        .add(f"UPDATE {t} SET n = n - 1 WHERE id = 2")
    )
    await session.execute(batch)
    assert sorted((await session.execute(f"SELECT id, n FROM {t}")).rows) == [(1, 7), (2, -1)]


@on_every_wire
async def test_conditional_updates(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?) IF NOT EXISTS")
    first = await session.execute(insert, [1, "x"], serial_consistency=Consistency.LOCAL_SERIAL)
    assert first.applied is True
    for _ in range(2):  # the columns of the answer differ from those of the first
        second = await session.execute(insert, [1, "y"])
        assert second.applied is False
        row = second.exactly_one()
        assert (row["[applied]"], row.id, row.v) == (False, 1, "x")
    third = await session.execute(insert, [2, "x"])
    assert third.applied is True
    assert third.exactly_one() == (True,)
    update = await session.execute(f"UPDATE {t} SET v = 'z' WHERE id = 1 IF v = ?", ["other"])
    assert (update.applied, update.exactly_one().v) == (False, "x")
    batch = Batch().add(f"UPDATE {t} SET v = 'z' WHERE id = 1 IF v = 'x'")
    assert (await session.execute(batch)).applied is True
    assert (
        await session.execute(f"SELECT v FROM {t} WHERE id = 1", consistency=Consistency.SERIAL)
    ).scalar() == "z"


@on_v4_and_v5
async def test_use_moves_every_connection(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    await session.execute("USE system")
    assert session.keyspace == "system"
    for _ in range(20):
        assert (await session.execute("SELECT key FROM local")).scalar() == "local"
        assert (await session.execute("SELECT key FROM local WHERE key = ?", ["local"])).scalar() == "local"
    with pytest.raises(InvalidQuery, match="does not exist"):
        await session.execute("USE no_such_keyspace")
    assert session.keyspace == "system"
    await session.execute(f"USE {KEYSPACE}")
    for _ in range(20):
        assert (await session.execute(f"SELECT * FROM {t}")).rows == []


async def test_connect_with_a_keyspace(session: Session, cassandra: CassandraCluster) -> None:
    points = cassandra.contact_points
    url = f"cql://{points[0]}/system?consistency=ONE&page_size=7&timeout=60&connect_timeout=30"
    async with triocql.connect(url) as other:
        assert other.keyspace == "system"
        assert (await other.execute("SELECT key FROM local")).scalar() == "local"
    await session.execute(create_keyspace('"Mixed_Case"'))
    async with triocql.connect(points, **patient(keyspace="Mixed_Case")) as other:
        await other.execute("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)")
        await other.execute("USE system")
        await other.execute('USE "Mixed_Case"')
        assert (await other.execute("SELECT id FROM t WHERE id = ?", [1])).one() is None
    with pytest.raises(triocql.errors.ConnectError, match="no_such_keyspace"):
        async with triocql.connect(points, **patient(keyspace="no_such_keyspace")):
            pass


@pytest.mark.parametrize("name", ["order", "true", "select", "Order", 48 * "k"])
async def test_any_name_of_a_keyspace_will_do(
    session: Session, cassandra: CassandraCluster, name: str
) -> None:
    await session.execute(create_keyspace(f'"{name}"'))
    await session.execute(f'USE "{name}"')
    await session.execute("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)")
    for _ in range(10):  # on every connection
        assert (await session.execute("SELECT id FROM t WHERE id = ?", [1])).one() is None
    select = await session.prepare("SELECT id FROM t", keyspace=name)
    async with triocql.connect(cassandra.contact_points, **patient(keyspace=name)) as other:
        assert (await other.execute(select)).one() is None
        await connected(other)
        assert other.keyspace == name
    await session.execute("USE system")
    assert (await session.execute("SELECT id FROM t", keyspace=name)).one() is None


def test_the_reserved_words_of_the_grammar_are_quoted(cassandra: CassandraCluster) -> None:
    (jar,) = installation(cassandra.version).lib.glob("cassandra-all-*.jar")
    with zipfile.ZipFile(jar) as archive:
        words = archive.read("org/apache/cassandra/cql3/reserved_keywords.txt").decode().lower().split()
    assert len(words) > 50
    assert [word for word in words if quote_name(word) != f'"{word}"'] == []


async def test_the_keyspace_of_a_request(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    await session.execute("USE system")
    insert = await session.prepare(f"INSERT INTO {t} (id) VALUES (?)", keyspace=KEYSPACE)
    await session.execute(insert, [1])
    await session.execute(f"INSERT INTO {t} (id) VALUES (?)", [2], keyspace=KEYSPACE)
    batch = Batch(keyspace=KEYSPACE).add(f"INSERT INTO {t} (id) VALUES (3)")
    await session.execute(batch.add(f"INSERT INTO {t} (id) VALUES (?)", [4]).add(insert, [5]))
    result = await session.execute(f"SELECT id FROM {t}", keyspace=KEYSPACE, page_size=2)
    assert sorted(await result.all()) == [(n,) for n in range(1, 6)]
    assert session.keyspace == "system"
    assert (await session.execute("SELECT key FROM local")).scalar() == "local"


async def test_now_in_seconds(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    now = 2_000_000_000
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (1, 'x') USING TTL 100", now_in_seconds=now)
    at = await session.execute(f"SELECT ttl(v) FROM {t} WHERE id = 1", now_in_seconds=now + 40)
    assert at.scalar() == 60
    select = await session.prepare(f"SELECT v FROM {t} WHERE id = ?")
    assert (await session.execute(select, [1], now_in_seconds=now + 99)).scalar() == "x"
    assert (await session.execute(select, [1], now_in_seconds=now + 101)).one() is None


@pytest.mark.parametrize("options", [{"protocol_version": 4}], ids=["v4"])
async def test_what_needs_v5_says_so(session: Session) -> None:
    for option in ({"keyspace": "system"}, {"now_in_seconds": 1}):
        with pytest.raises(UsageError, match="v5"):
            await session.execute("SELECT key FROM system.local", **option)


async def test_timestamps(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    written = f"SELECT v, writetime(v) FROM {t} WHERE id = 1"
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    await session.execute(insert, [1, "old"], timestamp=1_000)
    assert (await session.execute(written)).one() == ("old", 1_000)
    await session.execute(f"INSERT INTO {t} (id, v) VALUES (1, 'older')", timestamp=999)
    assert (await session.execute(written)).one() == ("old", 1_000)
    stamps = []
    for n in range(5):
        await session.execute(insert, [1, f"new {n}"])
        value, stamp = (await session.execute(written)).exactly_one()
        assert value == f"new {n}"
        stamps.append(stamp)
    assert stamps == sorted(set(stamps))


@on_v4_and_v5
async def test_a_plain_write_that_a_conditional_one_follows(session: Session, table: Table) -> None:
    """A ballot has the node's clock, in milliseconds: a write that is later by its own is not overwritten."""
    t = await table("id int PRIMARY KEY, v int")
    plain = f"INSERT INTO {t} (id, v) VALUES (?, 1)"
    update = f"UPDATE {t} SET v = 2 WHERE id = ? IF v = 1"
    select = f"SELECT v, writetime(v) AS at FROM {t} WHERE id = ?"
    ahead = time.time_ns() // 1000 + 10_000_000
    await session.execute(plain, [0], timestamp=ahead)
    assert (await session.execute(update, [0])).applied
    assert (await session.execute(select, [0])).exactly_one() == (1, ahead)

    prepared = await session.prepare(plain)
    forms = [
        lambda n: session.execute(plain, [n], timestamp=SERVER),
        lambda n: session.execute(plain.replace("?", str(n)), timestamp=SERVER),
        lambda n: session.execute(prepared.with_options(timestamp=SERVER), [n]),
        lambda n: session.execute(Batch(timestamp=SERVER).add(prepared, [n])),
    ]
    for n in range(1, 101):
        await forms[n % 4](n)
        assert (await session.execute(update, [n])).applied
        assert (await session.execute(select, [n])).exactly_one().v == 2


@on_every_wire
async def test_tracing(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    select = await session.prepare(f"SELECT * FROM {t} WHERE id = ?")
    result = await session.execute(select, [1], tracing=True)
    trace = await result.trace(timeout=60.0)
    assert trace.request == "Execute CQL3 prepared query"
    assert trace.parameters["query"] == select.text
    assert trace.duration is not None
    assert trace.duration > 0
    assert len(trace.events) >= 2
    assert list(trace.events) == sorted(trace.events, key=lambda event: event.at)
    assert all(event.activity and event.source == trace.coordinator for event in trace.events)
    assert isinstance(trace.id, UUID)
    insert = await session.execute(f"INSERT INTO {t} (id) VALUES (1)", tracing=True)
    early = await insert.trace(complete=False, consistency="LOCAL_ONE", timeout=60.0)
    assert early.id != trace.id
    assert (await insert.trace(timeout=60.0)).parameters["query"] == f"INSERT INTO {t} (id) VALUES (1)"
    with pytest.raises(UsageError, match="tracing=True"):
        await (await session.execute(select, [1])).trace()


@on_v4_and_v5
async def test_warnings(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    batch = Batch(BatchType.UNLOGGED)
    for n in range(30):
        batch.add(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [n, "x" * 400])
    warnings = (await session.execute(batch)).warnings
    assert any("exceeding specified threshold" in warning for warning in warnings)
    (warning,) = (await session.execute(f"SELECT count(*) FROM {t}")).warnings
    assert "Aggregation query used without partition key" in warning


@on_v4_and_v5
async def test_schema_changes_are_told(session: Session) -> None:
    keyspace = f"changes_{session.protocol_version}"
    await session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")

    async def change(text: str) -> tuple[Any, ...]:
        change = (await session.execute(text)).schema_change
        assert change is not None
        return change.change, change.target, change.keyspace, change.name, change.arg_types

    create = create_keyspace(keyspace)
    assert await change(create) == ("CREATED", "KEYSPACE", keyspace, "", ())
    assert (await session.execute(create)).schema_change is None
    assert await change(f"CREATE TABLE {keyspace}.t (id int PRIMARY KEY)") == (
        "CREATED",
        "TABLE",
        keyspace,
        "t",
        (),
    )
    assert await change(f"ALTER TABLE {keyspace}.t ADD v text") == ("UPDATED", "TABLE", keyspace, "t", ())
    assert await change(f"CREATE TYPE {keyspace}.u (a int)") == ("CREATED", "TYPE", keyspace, "u", ())
    function = (
        f"CREATE FUNCTION {keyspace}.f (a int, b text) RETURNS NULL ON NULL INPUT RETURNS int "
        "LANGUAGE java AS 'return a;'"
    )
    assert await change(function) == ("CREATED", "FUNCTION", keyspace, "f", ("int", "text"))
    assert await change(f"DROP KEYSPACE {keyspace}") == ("DROPPED", "KEYSPACE", keyspace, "", ())


@pytest.mark.parametrize("options", [{"auth": ROOT}, {"auth": ROOT, "protocol_version": 4}], ids=["v5", "v4"])
async def test_custom_payload(
    anyio_backend: str, guarded: CassandraCluster, options: ConnectKeywords
) -> None:
    payload = {"a": b"1", "b": b"", "c": None}
    async with triocql.connect(guarded.contact_points, **patient(**options)) as session:
        result = await session.execute("SELECT key FROM system.local", custom_payload=payload)
        assert result.custom_payload == payload
        assert result.scalar() == "local"
        bound = await session.execute(
            "SELECT key FROM system.local WHERE key = ?", ["local"], custom_payload=payload
        )
        assert bound.custom_payload == payload
        await session.execute(create_keyspace(FAILING))
        await session.execute(f"CREATE TABLE IF NOT EXISTS {FAILING}.t (id int PRIMARY KEY)")
        batch = Batch(custom_payload=payload).add(f"DELETE FROM {FAILING}.t WHERE id = 1")
        with pytest.raises(triocql.errors.WriteFailure):
            await session.execute(batch)


async def test_a_forced_version_does_not_step_down(anyio_backend: str, cassandra: CassandraCluster) -> None:
    with pytest.raises(triocql.errors.OptionError):
        triocql.connect(cassandra.contact_points, protocol_version=6)
    async with triocql.connect(cassandra.contact_points, **patient()) as session:
        assert session.protocol_version == 5
    assert issubclass(UnsupportedVersion, triocql.errors.ConnectError)


async def test_a_closed_session_says_so(anyio_backend: str, cassandra: CassandraCluster) -> None:
    async with triocql.connect(cassandra.contact_points, **patient()) as session:
        await session.execute("SELECT key FROM system.local")
    with pytest.raises(SessionClosed):
        await session.execute("SELECT key FROM system.local")


async def test_await_connect(anyio_backend: str, cassandra: CassandraCluster) -> None:
    connecting = triocql.connect(cassandra.contact_points, **patient())
    if anyio_backend == "trio":
        with pytest.raises(UsageError, match="async with"):
            await connecting
        return
    session = await connecting
    assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
    await session.aclose()
    await session.aclose()
    with pytest.raises(SessionClosed):
        await session.execute("SELECT key FROM system.local")


async def test_pages_remain(session: Session) -> None:
    result = await session.execute("SELECT keyspace_name FROM system_schema.tables", page_size=2)
    with pytest.raises(PagesRemain, match="async for"):
        list(result)
