"""From a user's statement to a request on its way, in one synchronous step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from triocql._hints import forgotten_await
from triocql.codecs.registry import Registry
from triocql.config.options import Options
from triocql.config.profiles import DEFAULT, ResolvedProfile
from triocql.config.requests import INHERIT, RequestOptions, ResolvedOptions
from triocql.engine.contracts import Sink
from triocql.engine.executing import ExecuteTemplate, Execution
from triocql.engine.executing.batches import BatchBuilder
from triocql.engine.executing.context import ExecutionContext
from triocql.engine.executing.contexts import Contexts
from triocql.engine.executing.preparing import Preparing
from triocql.engine.executing.settings import RequestSettings, SettingsCache
from triocql.engine.executing.spreading import Spreading
from triocql.engine.messages import ExecuteMessage
from triocql.engine.messages.descriptions import Descriptions, PrepareKey
from triocql.engine.messages.query import QueryMessage
from triocql.engine.messages.reading import ResultReader
from triocql.engine.phase import Phase
from triocql.engine.requests.single import Wait
from triocql.engine.routing.keyspaces import Keyspaces
from triocql.engine.routing.router import Router
from triocql.errors import PreparedIdMismatch, ProtocolError, UsageError
from triocql.observability.meters import Meters, RequestMeter
from triocql.observability.tracker import About
from triocql.policies.timestamping import ServerTimestamps
from triocql.protocol.constants import SERVER, V5
from triocql.statements.prepared import BoundStatement, PreparedQuery, PreparedStatement
from triocql.statements.statement import Batch, Parameters, Statement, snapshot
from triocql.statements.texts import BATCH, PREPARE, SELECT, answers_to


class Executor:
    """Starts executions. What the caller did wrong is raised by `start`, every other error goes to the sink."""

    def __init__(
        self, router: Router, options: Options, registry: Registry, version: int, meters: Meters
    ) -> None:
        self.router = router
        self.version = version
        self.keyspaces = Keyspaces(router, version, options.connection.connect_timeout, options.keyspace)
        descriptions = Descriptions(registry, version)
        self._contexts = Contexts(
            router,
            ResultReader(descriptions, version, self.keyspaces.changed, router.tablets),
            descriptions,
            meters,
            self._doubt,
            options,
        )
        profiles = {name: self._profile(options.resolve(name)) for name in (DEFAULT, *options.profiles)}
        self.settings = SettingsCache(profiles, version, self._make_template)
        self.context = self.settings.default.context
        self._internal = self._contexts.of(replace(options.policies, throttling=None))
        self.spreading = Spreading(router, version)
        self.preparing = Preparing(
            router,
            version,
            options.prepared_cache,
            descriptions,
            self._internal_execution,
            self.spreading.to_others if options.prepare_on_all_hosts else lambda text, node: None,
        )

    # --- What sessions call --------------------------------------------------------------------------------

    def start(
        self, sink: Sink, statement: Any, parameters: Parameters = None, call: RequestOptions = INHERIT
    ) -> Execution:
        """Start to execute `statement`; the `Response`, or what went wrong, goes to `sink`.

        Raises UsageError and its kinds for a call that cannot be carried out; nothing was sent then.
        """
        if type(statement) is PreparedStatement:
            options, settings = statement.options, self.settings.default
            if options is not INHERIT or call is not INHERIT:  # mostly there is no need to look
                settings = self.settings.get(options, call)
            return settings.templates[statement.prepared].start(sink, parameters)
        if isinstance(statement, str):
            return self._start_text(sink, statement, parameters, self.settings.get(INHERIT, call))
        if isinstance(statement, Statement):
            settings = self.settings.get(statement.options, call)
            return self._start_text(sink, statement.text, parameters, settings)
        if isinstance(statement, BoundStatement):
            return self._start_bound(sink, statement, parameters, call)
        if isinstance(statement, Batch):
            return self._start_batch(sink, statement, parameters, call)
        if isinstance(statement, (tuple, list)):
            raise UsageError(
                f"cannot execute a {type(statement).__name__} of {len(statement)}: write "
                "execute(statement, parameters), and pairs of the two in execute_concurrent"
            )
        raise UsageError(
            f"cannot execute {type(statement).__name__}; it takes text, or a Statement, PreparedStatement, "
            f"BoundStatement or Batch{forgotten_await(statement)}"
        )

    def ask(self, sink: Sink, text: str, call: RequestOptions) -> Execution:
        """Start a SELECT of triocql's own, without values: it is told of as such, and counted as no request."""
        settings = self.settings.get(INHERIT, call)
        message = QueryMessage(text, SELECT, self.timestamp(settings), settings, self.context.reader)
        execution = self._new_execution(sink, settings, text, None, idempotent=True, is_internal=True)
        return _begun(execution, partial(execution.send, message))

    def template_of(self, statement: Any, call: RequestOptions) -> ExecuteTemplate | None:
        """Return what starts `statement` again and again; None if it is not prepared."""
        if type(statement) is not PreparedStatement:
            return None
        return self.settings.get(statement.options, call).templates[statement.prepared]

    def start_next_page(self, sink: Sink, execution: Execution, paging_state: bytes) -> Execution:
        """Start to fetch the page after `paging_state` of what `execution` has executed."""
        message = _paged(execution)
        settings = message.encoder
        assert isinstance(settings, RequestSettings), "executions are started with these"
        following = self._new_execution(sink, settings, message.text, execution.meter, idempotent=True)
        return _begun(following, lambda: following.send(message.page(paging_state)))

    def start_page(
        self,
        sink: Sink,
        statement: BoundStatement,
        call: RequestOptions,
        paging_state: bytes | None = None,
        token: int | None = None,
    ) -> Execution:
        """Start to fetch one page of `statement`: the one after `paging_state`, or the first one; of what is about a
        range of tokens, from the shard that has `token`, if that is known."""
        template = self.settings.get(statement.options, call).templates[statement.prepared]
        execution = template.execution(sink)

        def begin() -> None:
            try:
                message = template.message(statement.newest_state(), statement.values)
                message.token = token
                execution.send(message if paging_state is None else message.page(paging_state))
            except PreparedIdMismatch as error:
                execution.fail(error)

        return _begun(execution, begin)

    def fingerprint(self, execution: Execution) -> bytes:
        """Return what the paging states of `execution` are bound to."""
        return _paged(execution).fingerprint()

    def prepare(self, sink: Sink, text: str, keyspace: str | None, timeout: float | None) -> Wait:
        """Have `text` prepared; the `PreparedQuery`, or what went wrong, goes to `sink`."""
        self._check_open()
        seconds = self.settings.default.options.timeout if timeout is None else timeout
        key = self.key(text, keyspace)
        wait = Wait(sink, self.context.now() + seconds, seconds, text)
        self.router.waiting.enter(wait, Phase.PREPARING)
        self.preparing.prepare(key, wait, wait.deadline)
        return wait

    # --- What the parts of the engine call -----------------------------------------------------------------

    def key(self, text: str, keyspace: str | None) -> PrepareKey:
        """Return the key that `text` is prepared under now. Raises UsageError for a keyspace of its own before v5."""
        if keyspace is not None and self.version < V5:
            raise UsageError(f"keyspace= needs protocol v5; the nodes speak v{self.version}")
        return PrepareKey(keyspace or self.keyspaces.current, text)

    def _new_execution(
        self,
        sink: Sink,
        settings: RequestSettings,
        statement: str,
        meter: RequestMeter | None,
        *,
        idempotent: bool,
        is_internal: bool = False,
        statements: int = 0,
    ) -> Execution:
        """Return an execution that says nothing yet, which `meter` counts; None for a batch, of so many statements."""
        options = settings.options
        if options.idempotent is not None:
            idempotent = options.idempotent
        context = self._internal if is_internal else settings.context
        execution = Execution(sink, context.recovery, context.now(), options.timeout, idempotent)
        execution.meter = meter
        execution.limit(options.attempt_seconds)
        if context.tracker is not None:
            about = self._about(settings, meter, statements)
            execution.track(context.tracker, statement, about, is_internal=is_internal)
        alone = not idempotent or is_internal or options.consistency.is_serial
        if context.speculation is not None and not alone:
            context.speculation.begin(execution)
        return execution

    def _about(self, settings: RequestSettings, meter: RequestMeter | None, statements: int) -> About:
        """Return what a tracker is told that a request is about."""
        options = settings.options
        operation = BATCH.operation if meter is None else meter.kind.operation
        keyspace = options.keyspace or self.keyspaces.current if meter is None else meter.kind.keyspace
        return About(
            operation,
            keyspace or "",
            "",
            settings.profile,
            options.consistency,
            options.page_size,
            statements,
            settings.context.contact_point,
        )

    def park(self, execution: Execution) -> None:
        """Have an execution wait until a statement is prepared for it."""
        if execution.attempt is not None:
            self.router.waiting.enter(execution.attempt, Phase.PREPARING)

    def timestamp(self, settings: RequestSettings) -> int:
        """Return the timestamp of a request, in microseconds."""
        fixed = settings.options.timestamp
        return settings.context.timestamps.next() if fixed is None else fixed

    def can_ask(self, query: PreparedQuery) -> bool:
        """Return whether a node would look up the names in `query` where it did; before v5 that is where it is now."""
        here = self.version >= V5 or query.keyspace == self.keyspaces.current
        return here and self.router.ending is None

    # --- Inside --------------------------------------------------------------------------------------------

    def _profile(self, profile: ResolvedProfile) -> tuple[ResolvedOptions, ExecutionContext]:
        request, policies = profile
        if request.timestamp is None and isinstance(policies.timestamps, ServerTimestamps):
            request = replace(request, timestamp=SERVER)
        return request, self._contexts.of(policies)

    def _start_text(
        self, sink: Sink, text: str, parameters: Parameters, settings: RequestSettings
    ) -> Execution:
        if not parameters:
            answers = answers_to(text)
            keyspace = settings.options.keyspace or self.keyspaces.current
            timestamp = self.timestamp(settings)
            message = QueryMessage(text, answers, timestamp, settings, self.context.reader, keyspace)
            message = settings.resumed(message)
            meter = self.context.meters.of(settings.profile, keyspace, answers.operation)
            execution = self._new_execution(sink, settings, text, meter, idempotent=answers is SELECT)
            return _begun(execution, partial(execution.send, message))
        key = self.key(text, settings.options.keyspace)
        prepared = self.preparing.get(key)
        if prepared is not None:
            return settings.templates[prepared].start(sink, parameters)
        self._check_open()
        answers = answers_to(text)
        meter = self.context.meters.later(settings.profile, key.keyspace, answers.operation)
        execution = self._new_execution(sink, settings, text, meter, idempotent=answers is SELECT)
        # Until there are values, this is what an error shows.
        execution.message = QueryMessage(text, answers, SERVER, settings, self.context.reader)
        return self._begin_parked(
            execution,
            lambda: self.preparing.prepare(
                key, _Continuation(execution, parameters, settings), execution.deadline
            ),
        )

    def _begin_parked(self, execution: Execution, prepare: Callable[[], object]) -> Execution:
        """Have an execution wait for what `prepare` has prepared."""

        def begin() -> None:
            self.park(execution)
            prepare()

        return _begun(execution, begin)

    def _make_template(self, query: PreparedQuery, settings: RequestSettings) -> ExecuteTemplate:
        return ExecuteTemplate(settings.context, query, settings, partial(self._ask, settings))

    def _ask(
        self,
        settings: RequestSettings,
        text: PreparedQuery,
        sink: Sink,
        parameters: Parameters,
        refusal: Exception,
    ) -> Execution:
        """Have a node asked once more what `text` takes, and bind again: its types may have changed since. Raises
        `refusal`, which is why, if that cannot be asked.
        """
        if not self.can_ask(text):
            raise refusal
        meter = _meter(settings, text)
        execution = self._new_execution(sink, settings, text.text, meter, idempotent=text.idempotent)
        execution.message = QueryMessage(text.text, text.answers, SERVER, settings, self.context.reader)
        key = PrepareKey(text.keyspace, text.text)
        return self._begin_parked(
            execution,
            lambda: self.preparing.ask(
                key, _Continuation(execution, parameters, settings, refusal), execution.deadline
            ),
        )

    def _doubt(self, texts: Iterable[PreparedQuery]) -> None:
        """Have a node asked anew what these texts take, for a node has refused values. Nobody waits for that."""
        for text in texts:
            if self.can_ask(text):
                self.preparing.ask(PrepareKey(text.keyspace, text.text), _NOBODY, 0.0)

    def _start_bound(
        self, sink: Sink, statement: BoundStatement, parameters: Parameters, call: RequestOptions
    ) -> Execution:
        if parameters is not None:
            raise UsageError(
                "a BoundStatement has its values already; execute its PreparedStatement with other values"
            )
        return self.start_page(sink, statement, call)

    def _start_batch(
        self, sink: Sink, batch: Batch, parameters: Parameters, call: RequestOptions
    ) -> Execution:
        if parameters is not None:
            raise UsageError("the values of a batch belong to its statements: batch.add(statement, values)")
        self._check_open()
        settings = self.settings.get(batch.options, call)
        execution = self._new_execution(
            sink, settings, "BATCH", None, idempotent=False, statements=len(batch)
        )
        return _begun(execution, lambda: BatchBuilder(self, execution, batch, settings).start())

    def _internal_execution(self, sink: Sink, key: PrepareKey) -> Execution:
        """Return an execution that may be tried again freely, for a PREPARE."""
        meter = self.context.meters.of("", key.keyspace, PREPARE)
        settings = self.settings.default
        return self._new_execution(sink, settings, key.text, meter, idempotent=True, is_internal=True)

    def _check_open(self) -> None:
        if self.router.ending is not None:
            raise self.router.ended_error()


