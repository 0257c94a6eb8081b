"""Waiting until all nodes have the same schema: one task looks for all who wait, and nobody waits too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from uuid import UUID

import pytest

from triocql.abc import Address
from triocql.cluster.agreement import Agreement, versions_agree
from triocql.errors import ConnectionLost
from triocql.metadata.node import Node, NodeState
from triocql.testing.simulated import SimTask, SimulatedReactor

OLD, NEW = UUID(int=1), UUID(int=2)


def node(number: int, state: NodeState = NodeState.UP) -> Node:
    made = Node(Address(f"10.0.0.{number}", 9042))
    made.host_id, made.state = UUID(int=100 + number), state
    return made


# --- The versions ------------------------------------------------------------------------------------------------

A, B, DOWN, UNSEEN = node(1), node(2), node(3, NodeState.DOWN), node(4, NodeState.UNKNOWN)
REFUSED, GONE = node(5, NodeState.FORCED_DOWN), node(6)
NODES = (A, B, DOWN, UNSEEN, REFUSED)


@pytest.mark.parametrize(
    ("local", "peers", "agree"),
    [
        (NEW, {}, True),
        (NEW, {A: NEW, B: NEW}, True),
        (NEW, {A: NEW, B: OLD}, False),
        (NEW, {A: OLD, B: OLD}, False),
        (OLD, {A: NEW}, False),
        (NEW, {A: NEW, B: None}, True),
        (None, {A: NEW, B: NEW}, True),
        (None, {A: NEW, B: OLD}, False),
        (None, {A: None}, True),
        (None, {}, True),
        (NEW, {A: NEW, DOWN: OLD}, True),
        (NEW, {A: NEW, REFUSED: OLD}, True),
        (NEW, {A: NEW, UNSEEN: OLD}, False),
        (NEW, {A: NEW, GONE: OLD}, True),
        (NEW, {A: NEW, None: OLD}, True),
    ],
)
def test_whose_versions_count(local: UUID | None, peers: dict[Node | None, UUID | None], agree: bool) -> None:
    told = [(None if each is None else each.host_id, version) for each, version in peers.items()]
    assert versions_agree(local, told, NODES) is agree


def test_nodes_of_which_no_identity_is_known_do_not_count() -> None:
    nameless = Node(Address("10.0.0.9", 9042))
    assert versions_agree(NEW, [(None, OLD)], (nameless,))


# --- Waiting for it ------------------------------------------------------------------------------------------------


class Scene:
    """An agreement whose looks are scripted; they take no time unless they are held."""

    def __init__(self, *, level: bool = False) -> None:
        self.reactor = SimulatedReactor(level=level)
        self.looks: list[float] = []
        self.answer: Callable[[], Awaitable[bool] | bool] = lambda: True
        self.agreement = Agreement(self.reactor, self.look)

    async def look(self) -> bool:
        self.looks.append(self.reactor.now())
        answer = self.answer()
        return answer if isinstance(answer, bool) else await answer

    def start(self, seconds: float = 10.0) -> SimTask[bool]:
        task = self.reactor.start(lambda: self.agreement.wait(seconds))
        self.reactor.settle()
        return task

    def wait(self, seconds: float = 10.0) -> bool:
        return self.reactor.run(lambda: self.agreement.wait(seconds))

    def check_idle(self) -> None:
        """Nothing may be left of it, neither tasks nor timers."""
        self.reactor.settle()
        assert self.reactor.tasks == set()


def lost() -> bool:
    raise ConnectionLost("gone")


def test_at_once_where_they_agree() -> None:
    scene = Scene()
    assert scene.wait()
    assert scene.wait()
    assert scene.looks == [0, 0]
    scene.check_idle()


@pytest.mark.parametrize("answer", [lambda: False, lost], ids=["never agree", "cannot be asked"])
def test_until_the_bound_with_pauses_that_grow(answer: Callable[[], bool]) -> None:
    scene = Scene()
    scene.answer = answer
    assert not scene.wait(2.0)
    assert scene.reactor.now() == 2.0
    assert scene.looks == pytest.approx([0, 0.05, 0.15, 0.35, 0.75, 1.25, 1.75])
    scene.check_idle()


def test_until_they_agree() -> None:
    scene = Scene()
    answers = iter([False, False, True])
    scene.answer = lambda: next(answers)
    assert scene.wait(inf)
    assert scene.reactor.now() == pytest.approx(0.15)
    scene.check_idle()


def test_many_share_the_looks() -> None:
    scene = Scene()
    scene.answer = lambda: scene.reactor.now() > 1
    waiting = [scene.start(seconds) for seconds in (0.5, 5.0, 5.0, 5.0)]
    for _ in range(100):
        scene.reactor.advance(0.001)
        waiting.append(scene.start())
    scene.reactor.advance(2.0)
    assert [task.result() for task in waiting] == [False] + [True] * 103
    assert len(scene.looks) < 10
    scene.check_idle()


def test_whoever_comes_while_it_looks_is_served_by_the_next_look() -> None:
    """What that look has seen may be older than the change of the one who came."""
    scene = Scene()
    held = scene.reactor.waiter(lambda: None)
    scene.answer = held.wait
    first = scene.start()
    scene.answer = lambda: False
    second = scene.start()
    held.resolve(True)
    scene.reactor.settle()
    assert first.result()
    assert not second.done
    scene.answer = lambda: True
    scene.reactor.advance(0.05)
    assert second.result()
    scene.check_idle()


def test_what_happens_wakes_it_but_not_without_end() -> None:
    scene = Scene()
    scene.answer = lambda: False
    task = scene.start()
    scene.reactor.advance(2.0)
    before = len(scene.looks)
    for _ in range(1000):
        scene.agreement.wake()
        scene.reactor.advance(0.0001)
    assert len(scene.looks) - before in (1, 2)
    scene.answer = lambda: True
    scene.agreement.wake()
    scene.reactor.advance(0.05)
    assert task.result()
    scene.agreement.wake()
    scene.check_idle()


@pytest.mark.parametrize("level", [False, True])
def test_a_caller_who_is_cancelled_takes_nothing_from_the_others(level: bool) -> None:
    scene = Scene(level=level)
    held = scene.reactor.waiter(lambda: None)
    scene.answer = held.wait
    first, second = scene.start(), scene.start()
    first.cancel()
    scene.reactor.settle()
    assert first.cancelled
    held.resolve(True)
    scene.reactor.settle()
    scene.answer = lambda: True
    scene.reactor.settle()
    assert second.result()
    scene.check_idle()


def test_the_task_ends_with_the_last_caller() -> None:
    scene = Scene()
    scene.answer = lambda: False
    task = scene.start()
    task.cancel()
    scene.check_idle()
    scene.answer = lambda: True
    assert scene.wait()


def test_a_task_that_the_program_cancels_goes_on() -> None:
    scene = Scene()
    scene.answer = lambda: scene.reactor.now() > 0.5
    task = scene.start()
    for each in list(scene.reactor.tasks):
        if each is not task:
            each.cancel()
    scene.reactor.settle()
    second = scene.start()
    scene.reactor.advance(10.0)
    assert (task.result(), second.result()) == (scene.looks[-1] < 10, True)


def test_the_end_of_the_session() -> None:
    scene = Scene()
    scene.answer = lambda: False
    task = scene.start()
    scene.agreement.close()
    scene.reactor.settle()
    assert not task.result()
    assert not scene.wait()
    scene.agreement.close()
    scene.check_idle()
