from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.benchmarks import compiled, server
from tests.benchmarks.child import ROOT
from tests.benchmarks.contenders import ROW, STATEMENTS
from tests.benchmarks.server.answers import Answers, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.server import wire
else:
    wire = compiled.load("server/wire")

MODES = ((4, False), (4, True), (5, False))
EXECUTE, PREPARE, STARTUP = 10, 9, 1
SKIP_METADATA = 0x02


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server.running() as port:
        yield port


@pytest.mark.parametrize("compression", [False, "lz4"])
@pytest.mark.parametrize("version", [4, 5])
def test_cassandra_driver(port: int, version: int, compression: Any) -> None:
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.concurrent import execute_concurrent_with_args
    from cassandra.policies import RoundRobinPolicy

    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(RoundRobinPolicy())}
    cluster = Cluster(
        ["127.0.0.1"],
        port=port,
        protocol_version=version,
        compression=compression,
        execution_profiles=profiles,
    )
    try:
        session = cluster.connect()
        insert, select = (session.prepare(text) for text in STATEMENTS.values())
        assert [column.name for column in insert.column_metadata] == ["k", "v"]
        assert not session.execute(insert, ROW).all()
        carried = {"traceparent": b"00-1", "empty": b""}
        assert session.execute(select, ROW[:1], custom_payload=carried).one() == ROW
        assert session.execute(select, ROW[:1]).one() == ROW
        results = execute_concurrent_with_args(session, select, [(i,) for i in range(1000)])
        assert {result.result_or_exc.one() for result in results} == {ROW}
        large = session.execute("SELECT * FROM bench.rows_5000").all()
        assert len(large) == 5000
        assert large[-1].h == [0, 1, 2]
    finally:
        cluster.shutdown()


def test_cassandra_driver_finds_all_nodes_and_the_one_replica_of_each_key() -> None:
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy

    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(TokenAwarePolicy(RoundRobinPolicy()))}
    with server.running(3) as port:
        cluster = Cluster(["127.0.0.1"], port=port, protocol_version=4, execution_profiles=profiles)
        try:
            session = cluster.connect(wait_for_all_pools=True)
            insert = session.prepare(STATEMENTS["INSERT"])
            used = set()
            for number in range(100):
                future = session.execute_async(insert, (number, "x"))
                future.result()
                key = insert.bind((number, "x")).routing_key
                assert [future.coordinator_host] == cluster.metadata.get_replicas("bench", key)
                used.add(future.coordinator_host.address)
        finally:
            cluster.shutdown()
    assert used == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}


def test_the_process_ends_with_its_stdin() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.server", "1"]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.PIPE, capture_output=True, timeout=60, check=True
    )
    assert int(done.stdout) > 0


def connection() -> wire.Connection:
    books = {mode: wire.Book(*mode) for mode in MODES}
    return wire.Connection(Answers(books.values(), {}), books)


def frame(version: int, opcode: int, body: bytes, stream: int = 0) -> bytes:
    return struct.pack(">BBHBI", version, 0, stream, opcode, len(body)) + body


def prepare(version: int, query: str) -> bytes:
    return frame(version, PREPARE, struct.pack(">I", len(query)) + query.encode())


def short_bytes(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def receive(conn: wire.Connection, data: bytes) -> bytes:
    return conn.receive(memoryview(data))


def test_requests_cut_anywhere_give_the_same_answers() -> None:
    stream = frame(4, STARTUP, b"\0\0") + prepare(4, STATEMENTS["SELECT"])
    conn = connection()
    prepared = receive(conn, stream)
    execute = short_bytes(prepared[24:40]) + struct.pack(">HB", 1, 0)
    stream += frame(4, EXECUTE, execute, 7) + frame(4, EXECUTE, execute, 300)
    whole = receive(connection(), stream)
    assert whole.count(ROW[1].encode()) == 2
    for cut in range(len(stream)):
        conn = connection()
        assert receive(conn, stream[:cut]) + receive(conn, stream[cut:]) == whole


class Session:
    """A v5 client that packs a frame into a segment by cassandra-driver's own encoder."""

    def __init__(self) -> None:
        from cassandra.segment import SegmentCodec

        self.conn = connection()
        self.codec = SegmentCodec()
        assert receive(self.conn, frame(5, STARTUP, b"\0\0"))[4] == 2

    def call(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer."""
        import io

        out = io.BytesIO()
        self.codec.encode(out, request)
        answer = io.BytesIO(receive(self.conn, out.getvalue()))
        segment = self.codec.decode(answer, self.codec.decode_header(answer))
        payload: bytes = segment.payload
        return payload[9:]


def test_v5_result_metadata_follows_its_id() -> None:
    session = Session()
    prepared = session.call(prepare(5, STATEMENTS["SELECT"]))
    statement_id, metadata_id = prepared[6:22], prepared[24:40]

    def flags(metadata_id: bytes, query_flags: int) -> int:
        body = short_bytes(statement_id) + short_bytes(metadata_id) + struct.pack(">HI", 1, query_flags)
        return int.from_bytes(session.call(frame(5, EXECUTE, body))[4:8], "big")

    assert flags(metadata_id, SKIP_METADATA) == 0x01 | 0x04  # as Cassandra 5.0 has it
    assert flags(metadata_id, 0) == 0x01
    assert flags(b"x" * 16, SKIP_METADATA) == 0x01 | 0x08


def test_an_unknown_statement_is_unprepared() -> None:
    conn = connection()
    receive(conn, frame(4, STARTUP, b"\0\0"))
    answer = receive(conn, frame(4, EXECUTE, short_bytes(b"?" * 16) + struct.pack(">HB", 1, 0)))
    assert int.from_bytes(answer[9:13], "big") == 0x2500


def test_a_damaged_segment_is_refused() -> None:
    session = Session()
    with pytest.raises(ValueError, match="checksum"):
        receive(session.conn, b"\0" * 20)


def test_statements_are_understood() -> None:
    select = parse("SELECT k, v FROM bench.kv WHERE k = ? AND v >= ?")
    assert (select.columns, select.bound, select.rows) == (["k", "v"], ["k", "v"], 1)
    assert parse("SELECT * FROM system_schema.tables").rows == 0
    assert parse("SELECT * FROM bench.rows_12").rows == 12
    insert = parse("INSERT INTO bench.kv (k, v) VALUES (?, ?)")
    assert (insert.keyspace, insert.table, insert.bound, insert.columns) == ("bench", "kv", ["k", "v"], [])
