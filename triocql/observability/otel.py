"""Traces for OpenTelemetry: a tracker that makes a span of each request. It needs opentelemetry-api.

    async with triocql.connect(..., tracker=Tracing()) as session:
        with tracer.start_as_current_span("checkout"):
            await session.execute(...)                        # a span below it

Names and attributes are those of the semantic conventions for databases.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context, propagate, trace
from opentelemetry.trace import NonRecordingSpan, SpanKind, Status, StatusCode

from triocql._brief import brief
from triocql.errors import Abandoned, ResponseError, UsageError
from triocql.observability.tracker import IGNORED
from triocql.statements.texts import table_named, without_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from triocql.abc import Address
    from triocql.metadata.node import Node
    from triocql.observability.tracker import About, Tracked

SYSTEM = "cassandra"
_PORT = 9042
_LONGEST_SUMMARY = 255
_LONGEST_TEXT = 4096
_KEPT = 1000
_MOST_ATTEMPTS = 16


class _Known(NamedTuple):
    """What spans of one statement have in common."""

    name: str
    attributes: dict[str, Any]


class _Attempt(NamedTuple):
    """An attempt that is over, in nanoseconds since 1970."""

    node: Node
    began: int
    ended: int
    error: BaseException | None


class _Call:
    """A request whose span is open; `context` is what nodes are told of, if they are told."""

    __slots__ = ("attempts", "context", "retries", "span")

    def __init__(self, span: Span, context: Context | None) -> None:
        self.span = span
        self.context = context
        self.attempts: list[_Attempt] = []
        self.retries = 0


class Tracing:
    """A tracker (`triocql.observability.tracker.Tracker`) that makes a client span of each request.

    A span lasts from the start of the request to its end, whatever is tried again meanwhile. Where there was more than
    one attempt, each is a span below it. Literals in the text are left out, and values are not shown at all. PREPAREs
    that triocql sends by itself have none.

    Args:
        tracer_provider: where spans go; by default the one that is set in OpenTelemetry.
        root_spans: whether there are spans where no other span is recorded, too. By default there are not: a request
            outside any costs a look at what is current.
        text: whether the text of statements is in spans.
        payload: whether nodes are told of the span of a request, in its custom payload, as the propagators of
            OpenTelemetry have it: ``traceparent`` in most programs. Where the current span is not recorded, it is what
            nodes are told of, so that they record nothing either; where there is none, they are told nothing. It needs
            protocol v4: with v3 nodes are told nothing.

    Attributes:
        payload: what nodes are told of a request (`Tracker`); None if they are told nothing.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        root_spans: bool = False,
        text: bool = True,
        payload: bool = False,
    ) -> None:
        if tracer_provider is not None and not callable(getattr(type(tracer_provider), "get_tracer", None)):
            raise UsageError(
                f"Tracing() takes a TracerProvider of OpenTelemetry, or nothing, not {type(tracer_provider).__name__}"
            )
        for name, given in (("root_spans", root_spans), ("text", text), ("payload", payload)):
            if not isinstance(given, bool):
                raise UsageError(f"{name} is {brief(given)}; it has to be True or False")
        self._tracer = trace.get_tracer("triocql", tracer_provider=tracer_provider)
        self._root_spans = root_spans
        self._text = text
        self.payload: Callable[[_Call], dict[str, bytes]] | None = _told if payload else None
        self._known: dict[tuple[str, About, bool], _Known] = {}
        self._unrecorded: Context | None = None

    def wants(self) -> bool:
        """Return whether there is to be a span of a request that begins now (`Tracker`).

        What most requests are asked in is kept: contexts do not change, and no span begins to be recorded once it is
        not.
        """
        if self._root_spans:
            return True
        current = context.get_current()
        if current is self._unrecorded:
            return False
        span = trace.get_current_span(current)
        if span.is_recording() or (self.payload is not None and span.get_span_context().is_valid):
            return True
        self._unrecorded = current
        return False

    def start(self, request: Tracked) -> Any:
        """Begin a span, if there is to be one (`Tracker`). A sampler sees all that is known then."""
        if request.is_internal:
            return IGNORED
        if self.payload is not None and not self._root_spans:
            current = trace.get_current_span()
            if not current.is_recording():
                return _Call(NonRecordingSpan(current.get_span_context()), context.get_current())
        name, attributes = self._of(request)
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        if self.payload is not None:
            return _Call(span, trace.set_span_in_context(span))
        return _Call(span, None) if span.is_recording() else IGNORED

    def attempt(self, token: _Call, node: Node, seconds: float, error: BaseException | None) -> None:
        """Note an attempt (`Tracker`)."""
        now = time_ns()
        token.attempts.append(_Attempt(node, now - int(seconds * 1e9), now, error))
        if len(token.attempts) > _MOST_ATTEMPTS:
            del token.attempts[1]

    def retry(self, token: _Call, error: Exception) -> None:
        """Count another attempt (`Tracker`)."""
        token.retries += 1

    def finish(self, token: _Call, error: BaseException | None) -> None:
        """End the span (`Tracker`)."""
        span, attempts = token.span, token.attempts
        try:
            if len(attempts) > 1 and span.is_recording():
                self._show(span, attempts)
            if attempts:
                span.set_attributes(_of_node(attempts[-1].node))
            if token.retries:
                span.set_attribute("triocql.retries", token.retries)
            if error is not None:
                _fail(span, error)
        finally:
            span.end()

    def _show(self, span: Span, attempts: list[_Attempt]) -> None:
        """Make a span of each attempt."""
        below = trace.set_span_in_context(span)
        for each in attempts:
            attributes = {"db.system.name": SYSTEM, **_of_server(each.node.address), **_of_node(each.node)}
            child = self._tracer.start_span(
                f"attempt {each.node.name}", below, SpanKind.CLIENT, attributes, start_time=each.began
            )
            if each.error is not None:
                _fail(child, each.error)
            child.end(each.ended)

    def _of(self, request: Tracked) -> _Known:
        key = request.statement, request.about, request.idempotent
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[key] = _described(request, text=self._text)
        return known


