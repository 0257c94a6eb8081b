"""Recovery: what follows after an error answer or the end of a request's connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from triocql import errors
from triocql.engine.connections.connection import Connection
from triocql.engine.executing.execution import Attempt
from triocql.engine.executing.repreparing import Repreparing
from triocql.engine.executing.retrying import Retrying
from triocql.engine.requests.overdue import attempt_timed_out
from triocql.engine.routing.router import Router
from triocql.policies.balancing import BalancingPolicy
from triocql.protocol.constants import Opcode
from triocql.protocol.features import Features
from triocql.protocol.responses import MissingColumns, read_answer
from triocql.statements.prepared import PreparedQuery

# What a node answers to values of other types than its own; its tables may have changed.
_NOT_VALID = (errors.InvalidQuery, errors.ServerError)

Doubt = Callable[[Iterable[PreparedQuery]], None]

# What a node says of text with bind markers and without values, by itself and in a batch.
_NO_VALUES = re.compile("Invalid amount of bind variables|but 0 bound variables")

# How cassandra-driver has values marked in texts that are not prepared.
_OLD_MARKER = re.compile(rb"%(?:s|\(\w+\)s)")


class Recovery:
    """Decodes error answers, and has decided what follows."""

    def __init__(
        self,
        router: Router,
        retrying: Retrying,
        repreparing: Repreparing,
        doubt: Doubt,
        version: int,
        submit: Callable[[Any], None],
        balancing: BalancingPolicy | None,
    ) -> None:
        self.router = router
        self.balancing = balancing
        self.submit = submit
        self.now = router.clock.now
        self.watch = router.clock.watch
        self._version = version
        self._doubt = doubt
        self._decide = retrying.decide
        self._repreparing = repreparing

    def refused(self, attempt: Attempt, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """Decide about an answer that is no RESULT. One that is no ERROR either is the last of its connection."""
        error = _read_error(opcode, flags, body, self._version, connection.features)
        if not isinstance(error, errors.ResponseError):
            self.unreadable(attempt, connection, error)
            if opcode != Opcode.ERROR:
                connection.abort(errors.copy_of(error))
            return
        error.coordinator = connection.node
        if hint := _hint(error, attempt):
            error.args = (f"{error.message}; {hint}",)
        if isinstance(error, errors.Unavailable) and attempt.opcode == Opcode.BATCH:
            # Its partitions are written one after the other: those before the unavailable one may be there.
            error.maybe_executed = True
        if isinstance(error, errors.Unprepared):
            attempt.over(error)
            self._repreparing.unprepared(attempt, connection, error)
        else:
            if isinstance(error, _NOT_VALID):
                self._doubt(attempt.message.texts())
            self._decide(attempt, connection, error)

    def unreadable(self, attempt: Attempt, connection: Connection, error: BaseException) -> None:
        """End with a failure to read the answer: what was asked for may have been done.

        An answer that cannot be one to this request may be one to another: nothing on its connection is trusted then.
        """
        if isinstance(error, Exception):
            if not isinstance(error, errors.Error):
                cause, error = error, errors.RequestError(f"reading the answer raised {type(error).__name__}")
                error.__cause__ = cause
            error.maybe_executed = True
        attempt.over(error)
        attempt.fail(error)
        if isinstance(error, MissingColumns):
            self._doubt(attempt.message.texts())
        if isinstance(error, errors.UnfitAnswer):
            connection.abort(errors.copy_of(error))

    def lost(self, attempt: Attempt, connection: Connection, error: Exception, *, written: bool) -> None:
        """Decide about the end of the connection that the attempt was on."""
        if self.router.ending is not None:
            ended = self.router.ended_error()
            ended.maybe_executed = written
            attempt.over(ended)
            attempt.fail(ended)
            return
        state = "was waiting for its answer" if written else "had not been written"
        lost = errors.ConnectionLost(
            f"the connection to {connection.name} ended while the request {state}: {str(error) or repr(error)}"
        )
        lost.__cause__ = error
        lost.maybe_executed = written
        self._decide(attempt, connection, lost)

    def overdue(self, attempt: Attempt, connection: Connection, now: float) -> None:
        """Decide about what has taken too long on `connection`, which goes on."""
        self._decide(attempt, connection, attempt_timed_out(attempt, connection, now))


def _hint(error: errors.ResponseError, attempt: Attempt) -> str:
    """Return what to write instead of what a node cannot know the meaning of, "" for all else."""
    if isinstance(error, errors.SyntaxError) and _OLD_MARKER.search(attempt.body):
        return "write ? or :name for a value, not %s or %(name)s"
    unprepared = attempt.opcode in (Opcode.QUERY, Opcode.BATCH)
    if isinstance(error, errors.InvalidQuery) and unprepared and _NO_VALUES.search(error.message):
        return "values are given with the call, as its parameters, or to add() of a batch"
    return ""


def _read_error(opcode: int, flags: int, body: bytes, version: int, features: Features) -> Exception:
    try:
        message = read_answer(opcode, flags, body, version, features)
    except errors.ProtocolError as error:
        return error
    if isinstance(message, errors.ResponseError):
        return message
    return errors.ProtocolError(f"a request was answered with opcode {opcode:#04x}, neither RESULT nor ERROR")
