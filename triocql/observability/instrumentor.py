"""What ``opentelemetry-instrument`` finds: has every session traced that is opened without a tracker of its own.

It needs opentelemetry-instrumentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from triocql.observability.otel import Tracing
from triocql.observability.tracker import set_default

if TYPE_CHECKING:
    from collections.abc import Collection


class TriocqlInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces the sessions that are opened from `instrument` to `uninstrument`.

    >>> TriocqlInstrumentor().instrument(root_spans=True)                              # doctest: +SKIP
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that are instrumented."""
        return ("triocql",)

    def _instrument(self, **kwargs: Any) -> None:
        known = {
            name: kwargs[name]
            for name in ("tracer_provider", "root_spans", "text", "payload")
            if name in kwargs
        }
        set_default(Tracing(**known))

    def _uninstrument(self, **kwargs: Any) -> None:
        set_default(None)
