"""Whoever is told of an outcome may do anything: each request ends once all the same, and none is sent again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World, check
from triocql import Batch, errors
from triocql.protocol.constants import Opcode
from triocql.session.session import Session

SIZES: dict[str, Any] = {"max_in_flight": 4, "max_orphans": 2, "max_queue": 6, "timeout": 10.0}
TIMEOUTS = st.sampled_from([0.5, 3.0, 10.0])


class User:
    """A sink that does its deed when it is told."""

    def __init__(self, play: Play, token: int, reads: bool, deed: Deed) -> None:
        self.token = token
        self.reads = reads
        self.outcomes: list[Any] = []
        self.request: Any = None
        self.abandoned = False
        self.raises = False
        self._play = play
        self._deed: Deed | None = deed

    def resolve(self, value: Any) -> None:
        self._told(value)

    def reject(self, error: BaseException) -> None:
        assert isinstance(error, errors.Error), repr(error)
        self._told(error)

    def _told(self, outcome: Any) -> None:
        self.outcomes.append(outcome)
        deed, self._deed = self._deed, None
        if deed is not None:
            deed(self._play, self)

    def abandon(self) -> None:
        self.abandoned = True
        if self.request is not None:
            self.request.abandon()


Deed = Callable[["Play", User], None]
Step = Callable[["Play"], None]


class Play:
    """A session with two nodes that answer when they are told to, and its users."""

    def __init__(self, world: World, session: Session) -> None:
        self.world = world
        self.session = session
        self.users: list[User] = []
        self.held: list[Asked] = []
        self.closed = False
        self.insert = world.call(session.prepare, INSERT)
        self.select = world.call(session.prepare, SELECT)
        self.executed: Counter[int] = Counter()
        self.healed = False
        for node in world.nodes:
            node.script = self._hold

    def _hold(self, asked: Asked) -> bool:
        if asked.opcode not in (Opcode.EXECUTE, Opcode.PREPARE, Opcode.BATCH):
            return False
        if asked.opcode == Opcode.EXECUTE:
            self.executed[asked.token] += 1
        self.held.append(asked)
        if self.healed:
            self.answer(len(self.held), unprepared=False)
        return True

    def start(self, kind: str, timeout: float, deed: Deed) -> None:
        """Have one more user start a request."""
        user = User(self, len(self.users), kind == "select", deed)
        self.users.append(user)
        try:
            user.request = self._start(user, kind, timeout)
        except errors.SessionClosed:
            assert self.closed
            user.abandoned = True
        if user.abandoned:
            user.abandon()

    def _start(self, user: User, kind: str, timeout: float) -> Any:
        executor, token = self.session._context.executor, user.token
        call = self.session._context.call_options({"timeout": timeout})
        text = f"INSERT INTO text{token % 2} (k) VALUES (?)"
        if kind == "prepare":
            return executor.prepare(user, text, None, timeout)
        if kind == "batch":
            batch = Batch()
            batch.add(text, [token])
            batch.add(INSERT, [token])
            return executor.start(user, batch, None, call)
        statement = {"insert": self.insert, "select": self.select, "text": text}[kind]
        return executor.start(user, statement, [token], call)

    def answer(self, count: int, *, unprepared: bool) -> None:
        """Have the nodes answer the first of what they hold."""
        held, self.held = self.held[:count], self.held[count:]
        for asked in held:
            unknown = asked.id not in asked.link.node.known
            if asked.opcode == Opcode.EXECUTE and (unprepared or unknown):
                self.executed[asked.token] -= 1
                asked.unprepared()
            elif asked.opcode == Opcode.PREPARE and unprepared:
                asked.error(0x2200, "refused")
            else:
                asked.respond()

    def close(self) -> None:
        """Close the session at once."""
        self.closed = True
        self.session._context.cluster.close()


# --- What those who are told do, and what befalls them ----------------------------------------------------------

KINDS = st.sampled_from(["insert", "select", "text", "batch", "prepare"])


def _nothing(_play: Play, _user: User) -> None:
    pass


def _raising(kind: type[Exception]) -> Deed:
    def deed(_play: Play, user: User) -> None:
        user.raises = True
        raise kind("told")

    return deed


def _abandoning(step: int) -> Deed:
    def deed(play: Play, user: User) -> None:
        for other in play.users[::step]:
            if other is not user:
                other.abandon()

    return deed


def _starting(kind: str) -> Deed:
    def deed(play: Play, _user: User) -> None:
        for _ in range(2):
            play.start(kind, 1.0, _nothing)

    return deed


def _closing(play: Play, _user: User) -> None:
    play.close()


def _resetting(play: Play, _user: User) -> None:
    for connection in play.session._context.executor.router.connections():
        connection.abort(errors.ConnectionLost("by a sink"))


DEEDS = st.one_of(
    st.just(_nothing),
    st.builds(_raising, st.sampled_from([RuntimeError, MemoryError, RecursionError, errors.ProtocolError])),
    st.builds(_abandoning, st.integers(1, 3)),
    st.builds(_starting, KINDS),
    st.just(_resetting),
    st.sampled_from([_nothing, _nothing, _closing]),
)


def _start(kind: str, timeout: float, deeds: list[Deed]) -> Step:
    def step(play: Play) -> None:
        for deed in deeds:
            play.start(kind, timeout, deed)

    return step


def _answer(count: int, unprepared: bool) -> Step:
    return lambda play: play.answer(count, unprepared=unprepared)


def _reset(node: int) -> Step:
    return lambda play: play.world.listeners[node].accepted[-1].reset()


def _garbage(node: int) -> Step:
    return lambda play: play.world.nodes[node].links[-1].send_raw(b"garbage that is no frame")


def _reach(node: int, refuse: bool) -> Step:
    return lambda play: setattr(play.world.listeners[node], "refuse", refuse)


def _wait(seconds: float) -> Step:
    return lambda play: play.world.reactor.advance(seconds)


def _settle(play: Play) -> None:
    play.world.settle()


NODES = st.integers(0, 1)
STEPS = st.one_of(
    st.builds(_start, KINDS, TIMEOUTS, st.lists(DEEDS, min_size=1, max_size=5)),
    st.builds(_answer, st.integers(1, 6), st.booleans()),
    st.builds(_reset, NODES),
    st.builds(_garbage, NODES),
    st.builds(_reach, NODES, st.booleans()),
    st.builds(_wait, st.sampled_from([0.1, 1.0, 5.0])),
    st.just(_settle),
)


def _run(steps: list[Step], seed: int) -> None:
    world = World(count=2, seed=seed, **SIZES)
    with world.session() as session:
        play = Play(world, session)
        for step in steps:
            step(play)
            check(session)
        _heal(play)
        for user in play.users:
            told = len(user.outcomes)
            assert told == 1 or (told == 2 and user.raises) or (told == 0 and user.abandoned), user.outcomes
        assert [
            user.token for user in play.users if play.executed[user.token] > (9 if user.reads else 1)
        ] == []
        router = session._context.executor.router
        assert (len(router.queue), len(router.waiting)) == (0, 0)
        assert not any(connection.in_flight for connection in router.connections())
        if play.closed:
            assert isinstance(router.ending, errors.SessionClosed)
        else:
            assert router.ending is None
            assert world.call(session.execute, play.select, [7]).scalar() == 7
            assert [len(pool.connections) for pool in router.pools] == [1, 1]


def _heal(play: Play) -> None:
    for listener in play.world.listeners:
        listener.refuse = False
    play.healed = True
    play.answer(len(play.held), unprepared=False)
    play.world.reactor.advance(90)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is raised by those who are told is logged, over and over."""
    logger = logging.getLogger("triocql.engine.requests.telling")
    logger.disabled = True
    yield
    logger.disabled = False


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(steps=st.lists(STEPS, min_size=3, max_size=14), seed=st.integers(0, 1000))
def test_whatever_they_do_who_are_told(steps: list[Step], seed: int) -> None:
    _run(steps, seed)


@pytest.mark.long
@settings(QUICK, max_examples=5000, derandomize=False)
@given(steps=st.lists(STEPS, min_size=3, max_size=30), seed=st.integers(0, 1000))
def test_whatever_they_do_who_are_told_for_a_long_time(steps: list[Step], seed: int) -> None:
    _run(steps, seed)
