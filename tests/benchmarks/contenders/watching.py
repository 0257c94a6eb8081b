"""The ways to watch a session that requests pay for: what a session is opened with, and what its rounds run in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from triocql.observability.otel import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Watching(NamedTuple):
    """One way.

    Attributes:
        options: of `connect`.
        around: makes what a round runs in.
    """

    options: Mapping[str, Any]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


class Idle:
    """A tracker that does nothing."""

    def start(self, *_: object) -> None:
        """Do nothing."""

    attempt = retry = finish = start


def _below_a_span() -> AbstractContextManager[Any]:
    return _PROVIDER.get_tracer("bench").start_as_current_span("parent")


def _below_one_that_is_not_recorded() -> AbstractContextManager[Any]:
    context = trace.SpanContext(1, 1, is_remote=False)
    return trace.use_span(trace.NonRecordingSpan(context))


_PROVIDER = TracerProvider()
_TRACING = Tracing(_PROVIDER)
_TELLING = Tracing(_PROVIDER, payload=True)

WATCHING = {
    "": Watching({}),
    "slow log": Watching({"slow_request": 10.0}),
    "tracker": Watching({"tracker": Idle()}),
    "traces, no span": Watching({"tracker": _TRACING}),
    "traces, not recorded": Watching({"tracker": _TRACING}, _below_one_that_is_not_recorded),
    "traces": Watching({"tracker": _TRACING}, _below_a_span),
    "traces, nodes told": Watching({"tracker": _TELLING}, _below_a_span),
}
