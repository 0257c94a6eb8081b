"""Rules: which requests are answered how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .answers import Message, Rows
from .encoder import Opcode
from .faults import Fault
from .log import EXECUTIONS, Query, fits
from .performance import AnyStep
from .requests import Request


class Rule:
    """A condition, and the steps that requests which meet it get: made by `server.when(...)`.

    Attributes:
        calls: the requests that it has answered, in order.
        parameters: the types of the query's bind markers, if given.
    """

    def __init__(
        self,
        query: Query | None = None,
        *,
        prepared: bool | None = None,
        opcode: int | None = None,
        consistency: int | None = None,
        node: int | None = None,
        connection: int | None = None,
        nth: int | None = None,
        times: int | None = None,
        match: Callable[[Request], bool] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        if nth is not None and nth < 1:
            raise ValueError(f"nth={nth}: requests are counted from 1")
        self.query = query
        self.parameters = parameters
        self.calls: list[Request] = []
        self._prepared = prepared
        self._opcode = opcode
        self._consistency = consistency
        self._node = node
        self._connection = connection
        self._nth = nth
        self._times = times
        self._match = match
        self._steps: tuple[AnyStep, ...] = ()
        self._seen = 0

    def then(self, *steps: AnyStep) -> Rule:
        """Set what happens, step after step; faults among the steps apply to each answer of the rule.

        A function among them is called with the request; what it returns is done: a step, several, or nothing.
        """
        for step in steps:
            if not (callable(step) or hasattr(step, "perform") or isinstance(step, Fault)):
                raise TypeError(
                    f"{step!r} is no step: then() takes rows(...), void(), error(...), a function ..."
                )
        self._steps = steps
        return self

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        """The steps."""
        return self._steps

    @property
    def rows(self) -> Rows | None:
        """The first rows that it answers with."""
        bodies = (step.body for step in self._steps if isinstance(step, Message))
        return next((body for body in bodies if isinstance(body, Rows)), None)

    def concerns(self, text: str) -> bool:
        """Whether a query with this text is what it answers, on whichever node."""
        return self.query is not None and self._opcode in (None, *EXECUTIONS) and fits(self.query, [text])

    def take(self, request: Request, system: bool) -> bool:
        """Whether it answers this request; if so it is counted."""
        if not self._steps or not self._meets(request, system):
            return False
        self._seen += 1
        if self._nth not in (None, self._seen) or (
            self._times is not None and len(self.calls) >= self._times
        ):
            return False
        self.calls.append(request)
        return True

    def _meets(self, request: Request, system: bool) -> bool:
        if self._opcode is None:
            # What says neither which query nor which opcode is about what users ask, not about system tables.
            of_kind = request.opcode in EXECUTIONS and not (system and self.query is None)
        else:
            of_kind = request.opcode == self._opcode
        return (
            of_kind
            and self._prepared in (None, _is_prepared(request))
            and self._consistency in (None, request.consistency)
            and self._node in (None, request.node.index)
            and self._connection in (None, request.connection.number)
            and fits(self.query, request.texts)
            and (self._match is None or self._match(request))
        )


def _is_prepared(request: Request) -> bool:
    return request.opcode == Opcode.EXECUTE or any(entry.id for entry in request.entries)


class Rules:
    """All rules of a server. The newest that a request meets answers it."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> Rule:
        """Add a rule."""
        self._rules.insert(0, rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Remove a rule."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Remove all."""
        self._rules.clear()

    def find(self, request: Request, system: bool, below: Rule | None = None) -> Rule | None:
        """Return the rule that answers a request; with `below`, of those older than that one."""
        rules = list(self._rules)
        older = rules[rules.index(below) + 1 :] if below in rules else rules
        return next((rule for rule in older if rule.take(request, system)), None)

    def concerning(self, text: str) -> Sequence[Rule]:
        """Return the rules about a query, the newest first."""
        return [rule for rule in list(self._rules) if rule.concerns(text)]
