from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.protocol import values
from tests.protocol.implementation import golden
from triocql.errors import BindValueError, UsageError
from triocql.protocol import requests
from triocql.protocol.constants import UNSET, BatchKind, Consistency
from triocql.protocol.requests import BatchEntry, QueryParameters

ID = bytes(range(16))
METADATA_ID = bytes(range(0xF0, 0x100))
EVENTS = ["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"]
versions = pytest.mark.parametrize("version", [3, 4, 5])


def body(version: int, name: str) -> bytes:
    """The body of a request as Cassandra's own classes encode it."""
    return golden(f"encoded/v{version}/request-{name}")[9:]


def full(version: int) -> QueryParameters:
    """Every option that a version has."""
    return QueryParameters(
        consistency=Consistency.EACH_QUORUM,
        values=values.in_order([b"one", None, b""]),
        skip_metadata=True,
        page_size=5000,
        paging_state=golden(f"encoded/v{version}/paging-state"),
        serial_consistency=Consistency.LOCAL_SERIAL,
        timestamp=1234567890123456,
        keyspace="ks" if version == 5 else None,
        now_in_seconds=1700000000 if version == 5 else None,
    )


@versions
def test_small_requests(version: int) -> None:
    options = {"CQL_VERSION": "3.0.0", "COMPRESSION": "lz4"}
    assert requests.startup(options) == body(version, "startup")
    assert requests.options() == body(version, "options")
    assert requests.auth_response(b"\0user\0word") == body(version, "auth-response")
    assert requests.register(EVENTS) == body(version, "register")
    assert requests.prepare(version, "SELECT 'é'") == body(version, "prepare")


@versions
def test_query(version: int) -> None:
    assert requests.query(version, "SELECT 1", QueryParameters()) == body(version, "query-bare")
    assert requests.query(version, "SELECT 1", full(version)) == body(version, "query-full")


@versions
def test_execute(version: int) -> None:
    metadata_id = METADATA_ID if version == 5 else None
    expected = body(version, "execute")
    parameters = full(version)
    assert requests.execute(version, ID, metadata_id, parameters) == expected
    parts = (
        requests.execute_id(version, ID, metadata_id),
        requests.parameters_head(version, parameters),
        parameters.values or b"",
        requests.parameters_tail(version, parameters),
    )
    assert b"".join(parts) == expected


@versions
def test_batch(version: int) -> None:
    entries = [BatchEntry("INSERT"), BatchEntry(ID, values.in_order([b"x", None]))]
    parameters = QueryParameters(
        consistency=Consistency.QUORUM,
        serial_consistency=Consistency.LOCAL_SERIAL,
        timestamp=1234567890123456,
    )
    assert requests.batch(version, BatchKind.UNLOGGED, iter(entries), parameters) == body(version, "batch")


def test_prepare_in_a_keyspace() -> None:
    assert requests.prepare(5, "SELECT 1", "ks") == body(5, "prepare-keyspace")


@pytest.mark.parametrize("version", [4, 5])
def test_custom_payload(version: int) -> None:
    payload = requests.encode_payload(version, {"key": b"value", "null": None})
    assert payload + requests.query(version, "SELECT 1", QueryParameters()) == body(version, "query-payload")


def test_values_with_names() -> None:
    named = values.with_names({"a": b"1", "b": None, "c": UNSET})
    assert named == b"\0\3\0\1a\0\0\0\0011\0\1b\xff\xff\xff\xff\0\1c\xff\xff\xff\xfe"
    parameters = QueryParameters(consistency=1, values=named, value_names=True)
    assert requests.query(4, "Q", parameters) == b"\0\0\0\1Q\0\1\x41" + named


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: requests.query(4, "Q", QueryParameters(keyspace="ks")), "keyspace needs protocol v5"),
        (
            lambda: requests.query(4, "Q", QueryParameters(now_in_seconds=1)),
            "now_in_seconds needs protocol v5",
        ),
        (lambda: requests.prepare(4, "Q", "ks"), "keyspace needs protocol v5"),
        (lambda: requests.encode_payload(3, {}), "custom_payload needs protocol v4"),
        (lambda: requests.execute(5, ID, None, QueryParameters()), "id of the result's metadata"),
        (lambda: requests.query(5, "Q", QueryParameters(value_names=True)), "value_names without values"),
        (lambda: requests.batch(5, 0, [], QueryParameters(values=b"\0\0")), "belong to its statements"),
        (lambda: requests.batch(5, 0, [], QueryParameters(page_size=1)), "a batch has no pages"),
    ],
)
def test_what_cannot_be_said_is_refused(call: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        call()


class Huge(bytes):
    """Two gigabytes, as far as `len` says."""

    __slots__ = ()

    def __len__(self) -> int:
        return 2**31


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: requests.batch(4, 0, [BatchEntry("")] * 65536, QueryParameters()), "65536 statements"),
        (lambda: requests.encode_string("é" * 32768), "65536 bytes of a string"),
        (lambda: requests.encode_payload(4, {"x" * 65536: None}), "65536 bytes of a string"),
        (lambda: requests.auth_response(Huge()), "2147483648 bytes in one value"),
        (lambda: requests.encode_long_string("\ud800"), "cannot be encoded as UTF-8"),
        (lambda: requests.parameters_tail(4, QueryParameters(page_size=2**31)), "page_size is 2147483648"),
        (
            lambda: requests.parameters_tail(4, QueryParameters(timestamp=2**63)),
            "timestamp is 9223372036854775808",
        ),
        (lambda: requests.parameters_tail(5, QueryParameters(now_in_seconds=2**31)), "now_in_seconds"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, text: str) -> None:
    with pytest.raises(BindValueError, match=text):
        call()


def test_65535_statements_fit() -> None:
    assert requests.batch(4, 0, [BatchEntry("")] * 65535, QueryParameters()).startswith(
        b"\0\xff\xff\0\0\0\0\0"
    )


def test_the_id_of_a_statement_in_a_batch_is_not_compared_with_text() -> None:
    """Which Python refuses where it is told so."""
    program = (
        "from triocql.protocol.requests import *; from triocql.protocol.requests import batch_entries;"
        "body = batch(4, 0, [BatchEntry('SELECT'), BatchEntry(b'old')], QueryParameters());"
        "changed = with_statement_id(body, b'old', b'new');"
        "print([entry.statement for entry in batch_entries(changed)])"
    )
    done = subprocess.run(
        [sys.executable, "-bb", "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "['SELECT', b'new']\n"
