"""The server's messages are, byte for byte, those of real nodes and of Cassandra's own classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from triocql.testing.server import encoder, wire
from triocql.testing.server.encoder import Column, Opcode
from triocql.testing.server.errorcodes import Consistency, ErrorCode, check_fields, encode_error
from triocql.testing.server.framing import Frame
from triocql.testing.server.types import UserType, parse_type

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden"
ID = bytes(range(16))
METADATA_ID = bytes(range(0xF0, 0x100))
ADDRESS = UserType("ks", "address", (("street", parse_type("text")), ("No", parse_type("int"))))
KNOWN = {"address": ADDRESS}
EVERY_TYPE = (
    "ascii bigint blob boolean counter decimal double float int timestamp uuid text varint timeuuid inet "
    "date time smallint tinyint duration"
)
COMPOSED = {
    "list": "list<int>",
    "set": "set<text>",
    "map": "map<text, list<frozen<address>>>",
    "tuple": "tuple<int, set<uuid>>",
    "udt": "address",
    "vector": "vector<float, 3>",
    "empty": "empty",
}
with_versions = pytest.mark.parametrize("version", [3, 4, 5])


def golden(kind: str, version: int, name: str) -> bytes:
    return (GOLDEN / kind / f"v{version}" / f"{name}.bin").read_bytes()


def frame(version: int, opcode: int, body: bytes, flags: int = 0, stream: int = 259) -> bytes:
    return Frame(version | 0x80, flags, stream, opcode, body).encode()


def column(name: str, type_: str, table: str = "t", keyspace: str = "ks") -> Column:
    return Column(keyspace, table, name, parse_type(type_, KNOWN.get))


@with_versions
def test_every_type(version: int) -> None:
    columns = [column(name, name) for name in EVERY_TYPE.split()]
    columns += [column(name, type_) for name, type_ in COMPOSED.items()]
    body = encoder.rows(
        version,
        columns,
        [],
        paging_state=golden("encoded", version, "paging-state"),
        new_metadata_id=METADATA_ID if version >= 5 else None,
    )
    assert frame(version, Opcode.RESULT, body) == golden("encoded", version, "rows-every-type")


@with_versions
def test_prepared(version: int) -> None:
    parameters = [column("b", "int"), column("a", "text")]
    result = [column("a", "text"), column("a", "text", "u")]
    body = encoder.prepared(version, ID, parameters, [1, 0], result, METADATA_ID)
    assert frame(version, Opcode.RESULT, body) == golden("encoded", version, "prepared-two-tables")


@with_versions
def test_prepared_without_rows(version: int) -> None:
    data = golden("captured", version, "prepared-insert")
    statement = data[15:31]
    result = data[33:49] if version >= 5 else None
    parameters = [
        column("c", "int", keyspace="golden"),
        column("k", "int", keyspace="golden"),
        column("v", "text", keyspace="golden"),
    ]
    body = encoder.prepared(version, statement, parameters, [1], None, result)
    assert frame(version, Opcode.RESULT, body, stream=1) == data


@with_versions
def test_rows(version: int) -> None:
    address = UserType("golden", "address", (("street", parse_type("text")), ("no", parse_type("int"))))
    named = {"k": "int", "c": "int", "home": "frozen<address>", "point": "vector<float, 2>", "v": "text"}
    types = {name: parse_type(type_, {"address": address}.get) for name, type_ in named.items()}
    columns = [Column("golden", "t", name, type_) for name, type_ in types.items()]
    found: list[list[Any]] = [
        [1, 1, {"street": "High", "no": 7}, [0.5, 1.5], "one"],
        [1, 2, None, None, None],
        [1, 3, None, None, ""],
    ]
    cells = [[each.type.cell(value) for each, value in zip(columns, row, strict=True)] for row in found]
    body = encoder.rows(version, columns, cells)
    assert frame(version, Opcode.RESULT, body, stream=1) == golden("captured", version, "rows")


@with_versions
def test_small_results(version: int) -> None:
    made = {
        "void": encoder.void(),
        "set-keyspace": encoder.set_keyspace("golden"),
        "schema-table": encoder.schema_changed("UPDATED", "TABLE", "golden", "t"),
        "schema-type": encoder.schema_changed("CREATED", "TYPE", "golden", "short"),
        "schema-type-dropped": encoder.schema_changed("DROPPED", "TYPE", "golden", "short"),
    }
    if version < 5:
        made["schema-keyspace"] = encoder.schema_changed("UPDATED", "KEYSPACE", "golden")
    if version >= 4:
        name, ints = f"plus_v{version}", ("int", "int")
        made["schema-function"] = encoder.schema_changed("CREATED", "FUNCTION", "golden", name, ints)
        made["schema-aggregate"] = encoder.schema_changed(
            "CREATED", "AGGREGATE", "golden", f"total_v{version}", ("int",)
        )
    for name, body in made.items():
        assert frame(version, Opcode.RESULT, body, stream=1) == golden("captured", version, name), name


@with_versions
def test_the_handshake(version: int) -> None:
    password = "org.apache.cassandra.auth.PasswordAuthenticator"
    supported = {
        "PROTOCOL_VERSIONS": ["3/v3", "4/v4", "5/v5", "6/v6-beta"],
        "COMPRESSION": ["snappy", "lz4"],
        "CQL_VERSION": ["3.4.7"],
    }
    assert frame(version, Opcode.AUTHENTICATE, encoder.authenticate(password), stream=1) == golden(
        "captured", version, "authenticate"
    )
    assert frame(version, Opcode.SUPPORTED, encoder.supported(supported), stream=1) == golden(
        "captured", version, "supported"
    )
    assert frame(version, Opcode.READY, b"", stream=1) == golden("captured", version, "ready")
    tokens = {"auth-challenge": b"next", "auth-success": b"done", "auth-success-null": None}
    for name, token in tokens.items():
        opcode = Opcode.AUTH_CHALLENGE if name == "auth-challenge" else Opcode.AUTH_SUCCESS
        assert frame(version, opcode, encoder.auth_token(token)) == golden("encoded", version, name)


@with_versions
def test_events(version: int) -> None:
    made = {
        "new-node": encoder.node_event("TOPOLOGY_CHANGE", "NEW_NODE", "10.1.2.3", 9042),
        "removed-node": encoder.node_event("TOPOLOGY_CHANGE", "REMOVED_NODE", "2001:db8::1", 9042),
        "up": encoder.node_event("STATUS_CHANGE", "UP", "2001:db8::1", 9042),
        "down": encoder.node_event("STATUS_CHANGE", "DOWN", "10.1.2.3", 9042),
        "keyspace": encoder.schema_event("DROPPED", "KEYSPACE", "ks"),
        "table": encoder.schema_event("UPDATED", "TABLE", "ks", "t"),
        "type": encoder.schema_event("UPDATED", "TYPE", "ks", "address"),
    }
    if version >= 4:
        made["function"] = encoder.schema_event("CREATED", "FUNCTION", "ks", "f", ["int", "text"])
        made["aggregate"] = encoder.schema_event("CREATED", "AGGREGATE", "ks", "a", ["int", "text"])
    for name, body in made.items():
        assert frame(version, Opcode.EVENT, body, stream=-1) == golden("encoded", version, f"event-{name}"), (
            name
        )


REASONS = {"10.1.2.3": 1, "2001:db8::1": 2}
COUNTS: dict[str, Any] = {"consistency": Consistency.QUORUM, "received": 1, "required": 2}
SERIAL: dict[str, Any] = COUNTS | {"consistency": Consistency.SERIAL}
ERRORS: dict[str, tuple[ErrorCode, dict[str, Any]]] = {
    "server": (ErrorCode.SERVER_ERROR, {}),
    "protocol": (ErrorCode.PROTOCOL_ERROR, {}),
    "bad-credentials": (ErrorCode.BAD_CREDENTIALS, {}),
    "unavailable": (ErrorCode.UNAVAILABLE, {"consistency": Consistency.QUORUM, "required": 2, "alive": 1}),
    "overloaded": (ErrorCode.OVERLOADED, {}),
    "is-bootstrapping": (ErrorCode.IS_BOOTSTRAPPING, {}),
    "truncate": (ErrorCode.TRUNCATE_ERROR, {}),
    "write-timeout": (ErrorCode.WRITE_TIMEOUT, COUNTS | {"write_type": "BATCH_LOG"}),
    "cas-write-timeout": (ErrorCode.WRITE_TIMEOUT, SERIAL | {"write_type": "CAS", "contentions": 5}),
    "read-timeout": (ErrorCode.READ_TIMEOUT, COUNTS | {"data_present": True}),
    "read-failure": (ErrorCode.READ_FAILURE, COUNTS | {"reasons": REASONS, "data_present": False}),
    "write-failure": (ErrorCode.WRITE_FAILURE, COUNTS | {"reasons": REASONS, "write_type": "SIMPLE"}),
    "function-failure": (
        ErrorCode.FUNCTION_FAILURE,
        {"keyspace": "ks", "function": "f", "arg_types": ["int", "text"]},
    ),
    "cdc-write-failure": (ErrorCode.CDC_WRITE_FAILURE, {}),
    "cas-write-unknown": (ErrorCode.CAS_WRITE_UNKNOWN, SERIAL),
    "syntax": (ErrorCode.SYNTAX_ERROR, {}),
    "unauthorized": (ErrorCode.UNAUTHORIZED, {}),
    "invalid": (ErrorCode.INVALID, {}),
    "config": (ErrorCode.CONFIG_ERROR, {}),
    "already-exists-table": (ErrorCode.ALREADY_EXISTS, {"keyspace": "ks", "table": "t"}),
    "already-exists-keyspace": (ErrorCode.ALREADY_EXISTS, {"keyspace": "ks"}),
    "unprepared": (ErrorCode.UNPREPARED, {"id": ID}),
}


@with_versions
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, version: int) -> None:
    data = golden("encoded", version, f"error-{name}")
    code, fields = ERRORS[name]
    reader = wire.Reader(data[9:])
    reader.integer()
    message = reader.string()
    assert frame(version, Opcode.ERROR, encode_error(version, code, message, fields)) == data


@pytest.mark.parametrize("version", [4, 5])
def test_extras(version: int) -> None:
    flags, prefix = encoder.extras(
        UUID("12345678-1234-1234-8234-123456789abc"), ["careful", "slow"], {"key": b"value", "null": None}
    )
    assert frame(version, Opcode.RESULT, prefix + encoder.void(), flags) == golden(
        "encoded", version, "void-with-extras"
    )


def test_fields_that_an_error_does_not_have() -> None:
    with pytest.raises(
        TypeError, match=r"error 0x1000 has no field alife; it has: consistency, required, alive"
    ):
        check_fields(ErrorCode.UNAVAILABLE, {"alife": 1})
    with pytest.raises(TypeError, match="it has: none"):
        check_fields(0x7777, {"alive": 1})
