"""From a user's statement to a request on its way, in one synchronous step."""

from __future__ import annotations

from functools import partial
from typing import Any

from triocql.codecs.registry import Registry
from triocql.config import Options
from triocql.engine.batches import BatchBuilder
from triocql.engine.execution import Execution, Message
from triocql.engine.keyspaces import Keyspaces
from triocql.engine.messages import ExecuteMessage, QueryMessage
from triocql.engine.preparing import PrepareKey, Preparing
from triocql.engine.profile import Profile, Profiles
from triocql.engine.reading import ResultReader
from triocql.engine.recovery import Recovery
from triocql.engine.request import Phase, Sink, Wait
from triocql.engine.router import Router
from triocql.errors import UsageError
from triocql.paging import PagingState
from triocql.policies.retry import DefaultRetryPolicy
from triocql.policies.timestamps import MonotonicTimestamps
from triocql.prepared import BoundStatement, PreparedState, PreparedStatement, PreparedText
from triocql.statements import (
    INHERIT,
    Batch,
    Parameters,
    RequestOptions,
    Statement,
    is_idempotent_text,
)


class Executor:
    """Starts executions. What the caller did wrong is raised by `start`, every other error goes to the sink."""

    def __init__(self, router: Router, options: Options, registry: Registry, version: int) -> None:
        self.router = router
        self.version = version
        self.profiles = Profiles(options.request, version)
        self.keyspaces = Keyspaces(router, version, options.connection.connect_timeout, options.keyspace)
        self._now = router.clock.now
        self._timestamps = MonotonicTimestamps()
        self._reader = ResultReader(registry, version, self.keyspaces.changed)
        state_of = partial(PreparedState.from_answer, registry=registry, version=version)
        self._recovery = Recovery(router, DefaultRetryPolicy(), version, state_of)
        self.preparing = Preparing(
            router, version, options.prepared_cache, state_of, self._internal_execution
        )

    # --- What sessions call --------------------------------------------------------------------------------

    def start(
        self, sink: Sink, statement: Any, parameters: Parameters = None, call: RequestOptions = INHERIT
    ) -> Execution:
        """Start to execute `statement`; the `Response`, or what went wrong, goes to `sink`.

        Raises UsageError and its kinds for a call that cannot be carried out; nothing was sent then.
        """
        if self.router.ending is not None:
            raise self.router.ended_error()
        if type(statement) is PreparedStatement:
            text, state = statement.prepared, statement.prepared.state
            profile = self.profiles.get(statement.options, call)
            values = state.binder.bind(parameters)
            execution = self._execution(sink, profile, text.idempotent)
            return self._send(execution, self.execute_message(text, state, values, profile))
        if isinstance(statement, str):
            return self._start_text(sink, statement, parameters, self.profiles.get(INHERIT, call))
        if isinstance(statement, Statement):
            profile = self.profiles.get(statement.options, call)
            return self._start_text(sink, statement.text, parameters, profile)
        if isinstance(statement, BoundStatement):
            return self._start_bound(sink, statement, parameters, call)
        if isinstance(statement, Batch):
            return self._start_batch(sink, statement, parameters, call)
        raise UsageError(
            f"cannot execute {type(statement).__name__}; it takes text, or a Statement, PreparedStatement, "
            "BoundStatement or Batch"
        )

    def start_next_page(self, sink: Sink, execution: Execution, paging_state: bytes) -> Execution:
        """Start to fetch the page after `paging_state` of what `execution` has executed."""
        if self.router.ending is not None:
            raise self.router.ended_error()
        message = _paged(execution)
        return self._send(self._execution(sink, message.profile, idempotent=True), message.page(paging_state))

    def fingerprint(self, execution: Execution) -> bytes:
        """Return what the paging states of `execution` are bound to."""
        return _paged(execution).fingerprint()

    def prepare(self, sink: Sink, text: str, keyspace: str | None, timeout: float | None) -> Wait:
        """Have `text` prepared; the `PreparedText`, or what went wrong, goes to `sink`."""
        if self.router.ending is not None:
            raise self.router.ended_error()
        seconds = self.profiles.default.options.timeout if timeout is None else timeout
        wait = Wait(sink, self._now() + seconds, seconds)
        self.router.waiting.enter(wait, Phase.PREPARING)
        self.preparing.prepare(self.key(text, keyspace), wait)
        return wait

    # --- What the parts of the engine call -----------------------------------------------------------------

    def key(self, text: str, keyspace: str | None) -> PrepareKey:
        """Return the key that `text` is prepared under now."""
        return PrepareKey(keyspace or self.keyspaces.current, text)

    def execute_message(
        self, text: PreparedText, state: PreparedState, values: bytes, profile: Profile
    ) -> ExecuteMessage:
        """Make the message for values that are bound to a statement."""
        options = profile.options
        timestamp = self._timestamps.next() if options.timestamp is None else options.timestamp
        message = ExecuteMessage(text, state, values, timestamp, profile, self._reader)
        if options.paging_state is None:
            return message
        return message.page(PagingState(options.paging_state).unwrap(message.fingerprint()))

    # --- Inside --------------------------------------------------------------------------------------------

    def _start_text(self, sink: Sink, text: str, parameters: Parameters, profile: Profile) -> Execution:
        if not parameters:
            execution = self._execution(sink, profile, is_idempotent_text(text))
            return self._send(execution, self._query_message(text, profile))
        key = self.key(text, profile.options.keyspace)
        prepared = self.preparing.get(key)
        if prepared is None:
            execution = self._execution(sink, profile, is_idempotent_text(text))
            self.router.waiting.enter(execution, Phase.PREPARING)
            self.preparing.prepare(key, _Continuation(self, execution, parameters, profile))
            return execution
        values = prepared.state.binder.bind(parameters)
        execution = self._execution(sink, profile, prepared.idempotent)
        return self._send(execution, self.execute_message(prepared, prepared.state, values, profile))

    def _start_bound(
        self, sink: Sink, statement: BoundStatement, parameters: Parameters, call: RequestOptions
    ) -> Execution:
        if parameters is not None:
            raise UsageError(
                "a BoundStatement has its values already; execute its PreparedStatement with others"
            )
        profile = self.profiles.get(statement.options, call)
        execution = self._execution(sink, profile, statement.prepared.idempotent)
        message = self.execute_message(statement.prepared, statement.state, statement.values, profile)
        return self._send(execution, message)

    def _start_batch(
        self, sink: Sink, batch: Batch, parameters: Parameters, call: RequestOptions
    ) -> Execution:
        if parameters is not None:
            raise UsageError("the values of a batch belong to its statements: batch.add(statement, values)")
        profile = self.profiles.get(batch.options, call)
        execution = self._execution(sink, profile, idempotent=False)
        timestamp = (
            self._timestamps.next() if profile.options.timestamp is None else profile.options.timestamp
        )
        builder = BatchBuilder(self, execution, batch, profile, timestamp, self._reader)
        builder.start()
        return execution

    def _query_message(self, text: str, profile: Profile) -> QueryMessage:
        options = profile.options
        timestamp = self._timestamps.next() if options.timestamp is None else options.timestamp
        message = QueryMessage(text, timestamp, profile, self._reader)
        if options.paging_state is None:
            return message
        return message.page(PagingState(options.paging_state).unwrap(message.fingerprint()))

    def _execution(self, sink: Sink, profile: Profile, idempotent: bool) -> Execution:
        options = profile.options
        if options.idempotent is not None:
            idempotent = options.idempotent
        return Execution(
            sink, self._recovery, started=self._now(), timeout=options.timeout, idempotent=idempotent
        )

    def _internal_execution(self, sink: Sink) -> Execution:
        """Make an execution that may be tried again freely, such as a PREPARE."""
        return self._execution(sink, self.profiles.default, idempotent=True)

    def _send(self, execution: Execution, message: Message) -> Execution:
        execution.say(message)
        self.router.submit(execution)
        return execution


def _paged(execution: Execution) -> QueryMessage | ExecuteMessage:
    message = execution.message
    assert isinstance(message, (QueryMessage, ExecuteMessage)), "nothing else has pages"
    return message


class _Continuation:
    """Goes on with an execution once its text is prepared; a sink."""

    __slots__ = ("execution", "executor", "parameters", "profile")

    def __init__(
        self, executor: Executor, execution: Execution, parameters: Parameters, profile: Profile
    ) -> None:
        self.executor = executor
        self.execution = execution
        self.parameters = parameters
        self.profile = profile

    def resolve(self, prepared: PreparedText) -> None:
        execution = self.execution
        if execution.phase is not Phase.PREPARING:
            return
        try:
            values = prepared.state.binder.bind(self.parameters)
            message = self.executor.execute_message(prepared, prepared.state, values, self.profile)
            execution.go(message)
        except Exception as error:
            execution.fail(error)

    def reject(self, error: Exception) -> None:
        self.execution.fail(error)
