"""The answers that a node gives by itself: the handshake, system tables, USE, changes of the schema, PREPARE."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from . import encoder
from .answers import Message, columns_of, error, rows, rows_body, unprepared, void
from .auth import Challenge, Refused
from .encoder import Column, Opcode
from .errorcodes import ErrorCode
from .priming import Rule, Rules
from .requests import Request
from .schema import SchemaError, split_name, understands
from .scylla.negotiation import negotiated, supported
from .scylla.settings import LWT_MARK
from .scylla.timeouts import is_allowed, timeouts
from .statements import (
    Statement,
    Undescribed,
    infer_parameters,
    infer_result,
    is_conditional,
    key_indexes,
    statement_id,
)
from .systemtables import is_system_query, parameter_types, parse_selection, select
from .types import parse_type
from .wire import Reader

_USE = re.compile(r"\s*use\s+(\S+?)[\s;]*$", re.IGNORECASE)
_SELECT = re.compile(r"\s*select\b", re.IGNORECASE)
_HANDSHAKE = frozenset({Opcode.OPTIONS, Opcode.STARTUP, Opcode.AUTH_RESPONSE, Opcode.REGISTER})


def is_system(request: Request) -> bool:
    """Whether the node answers a request by itself, without any rule."""
    if request.opcode in (Opcode.QUERY, Opcode.EXECUTE):
        return bool(is_system_query(request.text) or _USE.match(request.text))
    return request.opcode in _HANDSHAKE


def is_premature(request: Request) -> bool:
    """Whether a request cannot be answered yet: the handshake is not done, or it uses what is not prepared here.

    No rule answers it, then.
    """
    if not request.connection.user_ready and request.opcode not in _HANDSHAKE:
        return True
    ids = [request.id, *(entry.id for entry in request.entries)]
    return any(id_ and request.node.statement(id_) is None for id_ in ids)


def answer(rules: Rules, request: Request) -> Message:
    """Return what a node answers by itself; of the rules it takes what they say of a query that is prepared."""
    preparing = request.opcode == Opcode.PREPARE
    answerer = partial(_prepare, rules) if preparing else _ANSWERERS.get(request.opcode)
    if answerer is None:
        return error(ErrorCode.PROTOCOL_ERROR, f"opcode {request.opcode:#04x} is not that of a request")
    if not request.connection.user_ready and request.opcode not in _HANDSHAKE:
        return error(ErrorCode.PROTOCOL_ERROR, f"Unexpected message {request}, expecting STARTUP or OPTIONS")
    return _refused_timeout(request) or answerer(request)


def _refused_timeout(request: Request) -> Message | None:
    """Return the error about a timeout that a statement says, None if there is nothing wrong with it."""
    for text in request.texts:
        for timeout in timeouts(text):
            if request.node.scylla is None:
                return error(
                    ErrorCode.SYNTAX_ERROR,
                    f"mismatched input 'TIMEOUT' expecting EOF (... [TIMEOUT] {timeout})",
                )
            if not is_allowed(timeout):
                return error(ErrorCode.INVALID, f"{timeout}: a timeout is in whole milliseconds")
    return None


# --- The handshake -------------------------------------------------------------------------------------------


def _options(request: Request) -> Message:
    node, server = request.node, request.node.server
    if node.scylla is not None:
        shard = request.connection.shard
        offered = supported(
            node, node.scylla, shard, compression=server.compression, partitioner=server.partitioner
        )
    else:
        offered = {
            "PROTOCOL_VERSIONS": [f"{each}/v{each}" for each in sorted(node.versions)],
            "COMPRESSION": server.compression,
            "CQL_VERSION": ["3.4.7"],
        }
    return Message(Opcode.SUPPORTED, encoder.supported(offered))


def _startup(request: Request) -> Message:
    connection, server = request.connection, request.node.server
    compression = request.options.get("COMPRESSION")
    if compression is not None and (
        compression not in server.compression or (request.version >= 5 and compression != "lz4")
    ):
        return error(ErrorCode.PROTOCOL_ERROR, f"Unknown compression algorithm: {compression}")
    if request.node.scylla is not None:
        connection.extensions = negotiated(request.node.scylla, request.options)
    if server.authenticator is None:
        connection.user_ready = True
        return Message(Opcode.READY, b"")
    connection.conversation = server.authenticator.converse()
    return Message(Opcode.AUTHENTICATE, encoder.authenticate(server.authenticator.class_name))


def _auth_response(request: Request) -> Message:
    converse = request.connection.conversation
    if converse is None:
        return error(ErrorCode.PROTOCOL_ERROR, "AUTH_RESPONSE, but nothing was asked")
    token = Reader(request.body).nullable_bytes()
    request.body = b""
    try:
        turn = converse(token)
    except Refused as refusal:
        return error(ErrorCode.BAD_CREDENTIALS, str(refusal))
    if isinstance(turn, Challenge):
        return Message(Opcode.AUTH_CHALLENGE, encoder.auth_token(turn.token))
    request.connection.user_ready = True
    return Message(Opcode.AUTH_SUCCESS, encoder.auth_token(turn.token))


def _register(request: Request) -> Message:
    request.connection.events.update(request.events)
    return Message(Opcode.READY, b"")


# --- Queries -------------------------------------------------------------------------------------------------


def _query(request: Request) -> Message:
    if match := _USE.match(request.text):
        return _use(request, match[1])
    if is_system_query(request.text):
        return _select(request)
    if understands(request.text):
        return _change_schema(request)
    return _unprimed(request)


def _use(request: Request, name: str) -> Message:
    keyspace = split_name(name, None)[1]
    server = request.node.server
    if keyspace not in server.schema.keyspaces and not server.echo:
        return error(ErrorCode.INVALID, f"Keyspace '{keyspace}' does not exist")
    request.connection.keyspace = keyspace
    return Message(Opcode.RESULT, encoder.set_keyspace(keyspace))


def _select(request: Request) -> Message:
    selection = parse_selection(request.text)
    if selection is None:
        return _unprimed(request)
    try:
        columns, found = select(request.node, selection, _system_values(request))
    except LookupError as problem:
        return error(ErrorCode.INVALID, str(problem.args[0]))
    return rows(columns, found, table=selection.table)


def _system_values(request: Request) -> list[Any]:
    """Return the values that are bound to a SELECT on a system table, prepared or not."""
    if request.id:
        return request.decoded_values
    pairs = zip(_system_parameters(request), request.values, strict=False)
    return [column.type.decode(raw) if isinstance(raw, bytes) else None for column, raw in pairs]


def _change_schema(request: Request) -> Message:
    server = request.node.server
    try:
        changes = server.schema.execute(request.text, request.keyspace or request.connection.keyspace)
    except SchemaError as problem:
        return error(problem.code, str(problem), **problem.fields)
    if not changes:
        return void()
    server.announce_schema(*changes)
    return Message(Opcode.RESULT, encoder.schema_changed(*changes[-1]))


def _execute(request: Request) -> Message:
    if request.node.statement(request.id) is None:
        return unprepared()
    return _query(request)


def _batch(request: Request) -> Message:
    for entry in request.entries:
        if entry.id and request.node.statement(entry.id) is None:
            return unprepared(entry.id)
    return void() if request.node.server.echo else _unprimed(request)


def _unprimed(request: Request) -> Message:
    if not request.node.server.echo:
        return error(ErrorCode.INVALID, unprimed_text(request))
    return echo(request)


def unprimed_text(request: Request) -> str:
    """Return the text that says that no rule is about a request, and how to make one."""
    text = "; ".join(request.texts)
    return f"nothing is primed for {text!r}: say server.when({text!r}).then(rows(...)), void() or error(...)"


# --- Preparing -----------------------------------------------------------------------------------------------


def _prepare(rules: Rules, request: Request) -> Message:
    keyspace = request.keyspace or request.connection.keyspace
    try:
        statement = describe(request, rules, keyspace)
    except (Undescribed, LookupError) as problem:
        return error(ErrorCode.INVALID, str(problem.args[0]))
    request.node.remember(statement)
    scylla, result = request.node.scylla, statement.result
    mark = 0
    if scylla is not None:
        marking = LWT_MARK in request.connection.extensions and is_conditional(request.text)
        mark = (scylla.lwt_mask or 0) if marking else 0
        result = None if scylla.prepared_without_metadata else result
    body = encoder.prepared(
        request.version,
        statement.id,
        statement.parameters,
        statement.key,
        result,
        with_id=request.has_metadata_ids,
        mark=mark,
    )
    return Message(Opcode.RESULT, body)


def describe(request: Request, rules: Rules, keyspace: str | None) -> Statement:
    """Return what a query that is to be prepared takes and gives.

    Raises:
        Undescribed: this cannot be told.
        LookupError: a system table or its column does not exist.
    """
    text, server = request.text, request.node.server
    primed = rules.concerning(text)
    own = is_system_query(text) or understands(text) or _USE.match(text) is not None
    if not (primed or own or server.echo):
        raise Undescribed(unprimed_text(request))
    given = next((rule.parameters for rule in primed if rule.parameters is not None), None)
    if given is not None:
        parameters = columns_of(given, request)
    elif is_system_query(text):
        parameters = _system_parameters(request)
    else:
        parameters = infer_parameters(text, server.schema, keyspace, echo=server.echo)
    key = key_indexes(parameters, server.schema)
    result = _result(request, primed, parameters, keyspace)
    return Statement(statement_id(text, keyspace), text, keyspace, parameters, key, result)


def _system_parameters(request: Request) -> list[Column]:
    selection = parse_selection(request.text)
    return [] if selection is None else columns_of(parameter_types(request.node, selection), request)


def _result(
    request: Request, primed: Sequence[Rule], parameters: Sequence[Column], keyspace: str | None
) -> Sequence[Column] | None:
    """Return the columns of the rows to come, None if there will be none."""
    server = request.node.server
    for rule in primed:
        if rule.rows is not None:
            return rule.rows.described(request)
    if (selection := parse_selection(request.text)) is not None:
        columns, _ = select(request.node, selection, ["?"] * len(parameters))
        return columns_of(columns, request, selection.table)
    if not _SELECT.match(request.text):
        return None
    return echoed_columns(parameters) if server.echo else infer_result(request.text, server.schema, keyspace)


# --- Echo ----------------------------------------------------------------------------------------------------


def echo(request: Request) -> Message:
    """Answer a SELECT with one row: of the values bound to it, or of its text if there are none. Else void."""
    if not _SELECT.match(request.text):
        return void()
    return Message(Opcode.RESULT, _echo_body)


def echoed_columns(parameters: Sequence[Column]) -> Sequence[Column]:
    """Return the columns of an echo of these bind markers."""
    return parameters or [Column("", "", "query", parse_type("text"))]


def _echo_body(request: Request) -> bytes:
    statement = request.node.statement(request.id)
    if statement is not None:
        parameters = statement.parameters
    else:
        names = request.names or [f"p{number}" for number in range(len(request.values))]
        parameters = [Column("", "", name, parse_type("blob")) for name in names]
    cells = [value if isinstance(value, bytes) else None for value in request.values]
    return rows_body(request, echoed_columns(parameters), [cells or [request.text.encode()]])


_ANSWERERS: dict[int, Callable[[Request], Message]] = {
    Opcode.OPTIONS: _options,
    Opcode.STARTUP: _startup,
    Opcode.AUTH_RESPONSE: _auth_response,
    Opcode.REGISTER: _register,
    Opcode.QUERY: _query,
    Opcode.EXECUTE: _execute,
    Opcode.BATCH: _batch,
}
