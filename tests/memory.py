"""The memory that Python hands out while something goes on."""

import faulthandler
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class Memory:
    """How much it is, in bytes.

    Attributes:
        highest: the most at a time, known once all is over.
    """

    def __init__(self) -> None:
        self.highest = 0

    @property
    def now(self) -> int:
        """How much it is so far."""
        return tracemalloc.get_traced_memory()[0]


@contextmanager
def traced() -> Iterator[Memory]:
    """Trace memory in the block. From there on, nobody watches whether the test ends.

    Who watches is a thread that pytest starts for each test, and that may be about to begin. It frees memory then, and
    a process in which a thread without the GIL does so while tracing begins ends by a segmentation fault, whatever the
    version of Python.
    """
    faulthandler.cancel_dump_traceback_later()
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
