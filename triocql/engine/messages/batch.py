"""A batch, encoded: several statements that are sent together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from triocql.engine.connections.connection import Connection
from triocql.engine.messages import Message
from triocql.engine.messages.encoder import ParametersEncoder
from triocql.engine.messages.parameters import frame_flags, payload
from triocql.engine.messages.reading import ResultReader
from triocql.engine.requests import Response
from triocql.metadata.node import Node
from triocql.policies.balancing import RoutedRequest
from triocql.protocol.constants import FLAG_CUSTOM_PAYLOAD, Opcode
from triocql.protocol.requests import (
    QueryParameters,
    batch_entries,
    parameters_head,
    parameters_tail,
    with_statement_id,
)
from triocql.statements.prepared import PreparedQuery, PreparedState, check_values_fit
from triocql.statements.texts import BATCH

if TYPE_CHECKING:
    from triocql.engine.messages.message import Part

_BATCH = int(Opcode.BATCH)

Contents = dict[bytes, tuple[PreparedQuery, set[PreparedState]]]
"""The prepared statements in a batch by their ids, each with the states that its values were encoded for."""


class Partition(NamedTuple):
    """The partition that the first of the statements in a batch is about, as far as it is known."""

    keyspace: str | None
    routing_key: bytes | None = None
    table: str | None = None


class BatchMessage(Message):
    """Several statements; the prepared ones among them by their ids, which a new state hardly ever changes."""

    __slots__ = (
        "_body",
        "_encoder",
        "_is_lwt",
        "_parameters",
        "_partition",
        "_payload",
        "_prepared",
        "_reader",
        "flags",
    )
    opcode = _BATCH
    flags: int
    text = "BATCH"

    def __init__(
        self,
        body: bytes,
        prepared: Contents,
        reader: ResultReader,
        parameters: QueryParameters,
        encoder: ParametersEncoder,
        partition: Partition,
        is_lwt: bool,
    ) -> None:
        Message.__init__(self, may_be_void=True)
        self._body = body
        self._prepared = prepared
        self._reader = reader
        self._parameters = parameters
        self._payload = payload(encoder.options, encoder.version)
        self.flags = frame_flags(encoder.options)
        self._encoder = encoder
        self._partition = partition
        self._is_lwt = is_lwt

    @property
    def node(self) -> Node | None:
        """The only node that it may go to (`Message`)."""
        return self._encoder.options.node

    @property
    def has_key(self) -> bool:
        """Whether the partition of one of its statements is known (`Message`)."""
        return self._partition.routing_key is not None

    def routed(self, idempotent: bool) -> RoutedRequest:
        """Return what a balancing policy is told of the request (`Message`)."""
        partition = self._partition
        return self._encoder.routed(
            self.text,
            partition.keyspace,
            idempotent=idempotent,
            is_lwt=self._is_lwt,
            table=partition.table,
            routing_key=lambda: partition.routing_key,
        )

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        return self._payload + self._body

    def carry(self, told: Mapping[str, bytes | None]) -> None:
        """Say this, too (`Message`)."""
        self._payload = self._encoder.payload_with(told)
        self.flags |= FLAG_CUSTOM_PAYLOAD

    def copy(self) -> BatchMessage:
        """Return a message that says the same (`Message`)."""
        message = BatchMessage(
            self._body,
            self._prepared,
            self._reader,
            self._parameters,
            self._encoder,
            self._partition,
            self._is_lwt,
        )
        message._payload, message.flags = self._payload, self.flags
        return message

    def consistency_offset(self) -> int:
        """Return where the consistency is in the body (`Message`): the parameters are the last part."""
        version, parameters = self._reader.version, self._parameters
        head, tail = parameters_head(version, parameters), parameters_tail(version, parameters)
        return len(self._payload) + len(self._body) - len(head) - len(tail)

    def read(self, flags: int, body: bytes, connection: Connection) -> Response:
        """Read the answer (`Message`)."""
        keyspace, _, table = self._partition
        return self._reader.read(flags, body, connection, BATCH, table=(keyspace, table))

    def texts(self) -> list[PreparedQuery]:
        """Return the prepared statements in it (`Message`)."""
        return [text for text, _ in self._prepared.values()]

    def parts(self) -> Iterator[Part]:
        """Give the statements in it (`Message`), out of its body: those who want to know are few."""
        for entry in batch_entries(self._body):
            if isinstance(entry.statement, str):
                yield entry.statement, (), b""
            else:
                query, states = self._prepared[entry.statement]
                yield query.text, next(iter(states)).bind_columns, entry.values

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the statement in it that has this id (`Message`)."""
        entry = self._prepared.get(statement_id)
        return None if entry is None else entry[0]

    def reprepared(self, statement: PreparedQuery, former_id: bytes, state: PreparedState) -> None:
        """Check that the encoded values still fit, and have the statement's id be what it is now (`Message`)."""
        query, states = self._prepared[former_id]
        for encoded_for in states:
            check_values_fit(statement, encoded_for, state)
        if state.id != former_id:
            self._body = with_statement_id(self._body, former_id, state.id)
            others = self._prepared.get(state.id, (query, set()))[1]
            self._prepared = {**self._prepared, state.id: (query, states | others)}
            del self._prepared[former_id]
