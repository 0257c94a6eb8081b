"""A tracker that misbehaves: what it ends, and what it keeps (G1, G3 and G5)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

import triocql
from tests.faults.invariants import closed, run
from tests.faults.scene import EVERYWHERE, Call, Scene
from tests.session.test_garbage import no_garbage
from triocql import errors
from triocql.engine.messages import query
from triocql.metadata.node import Node
from triocql.testing.server import ErrorCode, error

Hook = Callable[..., Any]


class Tracker:
    """Keeps what it is called about; each hook does something of its own after that, if it is given something."""

    def __init__(self, **hooks: Hook) -> None:
        self.hooks = hooks
        self.calls: list[tuple[Any, ...]] = []

    def start(self, request: Any) -> Any:
        return self._called("start", request)

    def attempt(self, token: Any, node: Node, seconds: float, error: BaseException | None) -> None:
        self._called("attempt", token, error)

    def retry(self, token: Any, error: Exception) -> None:
        self._called("retry", token, error)

    def finish(self, token: Any, error: BaseException | None) -> None:
        self._called("finish", token, error)

    def _called(self, name: str, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        hook = self.hooks.get(name)
        return None if hook is None else hook(*arguments)

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)


def overloaded(scene: Scene) -> None:
    """Have the next request refused, so that it is tried again."""
    scene.server.when(scene.select.text, times=1).then(error(ErrorCode.OVERLOADED))


HOOKS = pytest.mark.parametrize("hook", ["start", "attempt", "retry", "finish"])


def test_a_request_that_ends_while_it_is_retried_is_not_sent_again() -> None:
    """Its caller may be cancelled by what its tracker does."""
    ended: list[Call] = []
    tracker = Tracker()

    async def row(scene: Scene) -> None:
        tracker.hooks["retry"] = lambda *_: ended[0].abandon()
        overloaded(scene)
        ended.append(scene.read(1))
        await scene.received()
        await scene.sleep(1)
        assert ended[0].abandoned
        executed = [
            entry for entry in scene.server.log if entry.request.text
        ]  # not what was answered UNPREPARED
        assert len(executed) == 1
        assert scene.session.stats()[1:] == (0, 0, 0)
        names = [name for name, *_ in tracker.calls[-3:]]
        assert names == ["attempt", "retry", "finish"]

    run("simulated", row, nodes=2, tracker=tracker)


def test_it_is_told_of_nothing_after_the_end() -> None:
    tracker = Tracker()

    async def row(scene: Scene) -> None:
        call = None

        def end(*_: object) -> None:
            assert call is not None
            call.abandon()

        overloaded(scene)
        tracker.hooks["attempt"] = end
        tracker.calls.clear()
        call = scene.read(1)
        await scene.received()
        await scene.sleep(1)
        assert [name for name, *_ in tracker.calls] == ["start", "attempt", "finish"]
        tracker.hooks.clear()

    run("simulated", row, nodes=2, tracker=tracker)


def test_what_its_token_holds_is_let_go_of_at_the_end() -> None:
    """The request itself, which many a tracker will take, and whatever else a result with more pages would keep."""
    tracker = Tracker(start=lambda request: request)

    async def row(scene: Scene) -> None:
        await scene.session.execute(scene.select, [1])
        call = await scene.read(2).wait()
        assert call.execution is not None
        assert call.execution.token is None
        tracker.calls.clear()
        with no_garbage():
            await scene.session.execute(scene.select, [3])
            tracker.calls.clear()

    run("simulated", row, tracker=tracker)


def _too_long(*_: object) -> NoReturn:
    raise errors.UsageError("too long")


async def text_too_long(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(query.QueryMessage, "body", _too_long)
    await scene.session.execute("SELECT k FROM ks.t")


async def text_of_another_page(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    await scene.session.execute("SELECT k FROM ks.t", paging_state=b"no such")


async def bound_of_another_page(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    await scene.session.execute(scene.select.bind(1), paging_state=b"no such")


async def batch_of_nonsense(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    batch = triocql.Batch()
    batch.add(scene.insert, ["no number"])
    patch.setattr(type(scene.session._context.executor), "can_ask", lambda *_: False)
    await scene.session.execute(batch)


Start = Callable[[Scene, pytest.MonkeyPatch], Any]


@pytest.mark.parametrize(
    "start", [text_too_long, text_of_another_page, bound_of_another_page, batch_of_nonsense]
)
def test_what_it_is_told_to_begin_ends_even_if_it_cannot_be_sent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker()

    async def row(scene: Scene) -> None:
        tracker.calls.clear()
        with pytest.raises(errors.UsageError):
            await start(scene, monkeypatch)
        monkeypatch.undo()
        assert tracker.count("start") == tracker.count("finish")
        assert all(isinstance(call[2], errors.UsageError) for call in tracker.calls if call[0] == "finish")

    run("simulated", row, tracker=tracker)


def test_a_log_that_fails_is_nothing_to_a_request() -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> NoReturn:
            raise LookupError("no log")

    def fail(*_: object) -> NoReturn:
        raise LookupError("mine")

    logger, handler = logging.getLogger("triocql.observability.tracker"), Failing()
    logger.addHandler(handler)
    try:

        async def row(scene: Scene) -> None:
            assert (await scene.session.execute(scene.select, [1])).scalar() == 1

        run("simulated", row, tracker=Tracker(finish=fail))
    finally:
        logger.removeHandler(handler)


@EVERYWHERE
@HOOKS
def test_it_may_close_the_session(loop: str, hook: str) -> None:
    """The request ends with its answer, if that had come, or because of that."""
    tracker = Tracker()

    async def row(scene: Scene) -> None:
        if hook != "finish":
            overloaded(scene)
        tracker.calls.clear()
        tracker.hooks[hook] = lambda *_: scene.session._context.cluster.close()
        call = await scene.read(1).wait()
        closed = errors.SessionClosed
        # The first attempt may have been answered UNPREPARED: there is no other one then.
        ends: dict[str, Any] = {"start": closed, "attempt": (errors.Overloaded, closed), "retry": closed}
        assert call.value == 1 if hook == "finish" else isinstance(call.error, ends[hook])
        assert tracker.count("start") == tracker.count("finish") == 1

    run(loop, row, nodes=2, check=closed, tracker=tracker)
