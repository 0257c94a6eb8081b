"""What the extensions of ScyllaDB change in messages: bytes on which its drivers agree, and those of its sources."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triocql import errors
from triocql.codecs.registry import Registry
from triocql.engine.messages import ExecuteMessage
from triocql.protocol.constants import SERVER, Consistency, Opcode
from triocql.protocol.features import PLAIN, Features
from triocql.protocol.requests import QueryParameters, encode_string, parameters_head
from triocql.protocol.responses import Prepared, RowsHeader, RowsMetadata, read_answer
from triocql.protocol.scylla import LAYOUT_METADATA_ID, LAYOUT_TABLET_BLOCK
from triocql.protocol.types import ColumnSpec, NativeType
from triocql.statements.prepared import PreparedQuery, PreparedState

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
EXECUTE = {
    0: "none",
    LAYOUT_METADATA_ID: "metadata_id",
    LAYOUT_TABLET_BLOCK: "tablets_v2",
    LAYOUT_METADATA_ID | LAYOUT_TABLET_BLOCK: "both",
}
ID, METADATA_ID = bytes.fromhex("aabb"), bytes.fromhex("ccdd")
COLUMN = ColumnSpec("ks", "t", "v", NativeType("int"))
RAW = encode_string("ks") + encode_string("t") + encode_string("v") + b"\0\x09"
RESULT = RowsMetadata((COLUMN,), RAW, True)
WITH_IDS = Features(is_scylla=True, metadata_ids=True)
VALUE = bytes.fromhex("00010000000400000001")


def state(metadata_id: bytes | None = METADATA_ID, result: RowsMetadata | None = RESULT) -> PreparedState:
    """Return what is known of a statement with one parameter after such a RESULT/Prepared in v4."""
    registry = Registry()
    answer = Prepared(ID, metadata_id, (COLUMN,), (0,), result)
    made = PreparedState.from_answer(answer, registry, 4)
    if result is None:
        return made
    return made.with_result(result, metadata_id, registry.plan(result.columns), 4)


class Message(ExecuteMessage):
    def tablet_block(self) -> bytes:
        return b"\xdc"


def message(of: PreparedState, payload: bytes = b"") -> ExecuteMessage:
    """Return an EXECUTE with the parameters of the vectors."""
    head = parameters_head(4, QueryParameters(Consistency.LOCAL_QUORUM, values=b""))
    parameters: Any = SimpleNamespace(payload=payload, head=head, before=b"", after=b"", flags=0)
    query = PreparedQuery("SELECT v FROM t WHERE v = ?", "ks", of)
    nothing: Any = None
    return Message(query, of, VALUE, SERVER, nothing, parameters, nothing)


@pytest.mark.parametrize(("layout", "wanted"), list(product(EXECUTE, EXECUTE)))
@pytest.mark.parametrize("payload", [b"", b"\0\1\0\1k\0\0\0\1v"])
def test_execute_in_each_layout_and_from_each_to_each(layout: int, wanted: int, payload: bytes) -> None:
    """The vectors have all four."""
    execute = message(state(), payload)
    bodies = {each: payload + bytes.fromhex(VECTORS["execute_v4"][name]) for each, name in EXECUTE.items()}
    assert execute.body() == bodies[0]
    assert execute.fitted(bodies[layout], layout, wanted) == bodies[wanted]


def test_another_consistency_stays_in_another_layout() -> None:
    """What a retry policy has changed in the body is not lost by where the next attempt goes."""
    execute = message(state())
    body = execute.body_at(Consistency.ONE)
    fitted = execute.fitted(body, 0, LAYOUT_METADATA_ID)
    assert fitted == bytes.fromhex("0002aabb0002ccdd00010300010000000400000001")
    assert execute.fitted(fitted, LAYOUT_METADATA_ID, 0) == body


@pytest.mark.parametrize(
    "of", [state(None), state(None, None), state(METADATA_ID, None)], ids=["no id", "nothing", "no columns"]
)
def test_what_is_not_known_is_an_empty_id_and_columns_are_wanted(of: PreparedState) -> None:
    execute = message(of)
    fitted = execute.fitted(execute.body(), 0, LAYOUT_METADATA_ID)
    assert fitted == bytes.fromhex("0002aabb000000060100010000000400000001")


def test_a_statement_that_was_not_described_when_it_was_prepared_never_skips() -> None:
    """Its id is told once it is known, so that rows need not say it each time."""
    of = state(METADATA_ID, None).with_result(RESULT, b"\x01", Registry().plan(RESULT.columns), 4)
    execute = message(of)
    fitted = execute.fitted(execute.body(), 0, LAYOUT_METADATA_ID)
    assert fitted == bytes.fromhex("0002aabb00010100060100010000000400000001")


def test_in_v4_columns_are_never_left_out_without_the_extension() -> None:
    """Whatever is known."""
    assert not state().skip_metadata
    assert state().skips_in(LAYOUT_METADATA_ID)
    assert not state().skips_in(0)
    assert not state().skips_in(LAYOUT_TABLET_BLOCK)


def prepared(flags: int = 0, metadata_id: bytes = b"\0\2\xcc\xdd") -> bytes:
    """Return a RESULT/Prepared of v4 with one parameter, `v`, and rows of it."""
    binds = (flags | 1).to_bytes(4, "big") + b"\0\0\0\1\0\0\0\1\0\0" + RAW
    return b"\0\0\0\4\0\2\xaa\xbb" + metadata_id + binds + b"\0\0\0\1\0\0\0\1" + RAW


def test_prepared_with_the_id_of_the_columns() -> None:
    answer = read_answer(Opcode.RESULT, 0, prepared(), 4, WITH_IDS)
    assert answer == Prepared(ID, METADATA_ID, (COLUMN,), (0,), RESULT)
    assert read_answer(Opcode.RESULT, 0, prepared(metadata_id=b""), 4) == Prepared(
        ID, None, (COLUMN,), (0,), RESULT
    )


def rows(flags: int, *parts: bytes) -> bytes:
    return b"\0\0\0\2" + flags.to_bytes(4, "big") + b"\0\0\0\1" + b"".join(parts) + b"\0\0\0\0"


def test_rows_tell_that_the_columns_have_changed() -> None:
    """The paging state comes first, then the new id."""
    body = rows(0x0B, b"\0\0\0\1p", b"\0\3new", RAW)
    header = read_answer(Opcode.RESULT, 0, body, 4, WITH_IDS)
    assert isinstance(header, RowsHeader)
    assert (header.paging_state, header.new_metadata_id, header.metadata) == (b"p", b"new", RESULT)


def test_without_the_extension_the_same_flag_of_v4_says_nothing() -> None:
    header = read_answer(Opcode.RESULT, 0, rows(0x09, RAW), 4)
    assert isinstance(header, RowsHeader)
    assert (header.new_metadata_id, header.metadata) == (None, RESULT)


@pytest.mark.parametrize("mask", [1 << 31, 1 << 30, 0x30])
def test_the_mark_of_lightweight_transactions_is_what_was_agreed_upon(mask: int) -> None:
    """All bits of the mask, of an unsigned number."""
    features = Features(lwt_mask=mask)

    def is_lwt(flags: int, of: Features = features) -> bool | None:
        answer = read_answer(Opcode.RESULT, 0, prepared(flags, b""), 4, of)
        assert isinstance(answer, Prepared)
        return answer.is_lwt

    assert is_lwt(mask) is True
    assert is_lwt(0) is False
    assert is_lwt(mask & mask - 1) is False
    assert is_lwt(mask, PLAIN) is None


@pytest.mark.parametrize(
    ("marked", "text", "is_lwt"),
    [
        (True, "INSERT INTO t (v) VALUES (?)", True),
        (False, "INSERT INTO t (v) VALUES (?) IF NOT EXISTS", False),
        (None, "INSERT INTO t (v) VALUES (?) IF NOT EXISTS", True),
        (None, "INSERT INTO t (v) VALUES (?)", False),
    ],
)
def test_the_mark_goes_before_what_the_text_tells(marked: bool | None, text: str, is_lwt: bool) -> None:
    """And where nothing marks, the text decides."""
    answer = Prepared(ID, None, (COLUMN,), (0,), None, marked)
    assert PreparedQuery(text, "ks", PreparedState.from_answer(answer, Registry(), 4)).is_lwt is is_lwt


def test_what_a_plain_node_says_takes_nothing_away() -> None:
    """In a mixed cluster a statement is prepared again here and there; the pair of columns and id stays one."""
    registry = Registry()
    answer = Prepared(ID, METADATA_ID, (COLUMN,), (0,), RESULT, True)
    known = PreparedState.from_answer(answer, registry, 4)
    known = known.with_result(RESULT, METADATA_ID, registry.plan(RESULT.columns), 4)
    plain = state(None).after(known, 4)
    assert (plain.metadata_id, plain.skips_by_id, plain.is_lwt_marked) == (METADATA_ID, True, True)
    other = RowsMetadata((COLUMN, COLUMN), RAW, True)
    changed = state(None, other).after(known, 4)
    assert (changed.metadata_id, changed.skips_by_id, changed.metadata) == (None, False, other)


def test_a_rate_limit_has_the_code_that_was_agreed_upon() -> None:
    """The vector, and with another number."""
    vector = VECTORS["rate_limit_error"]
    features = Features(rate_limit_code=vector["error_code"])
    error = read_answer(Opcode.ERROR, 0, bytes.fromhex(vector["body"]), 4, features)
    assert isinstance(error, errors.RateLimitReached)
    assert (error.code, error.message) == (vector["error_code"], vector["message"])
    assert (error.op_type, error.rejected_by_coordinator) == (1, True)
    assert error.is_transient
    assert not error.maybe_executed
    other = b"\0\0\x43\x21\0\3too\7\0"
    error = read_answer(Opcode.ERROR, 0, other, 4, Features(rate_limit_code=0x4321))
    assert isinstance(error, errors.RateLimitReached)
    assert (error.op_type, error.rejected_by_coordinator) == (7, False)
    assert type(read_answer(Opcode.ERROR, 0, other, 4, features)) is errors.ResponseError


def test_a_rate_limit_that_was_not_agreed_upon_is_what_old_clients_get() -> None:
    error = read_answer(Opcode.ERROR, 0, b"\0\0\x23\0\0\3too", 4)
    assert isinstance(error, errors.ConfigurationError)
    assert not error.maybe_executed
