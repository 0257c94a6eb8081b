"""A CQL server of canned answers in a process of its own, fast enough that a benchmark measures its client.

It holds no data: an INSERT gets VOID, a SELECT gets rows of values that depend on the names of the columns.
It speaks v4 and v5, with LZ4 if asked, and shares no code with the driver.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.benchmarks import child, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def running(nodes: int = 1) -> Iterator[int]:
    """Run a server while the block lasts; the value is the port its nodes listen on, at 127.0.0.1 and following."""
    compiled.load("server/wire")
    with child.running(child.SERVER, str(nodes)) as (_, stdout):
        line = stdout.readline()
        if not line:
            raise RuntimeError("the benchmark server did not start; its stderr says why")
        yield int(line)
