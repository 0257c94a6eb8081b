"""A batch on its way: its texts with values are prepared first, all at once, then it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.descriptions import PrepareKey
from triocql.engine.envelope import base_parameters, frame_flags, payload
from triocql.engine.hot import Execution
from triocql.engine.messages import BatchMessage
from triocql.engine.phase import Phase
from triocql.engine.profile import Profile
from triocql.errors import PreparedIdMismatch, UsageError
from triocql.prepared import (
    BoundStatement,
    PreparedState,
    PreparedStatement,
    PreparedText,
    check_same_parameters,
)
from triocql.protocol.requests import BatchEntry
from triocql.protocol.requests import batch as batch_body
from triocql.statements import Batch, Parameters, Statement

if TYPE_CHECKING:
    from triocql.engine.executor import Executor


class BatchBuilder:
    """Builds and sends one batch; the sink of the preparations that it waits for."""

    def __init__(
        self,
        executor: Executor,
        execution: Execution,
        batch: Batch,
        profile: Profile,
    ) -> None:
        self._executor = executor
        self._execution = execution
        self._type = batch.type
        self._entries = tuple(batch)
        self._profile = profile
        self._timestamp = executor.timestamp(profile)
        self._keyspace = profile.options.keyspace or executor.keyspaces.current
        self._missing = 0
        self._known: dict[PrepareKey, PreparedText] = {}
        self._prepared: dict[bytes, tuple[PreparedText, PreparedState]] = {}

    def start(self) -> None:
        """Send the batch, or have what is missing prepared first. Raises UsageError and its kinds."""
        keys = {
            self._key(statement): None
            for statement, values in self._entries
            if values and _text_of(statement)
        }
        missing = []
        for key in keys:
            known = self._executor.preparing.get(key)
            if known is None:
                missing.append(key)
            else:
                self._known[key] = known
        if not missing:
            self._send()
            return
        self._missing = len(missing)
        self._executor.router.waiting.enter(self._execution, Phase.PREPARING)
        for key in missing:
            self._executor.preparing.prepare(key, self, self._execution.deadline)

    def resolve(self, prepared: PreparedText) -> None:
        """Take one of the preparations; after the last one, send."""
        self._known[self._key(prepared.text)] = prepared
        self._missing -= 1
        if self._missing or self._execution.phase is not Phase.PREPARING:
            return
        try:
            self._send()
        except BaseException as error:  # a codec's, or that of a value: the caller's in any case
            self._execution.fail(error)

    def reject(self, error: BaseException) -> None:
        """Fail the batch: one of its statements cannot be prepared."""
        self._execution.fail(error)

    def _send(self) -> None:
        try:
            message = self._message()
        except PreparedIdMismatch as error:
            self._execution.fail(error)
        else:
            self._execution.go(message)

    def _key(self, statement: Any) -> PrepareKey:
        return PrepareKey(self._keyspace, _text_of(statement))

    def _message(self) -> BatchMessage:
        options, version = self._profile.options, self._executor.version
        entries = [self._entry(statement, values) for statement, values in self._entries]
        body = batch_body(version, self._type, entries, base_parameters(options, version, self._timestamp))
        return BatchMessage(
            payload(options, version) + body,
            frame_flags(options),
            self._prepared,
            self._executor.parts.reader,
        )

    def _entry(self, statement: Any, values: Parameters) -> BatchEntry:
        if isinstance(statement, BoundStatement):
            if values is not None:
                raise UsageError("a BoundStatement in a batch has its values already")
            return self._prepared_entry(statement.prepared, statement.newest_state(), statement.values)
        if isinstance(statement, PreparedStatement):
            return self._bound(statement.prepared, values)
        text = _text_of(statement)
        if not text:
            raise UsageError(f"a batch cannot hold {type(statement).__name__}")
        return self._bound(self._known[self._key(statement)], values) if values else BatchEntry(text)

    def _bound(self, prepared: PreparedText, values: Parameters) -> BatchEntry:
        state = prepared.state
        return self._prepared_entry(prepared, state, state.binder.bind(values))

    def _prepared_entry(self, prepared: PreparedText, state: PreparedState, values: bytes) -> BatchEntry:
        """Return the entry. A text that was prepared twice may be here in two states, of which a node knows one."""
        _, first = self._prepared.setdefault(state.id, (prepared, state))
        check_same_parameters(prepared, first, state)
        return BatchEntry(state.id, values)


def _text_of(statement: Any) -> str:
    """Return the text of a statement that is not prepared, "" for any other."""
    if isinstance(statement, Statement):
        return statement.text
    return statement if isinstance(statement, str) else ""
