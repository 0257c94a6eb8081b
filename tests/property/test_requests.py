"""The life of requests, whatever happens: ids are neither lost nor shared, and each request ends exactly once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import triocql
from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.test_tracker import Notes
from tests.engine.world import INSERT, SELECT, World, check
from triocql import errors
from triocql.engine.executing import Attempt, Execution
from triocql.engine.phase import Phase
from triocql.protocol.constants import Opcode

MAX_IN_FLIGHT, MAX_ORPHANS, MAX_QUEUE = 4, 2, 3

COPIES = triocql.PolicyOptions(speculation=triocql.policies.ConstantSpeculation(0.05))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tracker": st.none(),  # one that takes notes
        "policies": st.just(COPIES),
        "attempt_timeout": st.sampled_from([0.2, 2.0]),
    },
)


class User:
    """Somebody who waits for a request: a sink that counts what it is told."""

    def __init__(self, token: int, idempotent: bool) -> None:
        self.token = token
        self.idempotent = idempotent
        self.outcomes: list[Any] = []
        self.execution: Execution | None = None
        self.abandoned = False
        self.written_when_abandoned = False

    def resolve(self, value: Any) -> None:
        self.outcomes.append(value)

    def reject(self, error: BaseException) -> None:
        assert isinstance(error, errors.Error)
        self.outcomes.append(error)

    def abandon(self, *, received: bool) -> None:
        assert self.execution is not None
        self.abandoned = True
        self.written_when_abandoned = received or self.execution.phase is Phase.WAITING
        self.execution.abandon()


LONGEST_PAUSE = 60.0 * 1.15 + 1.0
"""Seconds until a node is dialled again, with jitter."""


class Requests(RuleBasedStateMachine):
    """A session with two nodes that answer when they are told to, in any order, rightly or wrongly."""

    @initialize(seed=st.integers(0, 1 << 16), version=st.sampled_from([4, 5]), options=OPTIONS)
    def connect(self, seed: int, version: int, options: dict[str, Any]) -> None:
        self.notes = Notes()
        options = {name: self.notes if name == "tracker" else value for name, value in options.items()}
        self.world = World(
            version,
            count=2,
            seed=seed,
            max_in_flight=MAX_IN_FLIGHT,
            max_orphans=MAX_ORPHANS,
            max_queue=MAX_QUEUE,
            timeout=10.0,
            **options,
        )
        self.block = self.world.session()
        self.session = self.block.__enter__()
        self.insert = self.world.call(self.session.prepare, INSERT)
        self.select = self.world.call(self.session.prepare, SELECT)
        for node in self.world.nodes:
            node.script = self._hold
        self.users: list[User] = []
        self.held: list[Asked] = []
        self.answered: set[tuple[int, int]] = set()

    def _hold(self, asked: Asked) -> bool:
        """Hold user's statements; half of the PREPAREs are answered at once."""
        if asked.opcode in (Opcode.EXECUTE, Opcode.PREPARE):
            self.held.append(asked)
            return True
        return False

    def _received(self, user: User) -> int:
        return sum(node.tokens().count(user.token) for node in self.world.nodes)

    # --- What users do -----------------------------------------------------------------------------------------

    @rule(read=st.booleans(), timeout=st.sampled_from([0.5, 3.0, 10.0]), settle=st.booleans())
    def submit(self, read: bool, timeout: float, settle: bool) -> None:
        user = User(len(self.users), read)
        self.users.append(user)
        statement = (self.select if read else self.insert).with_options(timeout=timeout)
        user.execution = self.session._context.executor.start(user, statement, [user.token])
        if settle:
            self.world.settle()

    @precondition(lambda self: self.users)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(self.users[-8:]))
        if not user.abandoned:
            user.abandon(received=self._received(user) > 0)

    # --- What nodes do -----------------------------------------------------------------------------------------

    def _take(self, data: st.DataObject) -> Asked:
        return self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self._take(data).respond()
        self.world.settle()

    @precondition(lambda self: len(self.held) > 1)
    @rule(data=st.data())
    def answer_several_in_one_go(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(2, len(self.held)))):
            self._take(data).respond()
        self.world.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), code=st.sampled_from([0x1001, 0x1002, 0x0000, 0x2200]))
    def refuse(self, data: st.DataObject, code: int) -> None:
        self._take(data).error(code)
        self.world.settle()

    @precondition(lambda self: any(asked.opcode == Opcode.EXECUTE for asked in self.held))
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from([asked for asked in self.held if asked.opcode == Opcode.EXECUTE]))
        self.held.remove(asked)
        asked.unprepared()
        self.world.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer_twice(self, data: st.DataObject) -> None:
        """Only where the id is not taken again at once: a second answer that comes later than that is beyond proof."""
        asked = self._take(data)
        final = asked.id in asked.link.node.known and not self.session.stats().queued
        asked.respond()
        if final and asked.opcode == Opcode.EXECUTE:
            asked.respond()
        self.world.settle()
        assert asked.link.lost or not final or asked.opcode != Opcode.EXECUTE

    @rule(data=st.data(), stream=st.integers(MAX_IN_FLIGHT, 100))
    def answer_what_was_never_asked(self, data: st.DataObject, stream: int) -> None:
        link = data.draw(st.sampled_from(self.world.nodes)).links[-1]
        link.send(stream, wire.RESULT, wire.void())
        self.world.settle()
        assert link.lost

    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        listener = data.draw(st.sampled_from(self.world.listeners))
        listener.accepted[-1].reset()

    # --- Time ----------------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.world.reactor.advance(seconds)

    # --- What holds at any time ----------------------------------------------------------------------------------

    @invariant()
    def ids_are_in_order(self) -> None:
        check(self.session)
        for connection in self.session._context.executor.router.connections():
            assert len(connection.orphans) <= MAX_ORPHANS or connection.state.value != "open"
        assert len(self.session._context.executor.router.queue) <= MAX_QUEUE

    @invariant()
    def each_request_ends_once(self) -> None:
        for user in self.users:
            assert len(user.outcomes) <= (0 if user.abandoned and not user.outcomes else 1)
            for outcome in user.outcomes:
                if user.idempotent and not isinstance(outcome, errors.Error):
                    (row,) = outcome.page.rows(tuple)
                    assert row == (user.token,)

    @invariant()
    def each_request_is_counted_once(self) -> None:
        ended = sum(bool(user.outcomes) or user.abandoned for user in self.users)
        metrics = self.session.metrics
        requests = [each for each in metrics.requests if each.operation != "PREPARE"]
        assert sum(each.durations.count for each in requests) == ended
        succeeded = sum(
            not isinstance(user.outcomes[0], errors.Error) for user in self.users if user.outcomes
        )
        assert (
            metrics.durations(operation="INSERT", outcome="success").count
            + (metrics.durations(operation="SELECT", outcome="success").count)
            == succeeded
        )

    @invariant()
    def attempts_add_up(self) -> None:
        """Each one that a connection was given ends once, at its node, and that a request succeeds is due to one."""
        metrics = self.session.metrics
        together = metrics.all_nodes
        ended = {outcome: durations.count for outcome, durations in together.attempts.items()}
        assert ended.get("success", 0) == metrics.durations(outcome="success").count
        asked = sum(len([each for each in node.asked if each.id or each.text]) for node in self.world.nodes)
        under_way = sum(
            isinstance(request, Attempt)
            for connection in self.session._context.executor.router.connections()
            for request in connection.in_flight.values()
        )
        assert sum(ended.values()) + under_way >= asked - together.prepared_again
        if self.notes.notes:
            assert self.notes.hooks().count("attempt") == sum(ended.values())
            ends = sum(each.durations.count for each in metrics.requests)
            assert self.notes.hooks().count("finish") == ends

    @invariant()
    def nothing_is_sent_after_it_was_abandoned(self) -> None:
        for user in self.users:
            if user.abandoned and not user.written_when_abandoned:
                assert self._received(user) == 0

    @invariant()
    def what_was_executed_is_not_sent_again(self) -> None:
        """A write that a node got is sent again only if the answer said that it was not executed."""
        for user in self.users:
            if not user.idempotent and user.outcomes and isinstance(user.outcomes[0], errors.Error):
                error = user.outcomes[0]
                assert (
                    error.maybe_executed or isinstance(error, _KNOWN_NOT_EXECUTED) or not self._received(user)
                )

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        for node in self.world.nodes:
            node.script = None
        for asked in self.held:
            asked.respond()
        self.world.reactor.advance(20)
        for user in self.users:
            assert len(user.outcomes) == (1 if not user.abandoned else len(user.outcomes) and 1)
        assert self.session.stats()[1:] == (0, 0, 0)
        self.world.reactor.advance(LONGEST_PAUSE)  # a node that was lost again and again is dialled as late
        metrics, together = self.session.metrics, self.session.metrics.all_nodes
        assert (together.in_flight, together.orphans, together.connections) == (0, 0, 2)
        assert (metrics.queued, metrics.queued_bytes, metrics.waiting, metrics.backing_off) == (0, 0, 0, 0)
        assert metrics.durations(operation="INSERT").count + metrics.durations(
            operation="SELECT"
        ).count == len(self.users)
        assert len(self.session._context.executor.router.connections()) == 2
        assert self.world.call(self.session.execute, self.select, [7]).scalar() == 7
        self.block.__exit__(None, None, None)


_KNOWN_NOT_EXECUTED = (
    errors.IsBootstrapping,
    errors.InvalidQuery,
    errors.UnpreparedLoop,
    errors.NoNodeAvailable,
    errors.QueueFull,
    errors.ConnectionLost,
    errors.RequestTimeout,
)

quick = settings(
    max_examples=75, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRequests = Requests.TestCase
TestRequests.settings = quick


@pytest.mark.long
def test_requests_for_a_long_time() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    long = settings(quick, max_examples=2000, stateful_step_count=80, derandomize=False)
    run_state_machine_as_test(Requests, settings=long)
