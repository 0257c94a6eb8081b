"""What a program does to the tasks that keep a session: on asyncio it can cancel them, and the session goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

import triocql
from tests.sync.served import Served
from triocql.errors import Error, UsageError
from triocql.reactors import asyncioreactor

PATIENCE = 60.0


def on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


RUNS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"asyncio": asyncio.run, "uvloop": on_uvloop}


def cancel_all() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        assert task is not None
        task.cancel()


@pytest.mark.parametrize("loop", RUNS)
def test_cancelling_all_tasks_leaves_the_session_alive(
    loop: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asyncioreactor, "RESTART_DELAY", 0.01)

    async def main() -> None:
        async with triocql.connect(port=served.port, connections_local=1, reconnection_base=0.01) as session:
            tasks = len(asyncio.all_tasks())
            for _ in range(2):
                cancel_all()
                async with asyncio.timeout(PATIENCE):
                    assert (await session.execute("SELECT 1")).scalar() == "SELECT 1"
                    while len(asyncio.all_tasks()) < tasks:  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
            (connection,) = session._context.executor.router.connections()
            connection.abort(Error("lost"))
            assert (await session.execute("SELECT 2", timeout=PATIENCE)).scalar() == "SELECT 2"

    with Served() as served:
        RUNS[loop](main())
    assert "asyncio.all_tasks" in caplog.text


@pytest.mark.parametrize("loop", RUNS)
def test_cancelling_all_tasks_while_the_program_ends(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with triocql.connect(port=served.port):
            cancel_all()
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with Served() as served:
        RUNS[loop](main())
    assert "all_tasks" not in caplog.text


def test_an_old_uvloop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match=r"uvloop 0\.22\.1 .* install uvloop>=0\.23"):
            await triocql.connect(port=1)

    monkeypatch.setattr(uvloop, "__version__", "0.22.1")
    on_uvloop(main())
