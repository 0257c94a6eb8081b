"""What the server says: statements parsed just enough, values that depend on their columns' names."""

from __future__ import annotations

import enum
import hashlib
import re
import struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.benchmarks.server.wire import Book


class Opcode(enum.IntEnum):
    """The kinds of messages that are understood or sent."""

    ERROR = 0
    STARTUP = 1
    READY = 2
    OPTIONS = 5
    SUPPORTED = 6
    QUERY = 7
    RESULT = 8
    PREPARE = 9
    EXECUTE = 10
    REGISTER = 11


PROTOCOL_ERROR, UNPREPARED = 0x000A, 0x2500
VOID, ROWS, SET_KEYSPACE, PREPARED = 1, 2, 3, 4
GLOBAL_TABLE, NO_METADATA, METADATA_CHANGED = 0x01, 0x04, 0x08

KEY, TEXT = 1234567890123, "0123456789abcdef0123456789abcdef"
UUID = bytes.fromhex("6f5e0102030441068708090a0b0c0d0e")
NULL = struct.pack(">i", -1)


def short(n: int) -> bytes:
    return struct.pack(">H", n)


def integer(n: int) -> bytes:
    return struct.pack(">i", n)


def string(text: str) -> bytes:
    return short(len(text.encode())) + text.encode()


def short_bytes(data: bytes) -> bytes:
    return short(len(data)) + data


def value(data: bytes) -> bytes:
    return integer(len(data)) + data


class Cell(NamedTuple):
    """A column's type, as the protocol's option, and the value of each of its cells."""

    option: bytes
    data: bytes


class Table(NamedTuple):
    """A system table: a row that it could have, for its columns, and those that it has."""

    example: Mapping[str, Cell]
    rows: Sequence[Mapping[str, Cell]]


Tables: TypeAlias = "Mapping[tuple[str, str], Table]"
"""The system tables of one node, by keyspace and name."""


def text(content: str) -> Cell:
    return Cell(short(0x0D), content.encode())


def number(n: int) -> Cell:
    return Cell(short(0x09), integer(n))


_UUID = Cell(short(0x0C), UUID)
_CELLS = {
    "k": Cell(short(0x02), struct.pack(">q", KEY)),
    "v": text(TEXT),
    "p": number(7),
    "c": number(8),
    "a": Cell(short(0x02), struct.pack(">q", KEY)),
    "b": text(TEXT),
    "d": Cell(short(0x07), struct.pack(">d", 3.25)),
    "e": Cell(short(0x0B), struct.pack(">q", 1_700_000_000_123)),
    "f": _UUID,
    "g": Cell(short(0x04), b"\1"),
    "h": Cell(short(0x20) + short(0x09), integer(3) + b"".join(value(integer(i)) for i in range(3))),
}
_MIXED = ["p", "c", "a", "b", "d", "e", "f", "g", "h"]

_SELECT = re.compile(
    r"\s*select\s+(?P<columns>.*?)\s+from\s+(?:(?P<keyspace>\w+)\.)?(?P<table>\w+)(?P<rest>.*)", re.I | re.S
)
_INSERT = re.compile(
    r"\s*insert\s+into\s+(?:(?P<keyspace>\w+)\.)?(?P<table>\w+)\s*\((?P<columns>[^)]*)\)", re.I
)
_USE = re.compile(r'\s*use\s+"?(?P<keyspace>\w+)', re.I)
_BOUND = re.compile(r"(\w+)\s*(?:=|<|>|<=|>=)\s*\?")


class Statement(NamedTuple):
    """A statement's parameters and what it results in; without columns it results in nothing."""

    keyspace: str
    table: str
    bound: list[str]
    columns: list[str]
    rows: int


def parse(query: str) -> Statement:
    """Read the names out of a SELECT or INSERT; any other statement has no parameters and no result."""
    if match := _SELECT.match(query):
        keyspace, table = match["keyspace"] or "bench", match["table"]
        return Statement(
            keyspace,
            table,
            _BOUND.findall(match["rest"]),
            _selected(match["columns"], keyspace, table),
            _row_count(keyspace, table),
        )
    if match := _INSERT.match(query):
        names = [name.strip() for name in match["columns"].split(",")]
        return Statement(match["keyspace"] or "bench", match["table"], names, [], 0)
    return Statement("bench", "kv", [], [], 0)


def _selected(columns: str, keyspace: str, table: str) -> list[str]:
    if columns.strip() != "*":
        return [name.strip().strip('"') for name in columns.split(",")]
    if keyspace.startswith("system"):
        return ["*"]
    return ["k", "v"] if table == "kv" else _MIXED


def _row_count(keyspace: str, table: str) -> int:
    """`rows_N` has N rows, the system tables that `places` does not have are empty, all others have one row."""
    if match := re.fullmatch(r"rows_(\d+)", table):
        return int(match[1])
    return int(not keyspace.startswith("system"))


def rows_result(statement: Statement, flags: int, metadata_id: bytes = b"") -> bytes:
    """The body of a RESULT of rows, with metadata unless `flags` says no."""
    cells = [_cell(name) for name in statement.columns]
    head = integer(ROWS) + integer(flags) + integer(len(cells))
    if flags & METADATA_CHANGED:
        head += short_bytes(metadata_id)
    if not flags & NO_METADATA:
        head += _specs(statement, statement.columns)
    return head + integer(statement.rows) + b"".join(value(cell.data) for cell in cells) * statement.rows


