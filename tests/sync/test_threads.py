"""Many threads with one session: every answer its own."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sync.served import INSERT, SELECT, session

THREADS = 32


@pytest.mark.parametrize("requests", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_echo(requests: int) -> None:
    """So many of each."""
    with session() as (served, s), ThreadPoolExecutor(THREADS) as pool:
        served.node.remember = False
        select = s.prepare(SELECT)
        together = threading.Barrier(THREADS)

        def work(number: int) -> int:
            together.wait()
            wanted = range(number * requests, (number + 1) * requests)
            return sum(s.execute(select, [each]).scalar() == each for each in wanted)

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # threads take turns in the middle of everything
        try:
            assert list(pool.map(work, range(THREADS))) == [requests] * THREADS
        finally:
            sys.setswitchinterval(before)
        assert s.stats() == (1, 0, 0, 0)


def test_every_call_at_once() -> None:
    """Each thread does something else, while another one cancels."""
    with session() as (served, s), ThreadPoolExecutor(8) as pool:
        served.node.pages["SELECT p"] = [[number] for number in range(20)]
        select, insert = s.prepare(SELECT), s.prepare(INSERT)

        def futures() -> bool:
            pending = [s.execute_async(select, [number]) for number in range(300)]
            for future in pending[::3]:
                future.cancel()
            return all(f.cancelled() or f.result().scalar() == n for n, f in enumerate(pending))

        def pages() -> bool:
            return all([row.v for row in s.execute("SELECT p")] == list(range(20)) for _ in range(10))

        def many() -> bool:
            return (
                len(s.execute_concurrent_with_args(insert, ([number] for number in range(1000)), 50)) == 1000
            )

        def stream() -> bool:
            with s.stream_concurrent([(select, [number]) for number in range(500)]) as outcomes:
                return [outcome.result_or_exc.scalar() for outcome in outcomes] == list(range(500))

        working = [pool.submit(work) for work in (futures, pages, many, stream) * 2]
        assert all(each.result(60) for each in working)
        s.stats()
        assert s.stats()[:3] == (1, 0, 0)