def _told(call: _Call) -> dict[str, bytes]:
    """Return what nodes are told of a request: its span, and what else propagators find in the context of the call."""
    told: dict[str, str] = {}
    propagate.inject(told, call.context)
    return {name: value.encode() for name, value in told.items()}


def _described(request: Tracked, *, text: bool) -> _Known:
    """Return the name of a request's span, and the attributes that it begins with."""
    statement, about = request.statement, request.about
    keyspace, table = about.keyspace or None, about.table
    if not table and not about.statements:
        named, table = table_named(statement)
        keyspace = named or keyspace
    target = ".".join(filter(None, (keyspace, table)))
    summary = f"{about.operation} {target}".strip()[:_LONGEST_SUMMARY]
    attributes: dict[str, Any] = {
        "db.system.name": SYSTEM,
        "db.operation.name": about.operation,
        "db.query.summary": summary,
        "cassandra.consistency.level": about.consistency.name.lower(),
        "cassandra.query.idempotent": request.idempotent,
        **_of_server(about.contact_point),
    }
    if keyspace:
        attributes["db.namespace"] = keyspace
    if table:
        attributes["db.collection.name"] = table
    if about.operation == "BATCH":
        if about.statements != 1:
            attributes["db.operation.batch.size"] = about.statements
    elif text:
        attributes["db.query.text"] = without_values(statement)[:_LONGEST_TEXT]
    if about.operation == "SELECT" and about.page_size:
        attributes["cassandra.page.size"] = about.page_size
    return _Known(summary, attributes)


def _of_server(address: Address) -> dict[str, Any]:
    """Return what tells of the cluster: where the program has asked for it."""
    host, port = address
    return {"server.address": host, **({} if port in (0, _PORT) else {"server.port": port})}


def _of_node(node: Node) -> dict[str, Any]:
    """Return what tells of the node that answered, or was asked last."""
    host, port = node.address
    attributes: dict[str, Any] = {"network.peer.address": host}
    if port:
        attributes["network.peer.port"] = port
    if node.host_id is not None:
        attributes["cassandra.coordinator.id"] = str(node.host_id)
    if node.data_centre is not None:
        attributes["cassandra.coordinator.dc"] = node.data_centre
    return attributes


def _fail(span: Span, error: BaseException) -> None:
    """Say what a span has failed by. The text of an error may have values in it, and is left out."""
    kind = "Cancelled" if isinstance(error, Abandoned) else type(error).__qualname__
    span.set_attribute("error.type", kind)
    if isinstance(error, ResponseError):
        span.set_attribute("db.response.status_code", str(error.code))
    span.set_status(Status(StatusCode.ERROR, kind))
