"""A batch on its way: its texts with values are prepared first, all at once, then it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from triocql.engine.executing import Execution
from triocql.engine.messages.batch import BatchMessage, Contents, Partition
from triocql.engine.messages.descriptions import PrepareKey
from triocql.engine.messages.parameters import base_parameters
from triocql.engine.phase import Phase
from triocql.errors import BindTypeError, BindValueError, PreparedIdMismatch, UsageError
from triocql.protocol.requests import BatchEntry
from triocql.protocol.requests import batch as batch_body
from triocql.statements.prepared import (
    BoundStatement,
    PreparedQuery,
    PreparedState,
    PreparedStatement,
)
from triocql.statements.statement import Batch, Parameters, Statement, snapshot
from triocql.statements.texts import BATCH, is_conditional

if TYPE_CHECKING:
    from triocql.engine.executing.preparing import Preparing
    from triocql.engine.executing.settings import RequestSettings
    from triocql.engine.routing.keyspaces import Keyspaces


class Host(Protocol):
    """The executor, as far as a batch needs it."""

    version: int
    preparing: Preparing
    keyspaces: Keyspaces

    def timestamp(self, settings: RequestSettings) -> int:
        """Return the timestamp of a request, in microseconds."""

    def can_ask(self, query: PreparedQuery) -> bool:
        """Return whether a node would look up the names in `query` where it did."""

    def park(self, execution: Execution) -> None:
        """Have an execution wait until a statement is prepared for it."""


class BatchBuilder:
    """Builds and sends one batch; the sink of the preparations that it waits for."""

    def __init__(
        self,
        executor: Host,
        execution: Execution,
        batch: Batch,
        settings: RequestSettings,
    ) -> None:
        self._executor = executor
        self._execution = execution
        self._type = batch.type
        self._entries = tuple(batch)
        self._settings = settings
        self._timestamp = executor.timestamp(settings)
        self._keyspace = settings.options.keyspace or executor.keyspaces.current
        self._table_keyspace = _keyspace_of(batch) or self._keyspace
        self._missing = 0
        self._known: dict[PrepareKey, PreparedQuery] = {}
        self._prepared: Contents = {}
        self._partition: Partition | None = None
        self._is_lwt = False
        self._asked: set[PreparedQuery] = set()
        self._refusal: Exception | None = None

    def start(self) -> None:
        """Send the batch, or have what is missing prepared first. Raises UsageError and its kinds.

        Values that do not fit may fit by now: for each statement, a node is asked once before they are refused.
        """
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
        self._wait_for(len(missing))
        for key in missing:
            self._executor.preparing.prepare(key, self, self._execution.deadline)

    def resolve(self, prepared: PreparedQuery) -> None:
        """Called with the outcome of one of the preparations; after the last one, send."""
        self._known[PrepareKey(prepared.keyspace, prepared.text)] = prepared
        self._missing -= 1
        if self._missing or self._execution.phase is not Phase.PREPARING:
            return
        try:
            self._send()
        except BaseException as error:  # a codec's, or that of a value: the caller's in any case
            self._execution.decline(error)

    def reject(self, error: BaseException) -> None:
        """Fail the batch: one of its statements cannot be prepared."""
        if self._refusal is None:
            self._execution.fail(error)
        else:
            self._execution.decline(self._refusal)

    def _send(self) -> None:
        try:
            message = self._message()
        except PreparedIdMismatch as error:
            self._count()
            self._execution.fail(error)
        except _Refused as refused:
            self._ask(refused.prepared, refused.reason)
        else:
            self._count()
            self._execution.send(message)

    def _ask(self, prepared: PreparedQuery, refusal: Exception) -> None:
        if prepared in self._asked or not self._executor.can_ask(prepared):
            raise refusal
        self._asked.add(prepared)
        self._refusal = refusal
        self._wait_for(1)
        key = PrepareKey(prepared.keyspace, prepared.text)
        self._executor.preparing.ask(key, self, self._execution.deadline)

    def _count(self) -> None:
        """Have the batch counted from now on: what is refused at once has no kind."""
        self._execution.meter = self._settings.context.meters.of(*self._kind())

    def _kind(self) -> tuple[str, str | None, str]:
        return self._settings.profile, self._table_keyspace, BATCH.operation

    def _wait_for(self, count: int) -> None:
        self._execution.meter = self._settings.context.meters.later(*self._kind())
        self._missing = count
        if self._execution.phase is not Phase.PREPARING:
            self._entries = tuple((statement, snapshot(values)) for statement, values in self._entries)
            self._executor.park(self._execution)

    def _key(self, statement: Any) -> PrepareKey:
        return PrepareKey(self._keyspace, _text_of(statement))

    def _message(self) -> BatchMessage:
        options, version = self._settings.options, self._executor.version
        self._prepared, self._partition, self._is_lwt = {}, None, False
        entries = [self._numbered(index) for index in range(len(self._entries))]
        parameters = base_parameters(options, version, self._timestamp)
        body = batch_body(version, self._type, entries, parameters)
        return BatchMessage(
            body,
            self._prepared,
            self._settings.context.reader,
            parameters,
            self._settings,
            self._partition or Partition(self._keyspace),
            self._is_lwt,
        )

    def _numbered(self, index: int) -> BatchEntry:
        try:
            return self._entry(*self._entries[index])
        except Exception as error:
            reason = error.reason if isinstance(error, _Refused) else error
            reason.add_note(f"statement {index} of the batch, counted from 0")
            raise

    def _entry(self, statement: Any, values: Parameters) -> BatchEntry:
        if isinstance(statement, BoundStatement):
            statement.newest_state()
            return self._prepared_entry(statement.prepared, statement.state, statement.values)
        if isinstance(statement, PreparedStatement):
            return self._bound(statement.prepared, values)
        text = _text_of(statement)
        if not text:
            raise UsageError(f"a batch cannot hold {type(statement).__name__}")
        if values:
            return self._bound(self._known[self._key(statement)], values)
        self._is_lwt = self._is_lwt or is_conditional(text)
        return BatchEntry(text)

    def _bound(self, prepared: PreparedQuery, values: Parameters) -> BatchEntry:
        state = prepared.state
        try:
            encoded = state.binder.bind(values)
        except (BindTypeError, BindValueError) as refusal:
            raise _Refused(prepared, refusal) from None
        return self._prepared_entry(prepared, state, encoded)

    def _prepared_entry(self, prepared: PreparedQuery, state: PreparedState, values: bytes) -> BatchEntry:
        """Return the entry of values that were encoded for `state`."""
        self._prepared.setdefault(state.id, (prepared, set()))[1].add(state)
        self._is_lwt = self._is_lwt or prepared.is_lwt
        if self._partition is None and (key := state.routing_key(values)) is not None:
            self._partition = Partition(state.keyspace, key, state.table or None)
        return BatchEntry(state.id, values)


class _Refused(Exception):
    """A statement does not take its values as far as is known of it."""

    def __init__(self, prepared: PreparedQuery, reason: Exception) -> None:
        super().__init__(str(reason))
        self.prepared = prepared
        self.reason = reason


def _text_of(statement: Any) -> str:
    """Return the text of a statement that is not prepared, "" for any other."""
    if isinstance(statement, Statement):
        return statement.text
    return statement if isinstance(statement, str) else ""


def _keyspace_of(batch: Batch) -> str | None:
    """Return the keyspace of the first statement of a batch; None if that is not prepared, or tells none."""
    for statement, _ in batch:
        prepared: PreparedQuery | None = getattr(statement, "prepared", None)
        return None if prepared is None else prepared.table_keyspace
    return None
