"""The facts about a query that PREPARE tells: the types of its bind markers and of its rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .encoder import Column
from .schema import Schema, Table, split_list, split_name
from .types import parse_type


class Undescribed(Exception):
    """The server cannot tell what it has to; the text says how to tell it."""


@dataclass(frozen=True)
class Statement:
    """A prepared statement.

    Attributes:
        id: what clients call it by.
        text: the query.
        keyspace: where it was prepared.
        parameters: its bind markers.
        key: for each part of the partition key its index among them; empty if not all are bound.
        result: the columns of its rows, None if it has none.
    """

    id: bytes
    text: str
    keyspace: str | None
    parameters: Sequence[Column]
    key: Sequence[int]
    result: Sequence[Column] | None


def statement_id(text: str, keyspace: str | None) -> bytes:
    """Return the id of a query in a keyspace: the same on all nodes, as Cassandra has it."""
    return hashlib.md5(f"{keyspace or ''}{text}".encode(), usedforsecurity=False).digest()


_CONDITIONAL = re.compile(r"\s*(?:insert|update|delete|begin)\b.*\bif\b", re.IGNORECASE | re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_TABLE = re.compile(rf"\b(?:from|into|update)\s+({_NAME}(?:\.{_NAME})?)", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_MARKER = re.compile(r"\?|:(\w+)")
_INSERT = re.compile(
    r"insert\s+into\s+\S+?\s*\((?P<names>[^)]*)\)\s*values\s*\((?P<values>.*?)\)(?P<rest>[^)]*)$",
    re.IGNORECASE | re.DOTALL,
)
_BEFORE: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"\bttl\s*$", re.IGNORECASE), "[ttl]", "int"),
    (re.compile(r"\btimestamp\s*$", re.IGNORECASE), "[timestamp]", "bigint"),
    (re.compile(r"\blimit\s*$", re.IGNORECASE), "[limit]", "int"),
    (re.compile(r"\btoken\s*\([^)]*\)\s*(?:<=?|>=?|=)\s*$", re.IGNORECASE), "partition key token", "bigint"),
)
_IN = re.compile(rf"({_NAME})\s+in\s*$", re.IGNORECASE)
_IN_LIST = re.compile(rf"({_NAME})\s+in\s*\([^)]*$", re.IGNORECASE)
_COMPARED = re.compile(rf"({_NAME})\s*(?:=|<|>|<=|>=|!=)\s*(?:{_NAME}\s*[+-]\s*)?$")
_SELECTED = re.compile(
    r"select\s+(?:json\s+|distinct\s+)?(?P<columns>.+?)\s+from\s", re.IGNORECASE | re.DOTALL
)


def is_conditional(text: str) -> bool:
    """Whether a statement is a lightweight transaction: a write with a condition.

    >>> is_conditional("DELETE FROM t WHERE k = 1 IF EXISTS"), is_conditional("UPDATE t SET a = 'if' WHERE k = 1")
    (True, False)
    """
    return _CONDITIONAL.match(_masked(text)) is not None


def table_name(text: str, keyspace: str | None) -> tuple[str, str]:
    """Return keyspace and table of a query, "" for what it does not say."""
    match = _TABLE.search(text)
    within, name = split_name(match[1], keyspace) if match else (keyspace, "")
    return within or "", name


def markers(text: str) -> list[re.Match[str]]:
    """Return the bind markers of a query, those inside literals left out."""
    return list(_MARKER.finditer(_masked(text)))


def _masked(text: str) -> str:
    """Return the query with its literals made of spaces."""
    return _LITERAL.sub(lambda match: " " * len(match[0]), text)


def infer_parameters(text: str, schema: Schema, keyspace: str | None, *, echo: bool) -> list[Column]:
    """Return the columns of a query's bind markers, by the table that it is about.

    Args:
        text: the query.
        schema: where the table is declared.
        keyspace: of names that say none.
        echo: whether what cannot be told is a blob.

    Raises:
        Undescribed: what a marker stands for cannot be told.
    """
    return list(_Inference(text, schema, keyspace, echo).parameters())


def infer_result(text: str, schema: Schema, keyspace: str | None) -> list[Column] | None:
    """Return the columns of a SELECT's rows, None if they cannot be told."""
    match = _SELECTED.match(text.strip())
    within, name = table_name(text, keyspace)
    table = schema.table(f'"{name}"', within) if name else None
    if match is None or table is None:
        return None
    names = list(table.columns)
    if match["columns"].strip() != "*":
        names = [split_name(each, None)[1] for each in match["columns"].split(",")]
    if any(name not in table.columns for name in names):
        return None
    return [Column(within, table.name, name, schema.type(table.columns[name], within)) for name in names]


def key_indexes(parameters: Sequence[Column], schema: Schema) -> list[int]:
    """Return, for each part of the partition key, its index among the bind markers; [] if not all are bound."""
    first = next(iter(parameters), None)
    table = schema.table(f'"{first.table}"', first.keyspace) if first is not None and first.table else None
    names = [column.name for column in parameters]
    if table is None or any(part not in names for part in table.partition_key):
        return []
    return [names.index(part) for part in table.partition_key]


class _Inference:
    def __init__(self, text: str, schema: Schema, keyspace: str | None, echo: bool) -> None:
        self._text = text
        self._masked = _masked(text)
        self._schema = schema
        self._echo = echo
        self._keyspace, self._name = table_name(text, keyspace)
        self._table: Table | None = schema.table(f'"{self._name}"', self._keyspace) if self._name else None

    def parameters(self) -> Iterator[Column]:
        inserted = self._inserted()
        for number, marker in enumerate(markers(self._text)):
            column = inserted.get(marker.start()) or self._beside(marker) or None
            named, type_ = column or (f"p{number}", None)
            name = marker[1] or named
            yield self._column(name, type_)

    def _inserted(self) -> dict[int, tuple[str, str | None]]:
        """Return name and type for the positions of markers among the values of an INSERT."""
        match = _INSERT.search(self._masked)
        if match is None:
            return {}
        found: dict[int, tuple[str, str | None]] = {}
        at = match.start("values")
        for name, content in zip(match["names"].split(","), split_list(match["values"]), strict=False):
            at = self._masked.index(content, at) if content else at
            if _MARKER.fullmatch(content):
                found[at] = self._typed(name)
            at += len(content)
        return found

    def _beside(self, marker: re.Match[str]) -> tuple[str, str | None] | None:
        before = self._masked[: marker.start()]
        for pattern, name, type_ in _BEFORE:
            if pattern.search(before):
                return name, type_
        if match := _IN.search(before):
            name, element = self._typed(match[1])
            return f"in({name})", f"list<{element}>" if element else None
        match = _IN_LIST.search(before) or _COMPARED.search(before)
        return self._typed(match[1]) if match else None

    def _typed(self, name: str) -> tuple[str, str | None]:
        bare = split_name(name, None)[1]
        return bare, self._table.columns.get(bare) if self._table else None

    def _column(self, name: str, type_: str | None) -> Column:
        if type_ is None and self._echo:
            return Column(self._keyspace, self._name, name, parse_type("blob"))
        if type_ is None:
            raise Undescribed(
                f"the test server cannot tell the type of {name!r} in {self._text!r}: declare the table "
                "(CqlServer(schema=...)), or name the types (server.when(..., parameters={...}))"
            )
        return Column(self._keyspace, self._name, name, self._schema.type(type_, self._keyspace))
