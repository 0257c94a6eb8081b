# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Prepared statements on their way: the shortest path from values to a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.errors import BindTypeError, BindValueError
from triocql.observability.tracker import About
from triocql.protocol.constants import MAX_FRAME, Opcode
from triocql.protocol.frames import check_body
from triocql.protocol.scylla import LAYOUT_TABLET_BLOCK

if TYPE_CHECKING:
    import cython

    from triocql.engine.contracts import Sink
    from triocql.engine.executing.context import Ask, ExecutionContext
    from triocql.engine.messages.encoder import ParametersEncoder
    from triocql.engine.routing.route import Routes
    from triocql.statements.prepared import PreparedQuery, PreparedState
else:
    from triocql import _cython as cython

if not cython.compiled:
    from triocql.engine.executing.execution import Attempt, Execution
    from triocql.engine.messages.message import ExecuteMessage, join
    from triocql.engine.routing.route import Route

_EXECUTE = int(Opcode.EXECUTE)
_TABLET_BLOCK = LAYOUT_TABLET_BLOCK


class ExecuteTemplate:
    """Starts executions of one prepared statement with one set of options: all of EXECUTE but the values is made once.

    Args:
        context: what starting needs.
        query: the statement.
        encoder: of the options.
        ask: called with values that do not fit: a node is asked before they are refused, for they may fit by now.
    """

    __slots__ = (
        "_about",
        "_after",
        "_ask",
        "_attempt_timeout",
        "_before",
        "_bind",
        "_contact_point",
        "_encoder",
        "_fixed_timestamp",
        "_flags",
        "_head",
        "_idempotent",
        "_is_pinned",
        "_layout",
        "_may_be_void",
        "_meter",
        "_meters",
        "_now",
        "_parameters",
        "_payload",
        "_plan",
        "_prefix",
        "_query",
        "_reader",
        "_recovery",
        "_resumes",
        "_route",
        "_router",
        "_routes",
        "_rows_head",
        "_speculation",
        "_state",
        "_throttling",
        "_timeout",
        "_timestamps",
        "_tracker",
        "_turn",
    )

    def __init__(
        self, context: ExecutionContext, query: PreparedQuery, encoder: ParametersEncoder, ask: Ask
    ) -> None:
        options = encoder.options
        self._router = context.router
        self._turn = context.router.turn
        self._routes: Routes | None = None
        self._route: Route | None = None
        self._recovery = context.recovery
        self._reader = context.reader
        self._timestamps = context.timestamps
        self._now = context.now
        self._tracker = context.tracker
        self._contact_point = context.contact_point
        self._meters = context.meters
        self._query = query
        self._encoder = encoder
        self._ask = ask
        self._timeout = options.timeout
        self._attempt_timeout = options.attempt_seconds
        self._idempotent = query.idempotent if options.idempotent is None else options.idempotent
        speculates = self._idempotent and not options.consistency.is_serial
        self._speculation = context.speculation if speculates else None
        self._throttling = context.throttling
        self._may_be_void = query.answers.void
        self._fixed_timestamp = options.timestamp
        self._is_pinned = options.node is not None or context.recovery.balancing is not None
        self._resumes = options.paging_state is not None
        self._adopt(query.state)

    def _adopt(self, state: PreparedState) -> None:
        parameters = self._encoder.for_values(skip_metadata=state.skip_metadata)
        layout = self._turn.layout
        self._layout = layout
        self._state = state
        keyspace, operation = state.keyspace or self._query.keyspace, self._query.answers.operation
        self._meter = self._meters.of(self._encoder.profile, keyspace, operation)
        options = self._encoder.options
        self._about = About(
            operation,
            keyspace or "",
            state.table,
            self._encoder.profile,
            options.consistency,
            options.page_size,
            contact_point=self._contact_point,
        )
        self._routes = None
        self._parameters = parameters
        self._bind = state.binder.bind
        self._flags = parameters.flags
        self._payload = parameters.payload
        self._prefix = state.prefix_in(layout)
        self._head = self._encoder.for_values(skip_metadata=state.skips_in(layout)).head
        self._before = parameters.before
        self._after = parameters.after
        self._rows_head = state.rows_head
        self._plan = state.plan

    def start(self, sink: Sink, parameters: Any, now: float = -1.0) -> Execution:
        """Bind `parameters` and send; `now` is the time if it is known. Raises UsageError and its kinds."""
        state = self._query.state
        if state is not self._state or self._turn.layout != self._layout:
            self._adopt(state)
        try:
            values = self._bind(parameters)
        except (BindTypeError, BindValueError) as refusal:
            return self._ask(self._query, sink, parameters, refusal)
        message = self.message(state, values)
        layout = 0
        if self._resumes:
            body = message.body()
        else:
            layout = self._layout
            timestamp = message._timestamp
            body = join(self._payload, self._prefix, self._head, values, self._before, timestamp, self._after)
            if layout & _TABLET_BLOCK:
                body += message.tablet_block()
            if len(body) > MAX_FRAME:
                check_body(len(body))
        if now < 0:
            now = self._now()
        execution = Execution.__new__(Execution)
        attempt = execution.fill(sink, self._recovery, now, self._timeout, self._idempotent)
        execution.message = message
        execution.meter = self._meter
        attempt.opcode = _EXECUTE
        attempt.flags = self._flags
        attempt.body = body
        attempt.layout = layout
        if self._attempt_timeout:
            execution.limit(self._attempt_timeout)
        if self._tracker is not None:
            self._track(execution, message)
        if self._throttling is not None:
            self._submit_in_turn(values, execution, attempt)
        elif not self._send(values, attempt):
            self._router.submit(attempt)
        if self._speculation is not None:
            self._speculation.begin(execution)
        return execution

    def _track(self, execution: Execution, message: ExecuteMessage) -> None:
        """Have the tracker follow it, and nodes be told what it tells them. Raises UsageError if that is too long for a
        frame.
        """
        assert self._tracker is not None, "without, nothing is followed"
        execution.track(self._tracker, self._query.text, self._about)
        if execution.tracker is None or not self._tracker.tells_nodes:
            return
        try:
            execution.carry_told(message)
            execution.set_message(message)
        except BaseException as error:
            execution.withdraw(error)
            raise

    def _submit_in_turn(self, values: bytes, execution: Execution, attempt: Attempt) -> None:
        """Send the first attempt once it is its turn. What fails, as at the end of the stack, keeps nobody else out."""
        assert self._throttling is not None, "without, all is sent at once"
        try:
            if self._throttling.admit(attempt) and not self._send(values, attempt):
                self._router.submit(attempt)
        except BaseException as error:
            execution.withdraw(error)
            raise

    def _send(self, values: bytes, attempt: Attempt) -> bool:
        """Send the first attempt the shortest way, to a replica if there is a choice; return whether it was sent."""
        turn = self._turn
        if self._is_pinned:
            return False
        if turn.routes is not None:
            if turn.routes is not self._routes:
                self._reroute(turn.routes)
            if self._route is not None:
                return self._route.send(values, attempt)
        return turn.target.send(attempt)

    def _reroute(self, routes: Routes) -> None:
        """Find the way that requests go as long as `routes` hold."""
        state, query = self._state, self._query
        in_order = self._encoder.is_lwt(by_text=query.is_lwt)
        self._routes = routes
        keyspace, consistency = state.keyspace or query.keyspace, self._encoder.options.consistency
        self._route = routes.route(keyspace, state.table, state.partition_key, in_order, consistency)

    def message(self, state: PreparedState, values: bytes) -> ExecuteMessage:
        """Return the message for values that are bound already. Raises PagingStateMismatch."""
        if state is not self._state:
            self._adopt(state)
        fixed = self._fixed_timestamp
        message = ExecuteMessage.__new__(ExecuteMessage)
        message.may_be_void = self._may_be_void
        message._query = self._query
        message._state = state
        message._rows_head = self._rows_head
        message._plan = self._plan
        message._values = values
        message._timestamp = self._timestamps.next() if fixed is None else fixed
        message.encoder = self._encoder
        message._parameters = self._parameters
        message._reader = self._reader
        if not cython.compiled:  # where it is, it begins like this
            message.token = None
        return self._encoder.resumed(message) if self._resumes else message

    def execution(self, sink: Sink) -> Execution:
        """Return an execution that says nothing yet."""
        execution = Execution(sink, self._recovery, self._now(), self._timeout, self._idempotent)
        execution.meter = self._meter
        execution.limit(self._attempt_timeout)
        if self._tracker is not None:
            execution.track(self._tracker, self._query.text, self._about)
        if self._speculation is not None:
            self._speculation.begin(execution)
        return execution