def _begun(execution: Execution, begin: Callable[[], object]) -> Execution:
    """Return an execution after its first step. If that raises, it is over: it was sent nowhere."""
    try:
        begin()
    except BaseException as error:
        execution.withdraw(error)
        raise
    return execution


def _paged(execution: Execution) -> QueryMessage | ExecuteMessage:
    message = execution.message
    if not isinstance(message, (QueryMessage, ExecuteMessage)):
        raise ProtocolError(
            "the node answered a batch with a page and says that more follow; a batch has no pages"
        )
    return message


def _meter(settings: RequestSettings, text: PreparedQuery) -> RequestMeter:
    """Return what counts executions of a prepared statement."""
    return settings.context.meters.of(settings.profile, text.table_keyspace, text.answers.operation)


class _Continuation:
    """Goes on with an execution once its text is prepared; a sink."""

    __slots__ = ("_execution", "_parameters", "_refusal", "_settings")

    def __init__(
        self,
        execution: Execution,
        parameters: Parameters,
        settings: RequestSettings,
        refusal: Exception | None = None,
    ) -> None:
        self._execution = execution
        self._parameters = snapshot(parameters)
        self._settings = settings
        self._refusal = refusal

    def resolve(self, prepared: PreparedQuery) -> None:
        execution = self._execution
        if execution.phase is not Phase.PREPARING:
            return
        state = prepared.state
        try:
            values = state.binder.bind(self._parameters)
            execution.meter = _meter(self._settings, prepared)  # its keyspace may be known by now
            execution.send(self._settings.templates[prepared].message(state, values))
        except BaseException as error:  # a codec's, or that of a value: the caller's in any case
            execution.decline(error)

    def reject(self, error: BaseException) -> None:
        if self._refusal is None:
            self._execution.fail(error)
        else:
            self._execution.decline(self._refusal)


class _Nobody:
    """A sink for what is only to be known."""

    def resolve(self, prepared: PreparedQuery) -> None:
        """Do nothing: it is kept."""

    def reject(self, error: BaseException) -> None:
        """Do nothing: whoever needs it will ask again."""


_NOBODY = _Nobody()
