"""Requests as Cassandra's own classes encode them are understood, whatever pieces they come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triocql.abc import Transport
from triocql.testing.server import CqlServer, Opcode, Request
from triocql.testing.server.connection import ServerConnection
from triocql.testing.server.doors import Accepted
from triocql.testing.server.framing import (
    Compression,
    Frame,
    FrameReader,
    Lz4,
    SegmentReader,
    Snappy,
    segments,
)
from triocql.testing.server.wire import BadRequest

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden" / "encoded"
ID = bytes(range(16))
PATHS = sorted(GOLDEN.glob("v[345]/request-*.bin"))
with_versions = pytest.mark.parametrize("version", [3, 4, 5])


class Transportless(Transport):
    """A transport that does nothing."""

    def wake(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def connected() -> tuple[CqlServer, ServerConnection]:
    server = CqlServer()
    connection = ServerConnection(server.nodes[0], Accepted(0), lambda: None)
    server.nodes[0].connections.append(connection)
    connection.connection_made(Transportless())
    return server, connection


def request(version: int, name: str) -> Request:
    server, connection = connected()
    connection.data_received((GOLDEN / f"v{version}" / f"request-{name}.bin").read_bytes())
    (entry,) = server.log.everything
    assert entry.request.stream == 259
    return entry.request


@with_versions
def test_a_query_with_all_options(version: int) -> None:
    asked = request(version, "query-full")
    assert (asked.opcode, asked.text, asked.version) == (Opcode.QUERY, "SELECT 1", version)
    assert (asked.consistency, asked.serial_consistency) == (7, 9)
    assert asked.values == [b"one", None, b""]
    assert (asked.skip_metadata, asked.page_size) == (True, 5000)
    assert asked.paging_state == (GOLDEN / f"v{version}" / "paging-state.bin").read_bytes()
    assert asked.timestamp == 1234567890123456
    assert (asked.keyspace, asked.now_in_seconds) == (("ks", 1700000000) if version >= 5 else (None, None))


@with_versions
def test_other_requests(version: int) -> None:
    assert request(version, "startup").options == {"CQL_VERSION": "3.0.0", "COMPRESSION": "lz4"}
    assert request(version, "options").opcode == Opcode.OPTIONS
    assert request(version, "prepare").text == "SELECT 'é'"
    assert request(version, "register").events == ["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"]
    assert request(version, "query-bare").consistency == 10
    execute = request(version, "execute")
    assert (execute.id, execute.values, execute.text) == (ID, [b"one", None, b""], "")
    assert execute.metadata_id == (bytes(range(0xF0, 0x100)) if version >= 5 else b"")


@with_versions
def test_a_batch(version: int) -> None:
    batch = request(version, "batch")
    assert [(entry.text, entry.id, entry.values) for entry in batch.entries] == [
        ("INSERT", b"", []),
        ("", ID, [b"x", None]),
    ]
    assert (batch.consistency, batch.serial_consistency, batch.timestamp) == (4, 9, 1234567890123456)


def test_extras() -> None:
    assert request(5, "query-payload").payload == {"key": b"value", "null": None}
    assert request(5, "prepare-keyspace").keyspace == "ks"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_split_point(path: Path) -> None:
    data = path.read_bytes()
    (whole,) = FrameReader().feed(data)
    for segmented, content in ((False, data), (True, segments([data], compressed=True))):
        for at in range(len(content)):
            reader = SegmentReader(compressed=True) if segmented else FrameReader()
            assert [*reader.feed(content[:at]), *reader.feed(content[at:])] == [whole]


@given(
    frames=st.lists(st.binary(max_size=60), min_size=1, max_size=6),
    size=st.integers(1, 100),
    compressed=st.booleans(),
)
def test_segments_of_any_size(frames: list[bytes], size: int, compressed: bool) -> None:
    whole = [bytes((4, 0, 0, 1, 7)) + len(body).to_bytes(4, "big") + body for body in frames]
    found = SegmentReader(compressed).feed(segments(whole, compressed=compressed, size=size))
    assert [frame.body for frame in found] == frames


@settings(max_examples=300)
@given(
    path=st.sampled_from(PATHS),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
)
def test_damaged_requests_do_no_harm(path: Path, changes: list[tuple[int, int]]) -> None:
    _, connection = connected()
    data = bytearray(path.read_bytes())
    for position, byte in changes:
        data[position % len(data)] = byte
    connection.data_received(bytes(data))
    connection.data_to_send()


@pytest.mark.parametrize("compression", [Lz4(), Snappy()], ids=["lz4", "snappy"])
def test_compressed_frames(compression: Compression) -> None:
    frame = Frame(4, 0, 1, 7, b"content " * 20)
    data = frame.encode(compression)
    assert len(data) < 60
    reader = FrameReader()
    reader.compression = compression
    assert [each.body for each in reader.feed(data)] == [frame.body]
    with pytest.raises(BadRequest, match="no compression was agreed on"):
        list(FrameReader().feed(data))
    with pytest.raises(BadRequest, match=r"LZ4|Snappy"):
        list(reader.feed(data[:9] + b"\xff" * (len(data) - 9)))


def test_nothing_is_taken_after_nonsense() -> None:
    server, connection = connected()
    options = bytes((4, 0, 0, 1, 5, 0, 0, 0, 0))
    connection.data_received(options + b"\x09" + options[1:] + options)
    connection.data_received(options)
    assert len(server.log.everything) == 1


def test_bad_checksums() -> None:
    for at, which in ((1, "CRC24"), (-6, "CRC32")):
        data = bytearray(segments([b"content"], compressed=False))
        data[at] ^= 1
        with pytest.raises(BadRequest, match=which):
            list(SegmentReader(compressed=False).feed(bytes(data)))


def test_no_password_is_kept() -> None:
    server = CqlServer(users={"ann": "canary"})
    connection = ServerConnection(server.nodes[0], Accepted(0), lambda: None)
    connection.connection_made(Transportless())
    kept: list[Any] = [server.authenticator]
    for opcode, body in ((1, b"\0\0"), (15, b"\0\0\0\x0b\0ann\0canary")):
        connection.data_received(bytes((4, 0, 0, 1, opcode)) + len(body).to_bytes(4, "big") + body)
    assert connection.user_ready
    kept += server.log.everything
    assert all("canary" not in repr(each) + str(each) for each in kept)
    assert all(b"canary" not in entry.request.body for entry in server.log.everything)
