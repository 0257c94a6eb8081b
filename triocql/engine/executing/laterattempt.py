"""The attempts of an execution after its first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.engine.executing import Attempt, Execution

if TYPE_CHECKING:
    from triocql.protocol.constants import Consistency


class LaterAttempt(Attempt):
    """A try that is not the first; it may have a consistency of its own."""

    __slots__ = ("_consistency",)

    def __init__(self, execution: Execution, now: float, consistency: Consistency | None = None) -> None:
        Attempt.__init__(self, execution)
        self._consistency = consistency
        self.deadline = execution.until(now)
        self.opcode, self.flags = self.message.opcode, self.message.flags
        self.encode()

    def encode(self) -> None:
        """Say what the message says by now (`Attempt`)."""
        message, consistency = self.message, self._consistency
        self.body = message.body() if consistency is None else message.body_at(consistency)
        self.layout = 0
