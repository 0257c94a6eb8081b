"""What each response means, by golden bytes: from a real node where it could be made to send it (`captured`), by
Cassandra's own classes where not (`encoded`)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import pytest

from tests.protocol.implementation import golden
from triocql import errors
from triocql.errors import LimitExceeded, ProtocolError
from triocql.protocol.constants import Consistency, Opcode
from triocql.protocol.responses import (
    READY,
    VOID,
    AuthChallenge,
    Authenticate,
    AuthSuccess,
    Extras,
    Message,
    Prepared,
    RowsHeader,
    RowsMetadata,
    SchemaChange,
    SetKeyspace,
    StatusChange,
    Supported,
    TopologyChange,
    UnknownEvent,
    decode_message,
    read_rows_header,
    split_extras,
)
from triocql.protocol.types import (
    ColumnSpec,
    CustomType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
)

ID = bytes(range(16))
METADATA_ID = bytes(range(0xF0, 0x100))
V4, V6 = IPv4Address("10.1.2.3"), IPv6Address("2001:db8::1")
MARSHAL = "org.apache.cassandra.db.marshal."
INT, TEXT = NativeType("int"), NativeType("text")
ADDRESS = UserType("golden", "address", (("street", TEXT), ("no", INT)))
VECTOR = CustomType(f"{MARSHAL}VectorType({MARSHAL}FloatType , 2)")
versions = pytest.mark.parametrize("version", [3, 4, 5])
since_v4 = pytest.mark.parametrize("version", [4, 5])


def decode(name: str, known: RowsMetadata | None = None) -> tuple[Extras | None, Message]:
    frame = golden(name)
    extras, start = split_extras(frame[1], frame[9:])
    return extras, decode_message(frame[4], frame[9:], start, frame[0] & 0x7F, known)


def message(name: str) -> Message:
    extras, decoded = decode(name)
    assert extras is None
    return decoded


def rows(name: str, known: RowsMetadata | None = None) -> RowsHeader:
    header = decode(name, known)[1]
    assert isinstance(header, RowsHeader)
    return header


@versions
def test_setting_up(version: int) -> None:
    supported = message(f"captured/v{version}/supported")
    assert isinstance(supported, Supported)
    assert supported.options == {
        "PROTOCOL_VERSIONS": ("3/v3", "4/v4", "5/v5", "6/v6-beta"),
        "COMPRESSION": ("snappy", "lz4"),
        "CQL_VERSION": ("3.4.7",),
    }
    name = "org.apache.cassandra.auth.PasswordAuthenticator"
    assert message(f"captured/v{version}/authenticate") == Authenticate(name)
    assert message(f"captured/v{version}/ready") is READY
    assert message(f"encoded/v{version}/auth-challenge") == AuthChallenge(b"next")
    assert message(f"encoded/v{version}/auth-success") == AuthSuccess(b"done")
    assert message(f"encoded/v{version}/auth-success-null") == AuthSuccess(None)


EVENTS: dict[str, Message] = {
    "new-node": TopologyChange("NEW_NODE", V4, 9042),
    "removed-node": TopologyChange("REMOVED_NODE", V6, 9042),
    "up": StatusChange("UP", V6, 9042),
    "down": StatusChange("DOWN", V4, 9042),
    "keyspace": SchemaChange("DROPPED", "KEYSPACE", "ks"),
    "table": SchemaChange("UPDATED", "TABLE", "ks", "t"),
    "type": SchemaChange("UPDATED", "TYPE", "ks", "address"),
}


@versions
@pytest.mark.parametrize("name", EVENTS)
def test_events(version: int, name: str) -> None:
    assert message(f"encoded/v{version}/event-{name}") == EVENTS[name]
    assert golden(f"encoded/v{version}/event-{name}")[2:4] == b"\xff\xff"


@since_v4
def test_events_of_functions(version: int) -> None:
    for target, name in (("FUNCTION", "f"), ("AGGREGATE", "a")):
        expected = SchemaChange("CREATED", target, "ks", name, ("int", "text"))
        assert message(f"encoded/v{version}/event-{target.lower()}") == expected


@versions
def test_an_event_of_a_real_node(version: int) -> None:
    expected = SchemaChange("UPDATED", "TABLE", "golden", "t")
    assert message(f"captured/v{version}/event-schema-table") == expected


def test_an_event_that_is_not_known() -> None:
    assert decode_message(Opcode.EVENT, b"\0\3NEW", 0, 4) == UnknownEvent("NEW")


@versions
def test_small_results(version: int) -> None:
    folder = f"captured/v{version}"
    assert message(f"{folder}/void") is VOID
    assert message(f"{folder}/set-keyspace") == SetKeyspace("golden")
    assert message(f"{folder}/schema-table") == SchemaChange("UPDATED", "TABLE", "golden", "t")
    assert message(f"{folder}/schema-type") == SchemaChange("CREATED", "TYPE", "golden", "short")
    assert message(f"{folder}/schema-type-dropped") == SchemaChange("DROPPED", "TYPE", "golden", "short")


@since_v4
def test_functions(version: int) -> None:
    folder, name = f"captured/v{version}", f"plus_v{version}"
    function = SchemaChange("CREATED", "FUNCTION", "golden", name, ("int", "int"))
    assert message(f"{folder}/schema-function") == function
    aggregate = SchemaChange("CREATED", "AGGREGATE", "golden", f"total_v{version}", ("int",))
    assert message(f"{folder}/schema-aggregate") == aggregate


NAMES = [
    pytest.param("tä".encode("latin-1"), "tä", id="a byte a character, as Cassandra has it"),
    pytest.param("日本".encode(), "日本", id="UTF-8"),
]


@pytest.mark.parametrize(("raw", "name"), NAMES)
def test_names_in_a_change_of_the_schema_that_are_not_ascii(raw: bytes, name: str) -> None:
    """The change was made: a name that cannot be read is no reason for the statement to fail."""
    told = b"".join(len(each).to_bytes(2, "big") + each for each in (b"CREATED", b"FUNCTION", b"shop", raw))
    told += b"\0\1" + len(raw).to_bytes(2, "big") + raw
    expected = SchemaChange("CREATED", "FUNCTION", "shop", name, (name,))
    assert decode_message(Opcode.RESULT, b"\0\0\0\5" + told, 0, 5) == expected
    assert decode_message(Opcode.EVENT, b"\0\x0dSCHEMA_CHANGE" + told, 0, 5) == expected


@versions
def test_rows(version: int) -> None:
    header = rows(f"captured/v{version}/rows")
    assert header.metadata is not None
    types = {"k": INT, "c": INT, "home": ADDRESS, "point": VECTOR, "v": TEXT}
    assert header.metadata.columns == tuple(ColumnSpec("golden", "t", *item) for item in types.items())
    assert (header.column_count, header.row_count, header.paging_state) == (5, 3, None)
    content = golden(f"captured/v{version}/rows")[9:][header.rows_offset :]
    assert content.startswith(b"\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\1\0\0\0\x10\0\0\0\4High")
    none = rows(f"captured/v{version}/rows-none")
    assert (none.row_count, none.metadata) == (0, header.metadata)


@versions
def test_pages(version: int) -> None:
    header = rows(f"captured/v{version}/rows-first-page")
    assert header.paging_state
    assert header.row_count == 2


@versions
def test_a_conditional_statement(version: int) -> None:
    header = rows(f"captured/v{version}/rows-conditional")
    assert header.metadata is not None
    assert header.metadata.columns[0] == ColumnSpec("golden", "t", "[applied]", NativeType("boolean"))


@versions
def test_prepared_statements(version: int) -> None:
    select = message(f"captured/v{version}/prepared-select")
    assert isinstance(select, Prepared)
    assert select.bind_columns == (ColumnSpec("golden", "t", "k", INT),)
    assert select.pk_indexes == ((0,) if version >= 4 else ())
    assert select.result_metadata is not None
    assert [column.name for column in select.result_metadata.columns] == ["v", "home", "point"]
    assert (len(select.id), select.metadata_id is None) == (16, version < 5)
    insert = message(f"captured/v{version}/prepared-insert")
    assert isinstance(insert, Prepared)
    assert insert.pk_indexes == ((1,) if version >= 4 else ())
    assert insert.result_metadata is None
    none = message(f"captured/v{version}/prepared-none")
    assert isinstance(none, Prepared)
    assert none.bind_columns == ()


@versions
def test_columns_of_two_tables(version: int) -> None:
    prepared = message(f"encoded/v{version}/prepared-two-tables")
    raw = b"\0\2ks\0\1t\0\1a\0\x0d\0\2ks\0\1u\0\1a\0\x0d"
    columns = (ColumnSpec("ks", "t", "a", TEXT), ColumnSpec("ks", "u", "a", TEXT))
    assert prepared == Prepared(
        ID,
        METADATA_ID if version == 5 else None,
        (ColumnSpec("ks", "t", "b", INT), ColumnSpec("ks", "t", "a", TEXT)),
        (1, 0) if version >= 4 else (),
        RowsMetadata(columns, raw, global_spec=False),
    )


@versions
def test_every_type(version: int) -> None:
    header = rows(f"encoded/v{version}/rows-every-type")
    assert header.metadata is not None
    address = UserType("ks", "address", (("street", TEXT), ("No", INT)))
    nested: dict[str, Any] = {
        "list": ListType(INT),
        "set": SetType(TEXT),
        "map": MapType(TEXT, ListType(address)),
        "tuple": TupleType((INT, SetType(NativeType("uuid")))),
        "udt": address,
        "vector": CustomType(f"{MARSHAL}VectorType({MARSHAL}FloatType , 3)"),
        "empty": CustomType(f"{MARSHAL}EmptyType"),
    }
    # What a version has no number for is described by its class.
    late = (
        {"date": "SimpleDate", "time": "Time", "smallint": "Short", "tinyint": "Byte"} if version < 4 else {}
    )
    if version < 5:
        late["duration"] = "Duration"
    named = {name: CustomType(f"{MARSHAL}{kind}Type") for name, kind in late.items()}
    for column in header.metadata.columns:
        expected = nested.get(column.name) or named.get(column.name) or NativeType(column.name)
        assert column.type == expected
    assert len(header.metadata.columns) == 27
    assert header.paging_state == golden(f"encoded/v{version}/paging-state")
    assert header.new_metadata_id == (METADATA_ID if version == 5 else None)


@versions
def test_known_columns_are_recognized(version: int) -> None:
    folder = f"captured/v{version}"
    prepared = message(f"{folder}/prepared-select")
    assert isinstance(prepared, Prepared)
    known = prepared.result_metadata
    assert known is not None
    assert rows(f"{folder}/rows-first-page", known).metadata is known
    assert rows(f"{folder}/rows-first-page").metadata == known
    other = rows(f"{folder}/rows").metadata
    assert rows(f"{folder}/rows-first-page", other).metadata == known
    undescribed = rows(f"{folder}/rows-undescribed", known)
    assert (undescribed.metadata, undescribed.column_count, undescribed.row_count) == (None, 3, 3)
    with pytest.raises(ProtocolError, match=r"rows have 3 columns and no description; .* prepared with 5"):
        rows(f"{folder}/rows-undescribed", other)


def test_changed_metadata_comes_with_its_id() -> None:
    prepared = message("captured/v5/prepared-select")
    assert isinstance(prepared, Prepared)
    header = rows("captured/v5/rows-metadata-changed")
    assert header.metadata == prepared.result_metadata
    assert header.new_metadata_id == prepared.metadata_id


@versions
def test_a_traced_request(version: int) -> None:
    extras, header = decode(f"captured/v{version}/rows-traced")
    assert extras is not None
    assert isinstance(extras.tracing_id, UUID)
    assert (extras.tracing_id.version, extras.warnings, extras.payload) == (1, (), None)
    assert isinstance(header, RowsHeader)


@since_v4
def test_warnings_and_payload(version: int) -> None:
    extras, _ = decode(f"captured/v{version}/rows-with-warning")
    assert extras == Extras(None, ("Aggregation query used without partition key",))
    extras, _ = decode(f"captured/v{version}/rows-with-payload")
    assert extras == Extras(payload={"key": b"value"})
    extras, result = decode(f"encoded/v{version}/void-with-extras")
    tracing_id = UUID("12345678-1234-1234-8234-123456789abc")
    assert extras == Extras(tracing_id, ("careful", "slow"), {"key": b"value", "null": None})
    assert result is VOID


QUORUM = {"consistency": Consistency.QUORUM}
REPLIES = {"received": 1, "required": 2}
SERIAL = {"consistency": Consistency.SERIAL, **REPLIES}
FAILED = {**QUORUM, **REPLIES, "failures": 2}
ERRORS: dict[str, tuple[type[errors.ResponseError], bool, dict[str, Any]]] = {
    "server": (errors.ServerError, True, {"message": "java.lang.RuntimeException: boom"}),
    "protocol": (errors.ProtocolViolation, False, {"message": "nonsense"}),
    "bad-credentials": (errors.BadCredentials, False, {}),
    "unavailable": (errors.Unavailable, False, {**QUORUM, "required": 2, "alive": 1}),
    "overloaded": (errors.Overloaded, True, {}),
    "is-bootstrapping": (errors.IsBootstrapping, False, {}),
    "truncate": (errors.TruncateError, True, {}),
    "write-timeout": (
        errors.WriteTimeout,
        True,
        {**QUORUM, **REPLIES, "write_type": "BATCH_LOG", "contentions": None},
    ),
    "read-timeout": (errors.ReadTimeout, True, {**QUORUM, **REPLIES, "data_present": True}),
    "syntax": (errors.SyntaxError, False, {}),
    "unauthorized": (errors.Unauthorized, False, {}),
    "invalid": (errors.InvalidQuery, False, {}),
    "config": (errors.ConfigurationError, False, {}),
    "already-exists-table": (errors.AlreadyExists, False, {"keyspace": "ks", "table": "t"}),
    "already-exists-keyspace": (errors.AlreadyExists, False, {"keyspace": "ks", "table": ""}),
    "unprepared": (errors.Unprepared, False, {"id": ID}),
}
V4_ERRORS: dict[str, tuple[type[errors.ResponseError], bool, dict[str, Any]]] = {
    "read-failure": (errors.ReadFailure, True, {**FAILED, "data_present": False}),
    "write-failure": (errors.WriteFailure, True, {**FAILED, "write_type": "SIMPLE"}),
    "function-failure": (
        errors.FunctionFailure,
        True,
        {"keyspace": "ks", "function": "f", "arg_types": ("int", "text")},
    ),
}


def check_error(name: str, kind: type[Exception], maybe_executed: bool, fields: dict[str, Any]) -> None:
    error = message(name)
    assert type(error) is kind
    assert isinstance(error, errors.ResponseError)
    assert error.code == int.from_bytes(golden(name)[9:13], "big")
    assert error.maybe_executed is maybe_executed
    assert {field: getattr(error, field) for field in fields} == fields


@versions
@pytest.mark.parametrize("name", ERRORS)
def test_errors(version: int, name: str) -> None:
    check_error(f"encoded/v{version}/error-{name}", *ERRORS[name])


@since_v4
@pytest.mark.parametrize("name", V4_ERRORS)
def test_errors_of_v4(version: int, name: str) -> None:
    check_error(f"encoded/v{version}/error-{name}", *V4_ERRORS[name])


def test_errors_of_v5() -> None:
    for name in ("read-failure", "write-failure"):
        error = message(f"encoded/v5/error-{name}")
        assert getattr(error, "reasons", None) == {V4: 1, V6: 2}
        assert getattr(message(f"encoded/v4/error-{name}"), "reasons", None) == {}
    contended = {**SERIAL, "write_type": "CAS", "contentions": 5}
    check_error("encoded/v5/error-cas-write-timeout", errors.WriteTimeout, True, contended)
    check_error("encoded/v5/error-cas-write-unknown", errors.CasWriteUnknown, True, SERIAL)
    check_error("encoded/v5/error-cdc-write-failure", errors.CdcWriteFailure, True, {"message": "full"})


@versions
def test_errors_of_a_real_node(version: int) -> None:
    folder = f"captured/v{version}"
    two = {"consistency": Consistency.TWO, "required": 2, "alive": 1}
    check_error(f"{folder}/error-unavailable", errors.Unavailable, False, two)
    check_error(f"{folder}/error-unprepared", errors.Unprepared, False, {"id": bytes(16)})
    check_error(f"{folder}/error-already-exists-table", errors.AlreadyExists, False, {"table": "t"})
    for name, kind in (
        ("syntax", errors.SyntaxError),
        ("invalid", errors.InvalidQuery),
        ("config", errors.ConfigurationError),
        ("unauthorized", errors.Unauthorized),
        ("bad-credentials", errors.BadCredentials),
    ):
        check_error(f"{folder}/error-{name}", kind, False, {})


@since_v4
def test_failures_of_a_real_node(version: int) -> None:
    one = {"consistency": Consistency.ONE, "received": 0, "required": 1, "failures": 1}
    _, error = decode(f"captured/v{version}/error-read-failure")
    assert isinstance(error, errors.ReadFailure)
    assert {field: getattr(error, field) for field in one} == one
    check_error(f"captured/v{version}/error-write-failure", errors.WriteFailure, True, one)
    function = {"keyspace": "golden", "function": "fail", "arg_types": ("int",)}
    check_error(f"captured/v{version}/error-function-failure", errors.FunctionFailure, True, function)


def test_a_code_that_is_not_known() -> None:
    error = decode_message(Opcode.ERROR, b"\0\0\x77\x77\0\3new", 0, 5)
    assert type(error) is errors.ResponseError
    assert (error.code, error.message, error.maybe_executed) == (0x7777, "new", True)


@pytest.mark.parametrize(
    ("opcode", "body", "text"),
    [
        (0x04, b"", "opcode 0x04 is no response"),
        (Opcode.QUERY, b"", "opcode 0x07 is no response"),
        (Opcode.RESULT, b"\0\0\0\x09", "result kind 9"),
        (Opcode.RESULT, b"\0\0\0\3\0\4ab", "ends early"),
        (Opcode.RESULT, b"\0\0\0\3\0\2\xff\xff", "not valid UTF-8"),
        (Opcode.RESULT, b"\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1c\x00\x99\0\0\0\0", "type 0x0099"),
        (Opcode.ERROR, b"\0\0\x10\0\0\0\0\x0b\0\0\0\1\0\0\0\1", "consistency 0x000b"),
        (Opcode.EVENT, b"\0\x0dSTATUS_CHANGE\0\2UP\5abcde\0\0\0\0", "an address has 5 bytes"),
    ],
)
def test_what_is_not_valid_is_said(opcode: int, body: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        decode_message(opcode, body, 0, 5)


HUGE = b"\x7f\xff\xff\xff"
BARE = b"\0\0\0\4"


@pytest.mark.parametrize(
    ("opcode", "body"),
    [
        (Opcode.RESULT, b"\0\0\0\2" + BARE + b"\0\0\0\1" + HUGE),
        (Opcode.RESULT, b"\0\0\0\2" + BARE + HUGE + b"\0\0\0\1"),
        (Opcode.RESULT, b"\0\0\0\2" + BARE + b"\0\0\0\0" + HUGE),
        (Opcode.RESULT, b"\0\0\0\2" + BARE + b"\0\0\0\1" + b"\xff\xff\xff\xff"),
        (Opcode.RESULT, b"\0\0\0\2" + BARE + b"\xff\xff\xff\xff" + b"\0\0\0\0"),
        (Opcode.RESULT, b"\0\0\0\2" + b"\0\0\0\0" + HUGE + b"\0\0\0\0"),
        (Opcode.RESULT, b"\0\0\0\2" + b"\0\0\0\1" + HUGE + b"\0\1k\0\1t" + b"\0\0\0\0"),
        (Opcode.RESULT, b"\0\0\0\4\0\0\0\0" + b"\0\0\0\1" + HUGE + HUGE),
        (Opcode.RESULT, b"\0\0\0\4\0\0\0\0" + b"\0\0\0\1" + b"\0\0\0\0" + HUGE),
        (Opcode.SUPPORTED, b"\xff\xff"),
        (Opcode.ERROR, b"\0\0\x13\0\0\0\0\1\0\0\0\1\0\0\0\1" + HUGE),
        (Opcode.RESULT, b"\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\0\0\0" + b"\0\x20" * 100),
    ],
)
def test_counts_are_checked_before_anything_is_made(opcode: int, body: bytes) -> None:
    with pytest.raises(LimitExceeded):
        decode_message(opcode, body, 0, 5)


def test_partition_key_indexes_are_in_range() -> None:
    body = b"\0\0\0\4\0\1x" + b"\0\0\0\1\0\0\0\1\0\0\0\1\0\1" + b"\0\1k\0\1t\0\1c\0\x09" + BARE + b"\0\0\0\0"
    with pytest.raises(ProtocolError, match="bind marker 1 of 1"):
        decode_message(Opcode.RESULT, body, 0, 4)


def test_what_follows_a_message_is_ignored() -> None:
    assert decode_message(Opcode.RESULT, b"\0\0\0\3\0\2ksmore to come", 0, 4) == SetKeyspace("ks")


def test_a_position_other_than_the_start() -> None:
    frame = golden("captured/v5/rows")
    body = b"?????" + frame[9:]
    header = read_rows_header(body, 9, 5)
    assert header.rows_offset == read_rows_header(frame[9:], 4, 5).rows_offset + 5