def _table_result(statement: Statement, table: Table) -> bytes:
    """The body of a RESULT of a system table's rows; what they lack is null."""
    rows, kinds = table.rows, {name: cell.option for name, cell in table.example.items()}
    names = list(kinds) if statement.columns == ["*"] else statement.columns
    head = integer(ROWS) + integer(GLOBAL_TABLE) + integer(len(names))
    head += string(statement.keyspace) + string(statement.table)
    head += b"".join(string(name) + kinds.get(name, short(0x0D)) for name in names)
    cells = (row.get(name) for row in rows for name in names)
    return head + integer(len(rows)) + b"".join(NULL if cell is None else value(cell.data) for cell in cells)


def _cell(name: str) -> Cell:
    return _CELLS.get(name) or text(name)


def _specs(statement: Statement, names: Iterable[str]) -> bytes:
    return (
        string(statement.keyspace)
        + string(statement.table)
        + b"".join(string(n) + _cell(n).option for n in names)
    )


def prepared_result(statement: Statement, version: int, statement_id: bytes, metadata_id: bytes) -> bytes:
    """The body of a RESULT of PREPARE; the first parameter is the partition key."""
    body = integer(PREPARED) + short_bytes(statement_id) + (short_bytes(metadata_id) if version == 5 else b"")
    body += integer(GLOBAL_TABLE) + integer(len(statement.bound))
    body += integer(1) + short(0) if statement.bound else integer(0)
    body += _specs(statement, statement.bound)
    if not statement.columns:
        return body + integer(NO_METADATA) + integer(0)
    return (
        body + integer(GLOBAL_TABLE) + integer(len(statement.columns)) + _specs(statement, statement.columns)
    )


class Answers:
    """Answers everything but EXECUTE and BATCH, and fills the books from which those are answered."""

    def __init__(self, books: Iterable[Book], tables: Tables) -> None:
        self._books = list(books)
        self._tables = tables
        self._ids: dict[str, tuple[bytes, bytes]] = {}
        self._results: dict[str, bytes] = {}
        self._handlers: dict[int, Callable[[int, bytes], tuple[int, bytes]]] = {
            Opcode.OPTIONS: self._options,
            Opcode.STARTUP: self._ready,
            Opcode.REGISTER: self._ready,
            Opcode.QUERY: self._query,
            Opcode.PREPARE: self._prepare,
            Opcode.EXECUTE: self._unprepared,
        }

    def reply(self, version: int, opcode: int, body: bytes) -> tuple[int, bytes]:
        """Return the opcode and the body of the answer."""
        if version not in {book.version for book in self._books}:
            supported = "supported versions are (4/v4, 5/v5)"
            return _error(PROTOCOL_ERROR, f"Invalid or unsupported protocol version ({version}); {supported}")
        handler = self._handlers.get(opcode)
        if handler is None:
            return _error(PROTOCOL_ERROR, f"there is no answer to opcode {opcode:#04x}")
        return handler(version, body)

    def _options(self, version: int, body: bytes) -> tuple[int, bytes]:
        options = {"CQL_VERSION": ["3.4.6"], "COMPRESSION": ["lz4"], "PROTOCOL_VERSIONS": ["4/v4", "5/v5"]}
        lists = (string(name) + short(len(vs)) + b"".join(map(string, vs)) for name, vs in options.items())
        return Opcode.SUPPORTED, short(len(options)) + b"".join(lists)

    def _ready(self, version: int, body: bytes) -> tuple[int, bytes]:
        return Opcode.READY, b""

    def _query(self, version: int, body: bytes) -> tuple[int, bytes]:
        query = _long_string(body)
        if query not in self._results:
            self._results[query] = self._result(query)
        return Opcode.RESULT, self._results[query]

    def _result(self, query: str) -> bytes:
        if match := _USE.match(query):
            return integer(SET_KEYSPACE) + string(match["keyspace"])
        statement = parse(query)
        table = self._tables.get((statement.keyspace, statement.table))
        if table is not None:
            return _table_result(statement, table)
        return rows_result(statement, GLOBAL_TABLE) if statement.columns else integer(VOID)

    def _prepare(self, version: int, body: bytes) -> tuple[int, bytes]:
        query = _long_string(body)
        if query not in self._ids:
            self._ids[query] = self._enter(query)
        return Opcode.RESULT, prepared_result(parse(query), version, *self._ids[query])

    def _enter(self, query: str) -> tuple[bytes, bytes]:
        """Give a statement its id and metadata id, and put its answers into the books."""
        statement = parse(query)
        statement_id = hashlib.md5(query.encode()).digest()[:12] + len(self._ids).to_bytes(4, "big")
        metadata_id = hashlib.md5(repr(statement.columns).encode()).digest()
        full = bare = changed = integer(VOID)
        if statement.columns:
            full = rows_result(statement, GLOBAL_TABLE)
            bare = rows_result(statement, GLOBAL_TABLE | NO_METADATA)
            changed = rows_result(statement, GLOBAL_TABLE | METADATA_CHANGED, metadata_id)
        for book in self._books:
            book.add(statement_id, metadata_id, full, bare, changed)
        return statement_id, metadata_id

    def _unprepared(self, version: int, body: bytes) -> tuple[int, bytes]:
        statement_id = body[2 : 2 + int.from_bytes(body[:2], "big")]
        return _error(UNPREPARED, "this statement was not prepared here", short_bytes(statement_id))


def _error(code: int, message: str, more: bytes = b"") -> tuple[int, bytes]:
    return Opcode.ERROR, integer(code) + string(message) + more


def _long_string(body: bytes) -> str:
    return body[4 : 4 + int.from_bytes(body[:4], "big")].decode()
