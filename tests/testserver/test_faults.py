"""Faults: of frames, of bytes, of segments, of connections, and what a driver makes of some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import triocql
from tests.testserver.world import World, query
from triocql import errors
from triocql.session.session import Session
from triocql.testing.server import (
    Opcode,
    bad_crc,
    close,
    cut,
    delay,
    duplicate,
    flip_bit,
    frame,
    header,
    no_response,
    oversize,
    raw,
    reorder,
    reset,
    rows,
    small_segments,
    split,
    trickle,
    truncate,
    void,
    wrong_stream,
)

VOID = bytes.fromhex("84 00 0001 08 00000004 00000001")
ONE_ROW = rows({"n": "int"}, [[1]])


@pytest.mark.parametrize(
    ("fault", "received"),
    [
        (duplicate(3), VOID * 3),
        (wrong_stream(9), VOID[:3] + b"\x09" + VOID[4:]),
        (wrong_stream(-2), VOID[:2] + b"\xff\xfe" + VOID[4:]),
        (oversize(), VOID[:5] + b"\xff\xff\xff\xff" + VOID[9:]),
        (header(version=4, flags=0x80, opcode=0x33), b"\x04\x80" + VOID[2:4] + b"\x33" + VOID[5:]),
        (flip_bit(0), b"\x85" + VOID[1:]),
        (flip_bit(-1), VOID[:-1] + b"\x81"),
        (cut(5), VOID[:5]),
        (split(1, 4, -1), VOID),
    ],
)
def test_faults_of_one_answer(fault: triocql.testing.server.Fault, received: bytes) -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), fault)
    client = world.client()
    client.send(Opcode.QUERY, query("SELECT 1"))
    assert bytes(client.received) == received


def test_splitting_with_pauses() -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), split(2, 9, pause=1.5))
    client = world.client()
    client.times.clear()
    client.query("SELECT 1")
    client.query("SELECT 1", stream=2)
    world.reactor.advance(10)
    assert len(client.frames()) == 2
    arrived: dict[float, int] = {}
    for time, size in client.times:
        arrived[time] = arrived.get(time, 0) + size
    assert arrived == {0.0: 2, 1.5: 7, 3.0: 6, 4.5: 7, 6.0: 4}


def test_trickling() -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), trickle(1.0))
    client = world.client()
    client.query("SELECT 1")
    assert len(client.received) == 1
    world.reactor.advance(len(VOID) - 2)
    assert not client.frames()
    world.reactor.advance(1)
    assert bytes(client.received) == VOID


@given(
    cuts=st.lists(st.integers(-40, 40), max_size=5),
    size=st.integers(1, 9),
    seed=st.integers(0, 100),
    count=st.integers(1, 3),
)
def test_pieces_make_the_whole(cuts: list[int], size: int, seed: int, count: int) -> None:
    world = World(seed=seed)
    world.server.when("SELECT 1").then(void(), split(*cuts, pause=0.5), trickle(0.1, size), duplicate(count))
    client = world.client()
    client.send(Opcode.QUERY, query("SELECT 1"))
    world.reactor.advance(100)
    assert bytes(client.received) == VOID * count


def test_truncating_ends_all_that_the_connection_says() -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), truncate(4))
    world.server.when("SELECT 2").then(void())
    client = world.client()
    client.query("SELECT 1")
    client.query("SELECT 2", stream=2)
    world.reactor.advance(1000)
    assert bytes(client.received) == VOID[:4]
    assert client.lost is None


@pytest.mark.parametrize(("seed", "streams"), [(None, [3, 2, 1]), (1, [2, 1, 3])])
def test_reordering(seed: int | None, streams: list[int]) -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), reorder(3, seed=seed))
    client = world.client()
    for stream in (1, 2, 3, 4):
        client.query("SELECT 1", stream)
    assert [each.stream for each in client.frames()] == streams


def test_several_faults_at_once() -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), duplicate(), cut(10), flip_bit(0))
    client = world.client()
    client.query("SELECT 1")
    assert bytes(client.received) == (b"\x85" + VOID[1:10]) * 2


def test_bare_frames_and_bytes() -> None:
    world = World()
    world.server.when("SELECT 1").then(raw(b"\0\1\2"), frame(Opcode.RESULT, b"nonsense", flags=1))
    client = world.client()
    client.query("SELECT 1")
    assert bytes(client.received) == b"\0\1\2" + VOID[:1] + b"\1" + VOID[2:8] + b"\x08nonsense"


def test_closing_after_part_of_an_answer() -> None:
    world = World()
    world.server.when("SELECT 1").then(void(), cut(7), close())
    client = world.client()
    client.query("SELECT 1")
    assert bytes(client.received) == VOID[:7]
    assert client.eof


def test_resetting() -> None:
    world = World()
    world.server.when("SELECT 1").then(reset())
    client = world.client()
    client.query("SELECT 1")
    assert isinstance(client.lost, ConnectionResetError)
    assert world.server.connections == []


# --- Segments ------------------------------------------------------------------------------------------------


def outcome(*steps: triocql.testing.server.AnyStep, version: int = 5, **options: object) -> object:
    """Return what a session of triocql gets for a query that is answered by these steps."""
    world = World(versions=(version,))
    world.server.when("SELECT 1").then(*steps)

    async def scenario(session: Session) -> object:
        return (await session.execute("SELECT 1", idempotent=False, timeout=60)).scalar()

    return world.run(scenario, **options)


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_small_segments(compression: str | None) -> None:
    assert outcome(ONE_ROW, small_segments(3), compression=compression) == 1
    assert outcome(ONE_ROW, small_segments(7), split(1, 2, -3), compression=compression) == 1


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_answers_over_several_segments(compression: str | None) -> None:
    text = "".join(str(number) for number in range(100_000))
    assert outcome(rows({"n": "text"}, [[text]]), compression=compression) == text


@pytest.mark.parametrize("compression", [None, "lz4"])
@pytest.mark.parametrize("fault", [bad_crc("header"), bad_crc("payload"), flip_bit(8), flip_bit(-40)])
def test_bad_checksums_end_the_connection(
    fault: triocql.testing.server.Fault, compression: str | None
) -> None:
    with pytest.raises(errors.ConnectionLost):
        outcome(ONE_ROW, fault, compression=compression)


def test_checksums_need_segments() -> None:
    with pytest.raises(errors.ServerError, match=r"bad_crc\(\) needs protocol v5"):
        outcome(ONE_ROW, bad_crc(), version=4)


def test_answers_share_segments_unless_a_fault_keeps_them_apart() -> None:
    world = World(versions=(5,))
    world.server.when("SELECT 1").then(delay(1), ONE_ROW)

    async def main() -> None:
        async with world.connect() as session:
            tasks = [world.reactor.start(session.execute, "SELECT 1") for _ in range(10)]
            for task in tasks:
                await task.wait()
            assert [task.result().scalar() for task in tasks] == [1] * 10

    world.reactor.run(main)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    "fault",
    [wrong_stream(700), wrong_stream(-3), header(version=0x05), header(opcode=0x33), oversize()],
    ids=["stream", "negative", "version", "opcode", "length"],
)
def test_what_a_driver_has_to_refuse(fault: triocql.testing.server.Fault, version: int) -> None:
    with pytest.raises(triocql.Error):
        outcome(ONE_ROW, fault, version=version)


# --- Connections ---------------------------------------------------------------------------------------------


def test_a_connection_that_stops_reading() -> None:
    world = World()
    world.server.when("SELECT 1").then(void())
    client = world.client()
    (connection,) = world.server.connections
    connection.stop_reading()
    assert client.query("SELECT 1") == []
    connection.resume_reading()
    world.reactor.settle()
    assert len(client.frames()) == 1


def test_a_client_that_does_not_read() -> None:
    world = World()
    world.server.when("SELECT 1").then(rows({"n": "blob"}, [[bytes(200_000)]]))
    client = world.client()
    client.pause_reading()
    for stream in range(10):
        client.query("SELECT 1", stream)
    assert not client.received
    client.resume_reading()
    assert sorted(each.stream for each in client.frames()) == list(range(10))


def test_a_connection_that_freezes() -> None:
    world = World()
    world.server.when("SELECT 1").then(delay(1), void())
    client = world.client()
    (connection,) = world.server.connections
    client.query("SELECT 1")
    connection.freeze()
    client.query("SELECT 1", stream=2)
    world.reactor.advance(100)
    assert not client.received
    connection.thaw()
    world.reactor.advance(2)
    assert [each.stream for each in client.frames()] == [1, 2]


def test_a_connection_in_a_black_hole() -> None:
    world = World()
    world.server.when("SELECT 1").then(delay(1), void())
    client = world.client()
    (connection,) = world.server.connections
    client.query("SELECT 1")
    connection.black_hole()
    client.query("SELECT 1", stream=2)
    world.reactor.advance(100)
    assert not client.received
    assert len(world.server.log) == 1
    assert client.lost is None


def test_connections_end_on_demand() -> None:
    world = World()
    first, second = world.client(), world.client()
    closing, resetting = world.server.connections
    closing.end("close")
    resetting.end("reset")
    world.reactor.settle()
    assert first.eof
    assert isinstance(second.lost, ConnectionResetError)


def test_nonsense_from_a_client() -> None:
    world = World()
    world.server.when("SELECT 1").then(no_response())
    client = world.client()
    client.send_raw(b"GET / HTTP/1.1\r\n\r\n")
    assert client.frames()[0].opcode == Opcode.ERROR
    assert client.eof
    early = world.client(start=False)
    assert early.ask(Opcode.QUERY, query("SELECT 1"))[0].body.endswith(b"expecting STARTUP or OPTIONS")
