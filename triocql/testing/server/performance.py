"""One request on its way through the steps of its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from . import encoder
from .connection import ServerConnection
from .encoder import Opcode
from .errorcodes import ErrorCode, encode_error
from .faults import Fault
from .framing import Frame
from .log import Execution
from .requests import Request
from .wire import BadRequest

_RESPONSE = 0x80

TRACING_ID = UUID("7d1ce000-0000-1000-8000-000000000001")
"""The id in the answers to requests that ask for tracing."""

NOT_EXECUTED = frozenset(
    {
        ErrorCode.PROTOCOL_ERROR,
        ErrorCode.BAD_CREDENTIALS,
        ErrorCode.UNAVAILABLE,
        ErrorCode.OVERLOADED,
        ErrorCode.IS_BOOTSTRAPPING,
        ErrorCode.SYNTAX_ERROR,
        ErrorCode.UNAUTHORIZED,
        ErrorCode.INVALID,
        ErrorCode.CONFIG_ERROR,
        ErrorCode.ALREADY_EXISTS,
        ErrorCode.UNPREPARED,
    }
)
"""The errors that say that nothing was carried out."""


class Step:
    """One thing that a node does about a request."""

    def perform(self, performance: Performance) -> None:
        """Do it."""
        raise NotImplementedError


Respond = Callable[[Request], "Step | Fault | Sequence[Step | Fault] | None"]
AnyStep = Step | Fault | Respond


class Performance:
    """Runs steps for one request.

    Args:
        request: the request.
        entry: its entry of the log.
        steps: of the rule.
        as_usual: what to do for a step that says so.
        along: gives the payload of a RESULT that has none.

    A step that raises is answered with a server error that names the exception; BadRequest is a protocol error.
    """

    def __init__(
        self,
        request: Request,
        entry: Execution,
        steps: Sequence[AnyStep],
        as_usual: Callable[[Sequence[Fault]], None],
        along: Callable[[Execution], Mapping[str, bytes | None] | None] = lambda entry: None,
    ) -> None:
        self.request = request
        self.entry = entry
        self._steps = list(steps)
        self._faults: list[Fault] = [step for step in steps if isinstance(step, Fault)]
        self._as_usual = as_usual
        self._along = along
        self._held = False

    @property
    def connection(self) -> ServerConnection:
        """The connection that the request came in on."""
        return self.request.connection

    def resume(self) -> None:
        """Go on until the last step, or one that waits."""
        self._held = False
        while self._steps and not self._held and not self.connection.lost:
            self._perform(self._steps.pop(0))

    def _perform(self, step: AnyStep) -> None:
        try:
            if isinstance(step, Step):
                step.perform(self)
            elif not isinstance(step, Fault):
                self._insert(step(self.request))
        except BadRequest as problem:
            self._fail(ErrorCode.PROTOCOL_ERROR, str(problem))
        except Exception as problem:
            name = type(problem).__name__
            self._fail(ErrorCode.SERVER_ERROR, f"answering {self.request} failed: {name}: {problem}")

    def _insert(self, found: Step | Fault | Sequence[Step | Fault] | None) -> None:
        steps = [found] if isinstance(found, Step | Fault) else list(found or ())
        self._faults += [step for step in steps if isinstance(step, Fault)]
        self._steps[:0] = steps

    def _fail(self, code: ErrorCode, message: str) -> None:
        self._steps.clear()
        self._faults.clear()
        self.answer(Opcode.ERROR, encode_error(self.request.version, code, message, {}), error=code)

    # --- What steps call -----------------------------------------------------------------------------------

    def answer(
        self,
        opcode: int,
        body: bytes,
        *,
        warnings: Sequence[str] = (),
        payload: Mapping[str, bytes | None] | None = None,
        error: int | None = None,
    ) -> None:
        """Answer the request, with what may go before the body; the log gets to know an error's code."""
        if error in NOT_EXECUTED:
            self.entry.executed = False
        tracing = TRACING_ID if self.request.tracing else None
        if self.request.version < 4:
            warnings, payload = (), None
        elif payload is None and opcode == Opcode.RESULT:
            payload = self._along(self.entry)
        flags, prefix = encoder.extras(tracing, warnings, payload)
        self.send(opcode, prefix + body, flags)

    def send(self, opcode: int, body: bytes, flags: int = 0, *, as_is: bool = False) -> None:
        """Send a frame under the request's stream id."""
        version = min(self.request.version, max(self.request.node.versions)) | _RESPONSE
        frame = Frame(version, flags, self.request.stream, opcode, body)
        self.connection.send(frame, self._faults, as_is=as_is)

    def hold(self) -> None:
        """Go no further until `resume`."""
        self._held = True

    def wait(self, seconds: float) -> None:
        """Go on after some time."""
        self.hold()
        self.request.node.server.call_later(seconds, self.resume)

    def as_usual(self) -> None:
        """Have an older rule, or the node by itself, answer."""
        self._as_usual(self._faults)
