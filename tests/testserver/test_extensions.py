"""What is agreed on with a node of ScyllaDB: ids of metadata, marks of LWT, rate limits, the block of tablets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testserver.scylla import (
    TABLETS_SCHEMA,
    dial,
    execute,
    one,
    parsed,
    payload,
    prepare,
    startup,
    statement_id,
)
from tests.testserver.test_shards import VECTORS
from tests.testserver.world import Client, World, message
from triocql.testing.server import Opcode, Scylla, rate_limited, rows, void
from triocql.testing.server.framing import Frame
from triocql.testing.server.requests import parse
from triocql.testing.server.scylla.tablets import block_of
from triocql.testing.server.statements import is_conditional
from triocql.testing.server.tokens import token_of
from triocql.testing.server.wire import BadRequest, Reader

SELECT = "SELECT * FROM shop.users WHERE id = ?"
KEY = (7).to_bytes(4, "big")
V1, V2 = "TABLETS_ROUTING_V1", "TABLETS_ROUTING_V2_EXPERIMENTAL"
ID, LWT, RATE = "SCYLLA_USE_METADATA_ID", "SCYLLA_LWT_ADD_METADATA_MARK", "SCYLLA_RATE_LIMIT_ERROR"
SKIP = 2
NO_METADATA, CHANGED = 4, 8


def asking(*extensions: str, **settings: Any) -> tuple[World, Client]:
    """Return a server whose table has a row, and a client of it with these extensions."""
    world = World(schema=TABLETS_SCHEMA, scylla=Scylla(**{"shards": 1, "tablets": (1, 2), **settings}))
    world.server.serve_table("shop.users", [[7, "Ann"]])
    client = dial(world)
    startup(client, *extensions)
    return world, client


def prepared(frame: Frame, *, with_id: bool) -> tuple[bytes, bytes | None, int, int]:
    """Return the statement's id, that of its metadata, and the flags of the parameters and of the result."""
    reader = Reader(frame.body)
    assert reader.integer() == 4
    id_ = reader.short_bytes()
    metadata_id = reader.short_bytes() if with_id else None
    flags = int.from_bytes(reader.raw(4), "big")
    for _ in range(reader.integer()):
        pass
    keys = reader.integer()
    reader.raw(2 * keys)
    reader.string(), reader.string(), reader.string(), reader.short()  # one parameter of a table
    return id_, metadata_id, flags, reader.integer()


def result(frame: Frame) -> tuple[int, int, bytes | None, bytes]:
    """Return flags, the count of columns, the new id of metadata, and the rest of a RESULT of rows."""
    reader = Reader(frame.body)
    assert reader.integer() == 2
    flags, count = reader.integer(), reader.integer()
    changed = reader.short_bytes() if flags & CHANGED else None
    return flags, count, changed, reader.raw(reader.left)


# --- Layout --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "extensions"), [("none", ()), ("metadata_id", (ID,)), ("tablets_v2", (V2,)), ("both", (ID, V2))]
)
def test_layouts_of_execute_are_those_of_other_drivers(name: str, extensions: tuple[str, ...]) -> None:
    """Each is read to its last byte on a connection of its kind, and refused on all the others."""
    layouts = {each: hex_ for each, hex_ in VECTORS["execute_v4"].items() if each != "about"}
    world, _ = asking(*extensions)
    (connection,) = world.server.connections

    def read(layout: str) -> Any:
        frame = Frame(4, 0, 1, Opcode.EXECUTE, bytes.fromhex(layouts[layout]))
        return parse(world.server.nodes[0], connection, frame)

    request = read(name)
    assert (request.id, request.metadata_id) == (b"\xaa\xbb", b"\xcc\xdd" if ID in extensions else b"")
    assert (request.values, request.tablet_block) == ([b"\0\0\0\1"], 0xDC if V2 in extensions else None)
    assert (request.consistency, request.skip_metadata) == (6, ID in extensions)
    for other in layouts.keys() - {name}:
        with pytest.raises(BadRequest):
            read(other)


def test_a_byte_too_few_or_too_many_is_a_protocol_error_of_that_request() -> None:
    for extensions, tail in (((V2,), b""), ((V2,), b"\0\0"), ((), b"\0")):
        world, client = asking(*extensions)
        id_ = statement_id(prepare(client, SELECT))
        answer = execute(client, id_, KEY, tail=tail)
        assert answer.stream == 1
        assert "ends inside a field" in message(answer) or "1 bytes too many" in message(answer)
        assert len(world.server.log.malformed) == 1
        assert client.eof


def test_other_requests_have_no_block() -> None:
    world, client = asking(V2)
    world.server.when("SELECT 1").then(rows({"one": "int"}))
    assert one(client, Opcode.QUERY, b"\0\0\0\x08SELECT 1\0\1\0").opcode == Opcode.RESULT
    assert one(client, Opcode.QUERY, b"\0\0\0\x08SELECT 1\0\1\0\0").opcode == Opcode.ERROR


# --- Ids of metadata -----------------------------------------------------------------------------------------


def test_prepared_and_rows_have_ids_where_agreed_on() -> None:
    world, client = asking(ID)
    id_, metadata_id, _, _ = prepared(prepare(client, SELECT), with_id=True)
    assert metadata_id
    assert len(metadata_id) == 16
    assert result(execute(client, id_, KEY, metadata_id=metadata_id, flags=SKIP))[:3] == (5, 2, None)
    assert result(execute(client, id_, KEY, metadata_id=b""))[:3] == (9, 2, metadata_id)
    plain = dial(world)
    startup(plain)
    assert prepared(prepare(plain, SELECT), with_id=False)[1] is None
    assert result(execute(plain, id_, KEY))[:3] == (1, 2, None)


