"""Writes the golden bytes under `golden/`, which the tests of the protocol compare with.

    python -m tests.protocol.capture_golden

It starts a real Cassandra node and makes three kinds of files:

- `captured/v5/NAME.bin`: one frame as the node sent it;
- `streams/v5-lz4.bin`: all that the node sent on one connection, segments and compression included;
- `encoded/v5/NAME.bin`: one frame as Cassandra's own classes encode it (by GoldenMessages.java): requests, and
  whatever a node cannot easily be made to send.

It speaks the protocol by itself and shares no code of it with the package, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from triocql.testing.cassandra import CassandraCluster, prepare

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
QUIET = 0.4
"""After so many seconds without a byte, the node has said all."""

STARTUP, OPTIONS, QUERY, PREPARE, EXECUTE, REGISTER, BATCH, AUTH_RESPONSE = 1, 5, 7, 9, 10, 11, 13, 15
ERROR, RESULT, EVENT = 0, 8, 12
ONE, TWO = 1, 2
TRACING, PAYLOAD = 2, 4

YAML = {
    "authenticator": "PasswordAuthenticator",
    "authorizer": "CassandraAuthorizer",
    "tombstone_failure_threshold": 50,
}
JVM = (
    "-Dcassandra.custom_query_handler_class=org.apache.cassandra.cql3.CustomPayloadMirroringQueryHandler",
    "-Dcassandra.test.fail_writes_ks=golden_failing",
)


def string(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def long_string(text: str) -> bytes:
    return struct.pack(">i", len(text.encode())) + text.encode()


def value(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def crc24(data: bytes) -> int:
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1974F0B if crc & 0x800000 else 0)
    return crc & 0xFFFFFF


class Node:
    """One connection: it sends a request at a time and keeps whatever comes back."""

    def __init__(self, host: str, version: int, compression: str | None = None) -> None:
        self.version = version
        self.compression = compression
        self.received = bytearray()
        self.segmented = False
        self.socket = socket.create_connection((host, 9042))

    def ask(self, opcode: int, body: bytes = b"", flags: int = 0, version: int | None = None) -> bytes:
        """Send a request and return all bytes that come until the node is quiet."""
        header = struct.pack(">BBhBi", version or self.version, flags, 1, opcode, len(body))
        self.socket.sendall(self.segment(header + body) if self.segmented else header + body)
        answer = b""
        self.socket.settimeout(5)
        with suppress(TimeoutError):
            while chunk := self.socket.recv(1 << 20):
                answer += chunk
                self.socket.settimeout(QUIET)
        self.received += answer
        if opcode == STARTUP:
            self.segmented = self.version >= 5
        return answer

    def segment(self, frame: bytes) -> bytes:
        fields = len(frame) | (1 << 34 if self.compression else 1 << 17)
        header = fields.to_bytes(5 if self.compression else 3, "little")
        checksum = crc32(frame, crc32(b"\xfa\x2d\x55\xca"))
        return header + crc24(header).to_bytes(3, "little") + frame + checksum.to_bytes(4, "little")

    def frames(self, opcode: int, body: bytes = b"", flags: int = 0) -> list[bytes]:
        """Send a request and return the frames of the answer, which must not be compressed."""
        segmented = self.segmented
        answer = self.ask(opcode, body, flags)
        frames = []
        while segmented and answer:
            length = int.from_bytes(answer[:3], "little") & 0x1FFFF
            frames.append(answer[6 : 6 + length])
            answer = answer[10 + length :]
        content = b"".join(frames) or answer
        frames = []
        while content:
            length = struct.unpack_from(">i", content, 5)[0]
            frames.append(content[: 9 + length])
            content = content[9 + length :]
        return frames

    def start(self, user: str = "cassandra", password: str = "cassandra") -> list[bytes]:
        """Set the connection up; return the answers."""
        options = string("CQL_VERSION") + string("3.0.0")
        if self.compression:
            options += string("COMPRESSION") + string(self.compression)
        count = struct.pack(">H", 2 if self.compression else 1)
        answers = [*self.frames(OPTIONS), self.ask(STARTUP, count + options)]
        return [*answers, self.ask(AUTH_RESPONSE, value(f"\x00{user}\x00{password}".encode()))]

    def parameters(self, consistency: int = ONE, flags: int = 0, content: bytes = b"") -> bytes:
        return struct.pack(">HI" if self.version >= 5 else ">HB", consistency, flags) + content

    def query(self, text: str, consistency: int = ONE, flags: int = 0) -> bytes:
        """Return the last frame of the answer to a query without options."""
        prefix = struct.pack(">H", 1) + string("key") + value(b"value") if flags & PAYLOAD else b""
        return self.frames(QUERY, prefix + long_string(text) + self.parameters(consistency), flags)[-1]

    def prepare(self, text: str) -> bytes:
        return self.frames(PREPARE, long_string(text) + (b"\0\0\0\0" if self.version >= 5 else b""))[-1]

    def close(self) -> None:
        self.socket.close()


REPLICATION = "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
SCHEMA = f"""
CREATE KEYSPACE golden {REPLICATION}
CREATE KEYSPACE golden_failing {REPLICATION}
CREATE TABLE golden_failing.t (k int PRIMARY KEY)
CREATE TYPE golden.address (street text, no int)
CREATE TABLE golden.t (k int, c int, v text, home frozen<address>, point vector<float, 2>, PRIMARY KEY (k, c))
CREATE TABLE golden.blobs (k int PRIMARY KEY, v blob)
CREATE FUNCTION golden.fail (a int) CALLED ON NULL INPUT RETURNS int \
LANGUAGE java AS 'throw new RuntimeException("bad");'
CREATE ROLE IF NOT EXISTS nobody WITH LOGIN = true AND PASSWORD = 'nobody'
INSERT INTO golden.t (k, c, v, home, point) VALUES (1, 1, 'one', {{street: 'High', no: 7}}, [0.5, 1.5])
INSERT INTO golden.t (k, c) VALUES (1, 2)
INSERT INTO golden.t (k, c, v) VALUES (1, 3, '')
INSERT INTO golden.blobs (k, v) VALUES (1, 0x{bytes(range(256)).hex() * 600})
""".strip()

SIMPLE = {
    "error-syntax": "SELEKT 1",
    "error-invalid": "SELECT * FROM golden.nothing",
    "error-config": "CREATE KEYSPACE k WITH replication = {'class': 'NoStrategy'}",
    "error-already-exists-keyspace": f"CREATE KEYSPACE golden {REPLICATION}",
    "error-already-exists-table": "CREATE TABLE golden.t (k int PRIMARY KEY)",
    "error-write-failure": "INSERT INTO golden_failing.t (k) VALUES (1)",
    "set-keyspace": "USE golden",
    "void": "INSERT INTO golden.t (k, c, v) VALUES (1, 3, '')",
    "rows": "SELECT * FROM golden.t WHERE k = 1",
    "rows-none": "SELECT * FROM golden.t WHERE k = 2",
    "rows-conditional": "INSERT INTO golden.t (k, c) VALUES (1, 1) IF NOT EXISTS",
    "rows-with-warning": "SELECT count(*) FROM golden.blobs",
    "schema-keyspace": "ALTER KEYSPACE golden WITH durable_writes = FLAG",
    "schema-table": "ALTER TABLE golden.t WITH comment = 'VERSION'",
    "schema-type": "CREATE TYPE golden.short (a int)",
    "schema-type-dropped": "DROP TYPE golden.short",
    "schema-function": (
        "CREATE FUNCTION golden.plus_VERSION (a int, b int) CALLED ON NULL INPUT RETURNS int "
        "LANGUAGE java AS 'return a;'"
    ),
    "schema-aggregate": "CREATE AGGREGATE golden.total_VERSION (int) SFUNC plus_VERSION STYPE int INITCOND 0",
}
V4_ONLY = {"error-write-failure", "schema-function", "schema-aggregate", "rows-with-warning"}


def capture(host: str, version: int) -> dict[str, bytes]:
    """Return frames of a node by their names."""
    node = Node(host, version)
    found = dict(zip(("supported", "authenticate"), node.start(), strict=False))
    for name, text in SIMPLE.items():
        if version >= 4 or name not in V4_ONLY:
            text = text.replace("VERSION", f"v{version}").replace("FLAG", str(version != 3).lower())
            found[name] = node.query(text)
    found["error-unavailable"] = node.query("SELECT * FROM golden.t WHERE k = 1", TWO)
    found["rows-traced"] = node.query("SELECT * FROM golden.t WHERE k = 1", flags=TRACING)
    capture_prepared(node, found)
    if version >= 4:
        found["rows-with-payload"] = node.query("SELECT * FROM golden.t WHERE k = 1", flags=PAYLOAD)
        found["error-function-failure"] = node.query("SELECT golden.fail(c) FROM golden.t WHERE k = 1")
        deletes = "".join(f"DELETE v FROM golden.t WHERE k = 9 AND c = {key}; " for key in range(60))
        node.query(f"BEGIN UNLOGGED BATCH {deletes} APPLY BATCH")
        found["error-read-failure"] = node.query("SELECT v FROM golden.t WHERE k = 9")
    events = [string(name) for name in ("TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE")]
    found["ready"] = node.frames(REGISTER, struct.pack(">H", 3) + b"".join(events))[-1]
    text = "ALTER TABLE golden.t WITH comment = 'y'"
    for frame in node.frames(QUERY, long_string(text) + node.parameters()):
        found["event-schema-table" if frame[4] == EVENT else "schema-table"] = frame
    node.close()
    capture_refusals(host, version, found)
    return found


def capture_prepared(node: Node, found: dict[str, bytes]) -> None:
    """Add what has to do with prepared statements."""
    text = "SELECT v, home, point FROM golden.t WHERE k = ?"
    found["prepared-select"] = prepared = node.prepare(text)
    found["prepared-insert"] = node.prepare("INSERT INTO golden.t (c, k, v) VALUES (?, ?, ?)")
    found["prepared-none"] = node.prepare("SELECT v FROM golden.t")
    statement = prepared[13 : 15 + 16]
    metadata = prepared[31 : 31 + 18] if node.version >= 5 else b""
    one = struct.pack(">Hii", 1, 4, 1)
    bound = node.parameters(ONE, 0x01, one)
    unknown = b"\0\x10" + bytes(16)
    found["error-unprepared"] = node.frames(EXECUTE, unknown + metadata + bound)[-1]
    first = node.frames(
        EXECUTE, statement + metadata + node.parameters(ONE, 0x05, one + struct.pack(">i", 2))
    )[-1]
    found["rows-first-page"] = first
    found["rows-undescribed"] = node.frames(EXECUTE, statement + metadata + node.parameters(ONE, 0x03, one))[
        -1
    ]
    if node.version >= 5:
        stale = b"\0\x10" + bytes(16)
        found["rows-metadata-changed"] = node.frames(
            EXECUTE, statement + stale + node.parameters(ONE, 0x03, one)
        )[-1]


def capture_refusals(host: str, version: int, found: dict[str, bytes]) -> None:
    """Add how a node refuses a connection."""
    node = Node(host, version)
    found["error-bad-credentials"] = node.start("cassandra", "wrong")[-1]
    if version >= 5:
        found["error-bad-credentials"] = found["error-bad-credentials"][6:-4]
    node.close()
    node = Node(host, version)
    node.start("nobody", "nobody")
    found["error-unauthorized"] = node.query("SELECT * FROM golden.t")
    node.close()
    if version == 5:
        for name, number in {"error-version-beta": 6, "error-version-unknown": 9}.items():
            node = Node(host, version)
            found[name] = node.ask(OPTIONS, version=number)
            node.close()


def capture_stream(host: str, version: int, compression: str | None) -> bytes:
    """Return all that a node says on one connection: among it a row that takes more than one segment."""
    node = Node(host, version, compression)
    node.start()
    for text in ("SELECT * FROM golden.t WHERE k = 1", "SELECT v FROM golden.blobs", "SELEKT 1"):
        node.ask(QUERY, long_string(text) + node.parameters())
    pipelined = b""
    for stream in range(2, 40):
        body = long_string("SELECT c FROM golden.t WHERE k = 1") + node.parameters()
        frame = struct.pack(">BBhBi", version, 0, stream, QUERY, len(body)) + body
        pipelined += node.segment(frame) if version >= 5 else frame
    node.socket.sendall(pipelined)
    node.ask(OPTIONS)
    node.close()
    return bytes(node.received)


def encode(lib: str) -> dict[tuple[str, str], bytes]:
    """Return frames by Cassandra's own classes, by version and name."""
    java = ["java", "--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED", "-cp", f"{lib}/*"]
    output = subprocess.run(
        [*java, str(HERE / "GoldenMessages.java")], check=True, capture_output=True, text=True
    ).stdout
    lines = re.findall(r"^(v\d) (\S+) ([0-9a-f]+)$", output, re.MULTILINE)
    return {(version, name): bytes.fromhex(content) for version, name, content in lines}


def save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def create_schema(host: str) -> None:
    admin = Node(host, 4)
    admin.start()
    for statement in SCHEMA.splitlines():
        answer = admin.query(statement)
        if answer[4] == ERROR:
            raise SystemExit(f"{statement[:200]}: {answer[13:]!r}")
    admin.close()


def main() -> None:
    lib = prepare().lib
    for (version_name, name), content in encode(str(lib)).items():
        save(GOLDEN / "encoded" / version_name / f"{name}.bin", content)
    with CassandraCluster(yaml=YAML, jvm=JVM) as cluster:
        host = cluster.nodes[0].address
        create_schema(host)
        for version in (3, 4, 5):
            for name, content in capture(host, version).items():
                save(GOLDEN / "captured" / f"v{version}" / f"{name}.bin", content)
            for compression in (None, "lz4", "snappy") if version < 5 else (None, "lz4"):
                stream = capture_stream(host, version, compression)
                save(GOLDEN / "streams" / f"v{version}-{compression or 'plain'}.bin", stream)


if __name__ == "__main__":
    main()
