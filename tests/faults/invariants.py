"""What holds after every fault, whatever it was: the checks G1 to G7 of each row.

- G1: each call has ended, by its deadline, with exactly one outcome, which is an error of ours if it is none;
- G2: each answer is that of its own request;
- G3: no request is under way, no stream id is lost, tasks, files and connections are as many as before;
- G4: a probe succeeds within two seconds, on the same session;
- G5: no background task has failed, and nothing was raised but to its caller;
- G6: what is held in memory has a bound, where a row names one (`peak`);
- G7: no write that is not idempotent was executed twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.engine.world import check_ids
from tests.faults.scene import INSERT, SCHEMA, Play, Row, Scene, run_on
from tests.memory import traced
from triocql import Error
from triocql.testing.server import CqlServer
from triocql.testing.simulated import SimulatedReactor

SLACK = 0.25
"""Seconds that a deadline may be passed by: the coarseness of the sweep."""

BUSY = 10.0
"""The same where time is real, and the machine may be busy; also what a probe may take there and everywhere."""

PROBE = 424_242


def run(
    loop: str,
    row: Row,
    *,
    nodes: int = 1,
    before: Row | None = None,
    server: dict[str, Any] | None = None,
    check: Row | None = None,
    **options: Any,
) -> None:
    """Run a row with `nodes` nodes and check the invariants after it.

    Args:
        loop: where: "simulated", "trio", "asyncio" or "thread".
        row: the row: what goes wrong, and what is expected of it in particular.
        nodes: how many nodes the server has.
        before: what goes on before the session is opened.
        server: other arguments of `CqlServer`.
        check: what is checked instead of `as_before`: `closed` if the row closes the session.
        options: those of the session.
    """
    arguments: dict[str, Any] = {"schema": SCHEMA, "unprimed": "echo", **(server or {})}
    run_on(loop, Play(CqlServer(nodes, **arguments), options, before, row, check or as_before))


async def as_before(scene: Scene) -> None:
    """Check all invariants; the row's faults are healed first."""
    _calls_ended(scene)
    heal(scene)
    await _probe(scene)
    await _at_baseline(scene)
    assert scene.session._context.executor.router.ending is None
    _executed_once(scene)


async def closed(scene: Scene) -> None:
    """Check what has to hold of a session that was closed: all but G4."""
    _calls_ended(scene)
    assert scene.session.stats() == (0, 0, 0, 0)
    await scene.until(lambda: not scene.server.connections)
    _executed_once(scene)


def _calls_ended(scene: Scene) -> None:
    """G1 and G2."""
    slack = SLACK if scene.virtual else BUSY
    for call in scene.calls:
        assert len(call.outcomes) == (0 if call.abandoned and not call.done else 1), call.outcomes
        if not call.done:
            continue
        assert call.ended <= call.deadline + slack
        (outcome,) = call.outcomes
        if isinstance(outcome, Exception):
            assert isinstance(outcome, Error), repr(outcome)
        elif call.reads:
            assert call.value == call.token


def heal(scene: Scene) -> None:
    """Have the nodes do what they should, from now on; connections that were silenced for ever remain so."""
    scene.server.rules.clear()
    for node in scene.server.nodes:
        node.hang_up = False
        node.heal()
        node.start()


async def _probe(scene: Scene) -> None:
    """G4."""
    began = scene.now()
    probe = await scene.read(PROBE, timeout=BUSY).wait()
    assert probe.value == PROBE
    assert scene.now() - began <= BUSY


async def _at_baseline(scene: Scene) -> None:
    """G3; files, and tasks where time is real, are counted once all is closed."""
    session = scene.session
    await scene.whole()
    await scene.until(lambda: session.stats()[1:3] == (0, 0))
    for connection in scene.connections:
        check_ids(connection, session._context.cluster.options.connection.max_in_flight)
    reactor = session._context.reactor
    if isinstance(reactor, SimulatedReactor):
        await scene.sleep(70)
        names = Counter(task.name for task in reactor.tasks)
        assert names["PoolRefiller.run"] == len(scene.server.nodes)
        assert names["Control.run"] == 1
        assert names["Heartbeat.run"] == len(scene.connections) + 1  # of the control connection, too


def _executed_once(scene: Scene) -> None:
    """G7."""
    tokens = executions(scene.server)
    for call in scene.calls:
        if not (call.reads or call.idempotent):
            assert tokens[call.token] <= 1, call.token


def executions(server: CqlServer) -> Counter[int]:
    """Return how often each INSERT was executed, by its token."""
    return Counter(entry.values[0] for entry in server.log.find(INSERT))


@contextmanager
def peak(most: int) -> Iterator[None]:
    """Fail if more than `most` bytes are allocated at a time in the block (G6)."""
    with traced() as memory:
        yield
    assert memory.highest <= most, f"{memory.highest:,} bytes"