@pytest.mark.parametrize("flags", [0, SKIP])
def test_a_changed_table_is_told_with_its_new_id(flags: int) -> None:
    world, client = asking(ID)
    id_, before, _, _ = prepared(prepare(client, SELECT), with_id=True)
    world.server.alter("shop.users", "ADD aaa int", announce=False)
    _, count, after, rest = result(execute(client, id_, KEY, metadata_id=before, flags=flags))
    assert (count, after != before, b"aaa" in rest) == (3, True, True)
    assert result(execute(client, id_, KEY, metadata_id=after, flags=SKIP))[:3] == (5, 3, None)


def test_alter_tells_clients_by_an_event_unless_told_not_to() -> None:
    world, client = asking()
    client.ask(Opcode.REGISTER, b"\0\1\0\x0dSCHEMA_CHANGE")
    for announce, kinds in ((False, []), (True, [Opcode.EVENT])):
        client.received.clear()
        world.server.alter("shop.users", f"ADD a{announce:d} int", announce=announce)
        world.reactor.settle()
        assert [frame.opcode for frame in client.frames()] == kinds


def test_faults_of_servers_with_ids() -> None:
    """PREPARED without columns, after which they are left out for ever; and a new id without the new columns."""
    _, client = asking(ID, prepared_without_metadata=True)
    id_, empty, _, flags = prepared(prepare(client, SELECT), with_id=True)
    assert flags & NO_METADATA
    assert result(execute(client, id_, KEY, metadata_id=empty, flags=SKIP))[:3] == (5, 2, None)
    world, client = asking(ID, new_id_without_columns=True)
    id_, before, _, flags = prepared(prepare(client, SELECT), with_id=True)
    assert not flags & NO_METADATA
    world.server.alter("shop.users", "ADD aaa int")
    flags, _, after, rest = result(execute(client, id_, KEY, metadata_id=before))
    assert (flags & (CHANGED | NO_METADATA), after != before, b"aaa" in rest) == (
        CHANGED | NO_METADATA,
        True,
        False,
    )


# --- Marks and limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [1 << 31, 1 << 20])
def test_lightweight_transactions_are_marked_where_agreed_on(mask: int) -> None:
    world, client = asking(LWT, lwt_mask=mask)
    text = "INSERT INTO shop.users (id) VALUES (?) IF NOT EXISTS"
    for each in (text, "INSERT INTO shop.users (id) VALUES (?)"):
        world.server.when(each).then(void())
        flags = prepared(prepare(client, each), with_id=False)[2]
        assert flags & ~1 == (mask if each == text else 0)
    plain = dial(world)
    startup(plain)
    assert prepared(prepare(plain, text), with_id=False)[2] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("update t set a = 1 where k = 2 if a = 0", True),
        ("BEGIN BATCH INSERT INTO t (k) VALUES (1) IF NOT EXISTS APPLY BATCH", True),
        ("INSERT INTO t (k) VALUES ('x if y')", False),
        ("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)", False),
        ("SELECT k FROM t WHERE k = 'if'", False),
    ],
)
def test_what_a_lightweight_transaction_is(text: str, expected: bool) -> None:
    assert is_conditional(text) is expected


@pytest.mark.parametrize("code", [0xF000, 0x4321])
def test_rate_limits_have_a_code_of_their_own_where_agreed_on(code: int) -> None:
    world, client = asking(RATE, rate_limit_code=code)
    world.server.when("SELECT 1").then(rate_limited("write", by_coordinator=True, message="too"))
    answer = one(client, Opcode.QUERY, b"\0\0\0\x08SELECT 1\0\1\0")
    assert answer.body.hex() == VECTORS["rate_limit_error"]["body"].replace("0000f000", f"{code:08x}")
    assert not world.server.log.count()
    plain = dial(world)
    startup(plain)
    assert one(plain, Opcode.QUERY, b"\0\0\0\x08SELECT 1\0\1\0").body == b"\0\0\x23\0\0\3too"


# --- The second version of tablets-routing -------------------------------------------------------------------


def test_a_client_with_another_block_is_told_of_tablet_and_version() -> None:
    world, client = asking(V2)
    id_ = statement_id(prepare(client, SELECT))
    tablets = world.server.tablets("shop.users")
    token = token_of(KEY)
    version = tablets.version(token)
    for index in range(16):
        right = block_of(version, index)
        assert not payload(execute(client, id_, KEY, tail=bytes([right])))
        told = payload(execute(client, id_, KEY, tail=bytes([right ^ 1])))
        tablet = tablets.find(token)
        assert tablet is not None
        assert parsed(told["tablets-routing-v2"]) == (
            tablet.first,
            tablet.last,
            tablets.hosts(tablet),
            version,
        )
        assert world.server.log.everything[-1].request.tablet_block == right ^ 1
    assert tablets.hints == 16
    tablets.move(token, [(0, 0), (0, 0)])
    blocks = [block_of(version, index) for index in range(16)]
    assert any(payload(execute(client, id_, KEY, tail=bytes([block]))) for block in blocks)
