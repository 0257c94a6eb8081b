"""Calls in which the stack or the memory ends: at each call of a function, or wherever a recursion finds itself."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import triocql
import triocql.reactors

T = TypeVar("T")

OURS = tuple(str(Path(package.__path__[0]).resolve()) for package in (triocql, triocql.reactors))
LEVELS = 150
"""How many calls a recursion is deep, beyond what the loops themselves need."""


class Failing:
    """Raises an error at the `at`-th call that triocql makes, in the thread that it is entered in.

    Attributes:
        count: how many calls there were.
    """

    def __init__(self, at: float, error: type[Exception]) -> None:
        self.count = 0
        self._at = at
        self._error = error

    def __enter__(self) -> None:
        gc.disable()  # a collection calls what others have registered for it, as if triocql did
        sys.setprofile(self._called)

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _called(self, frame: FrameType, event: str, _argument: object) -> None:
        caller = frame.f_back
        if event == "call" and caller is not None and caller.f_code.co_filename.startswith(OURS):
            self.count += 1
            if self.count - 1 == self._at:
                raise self._error


class Shallow:
    """Leaves `extra` levels of the stack."""

    def __init__(self, extra: int) -> None:
        self._extra = extra
        self._limit = sys.getrecursionlimit()

    def __enter__(self) -> None:
        self._limit = sys.getrecursionlimit()
        sys.setrecursionlimit(depth() + self._extra)

    def __exit__(self, *exc: object) -> None:
        sys.setrecursionlimit(self._limit)


def depth() -> int:
    """Return how deep the caller is, the frames of C included: no lower limit can be set."""
    before = sys.getrecursionlimit()
    low, high = 1, before
    while low < high:
        middle = (low + high) // 2
        try:
            sys.setrecursionlimit(middle)
        except RecursionError:
            low = middle + 1
        else:
            high = middle
    sys.setrecursionlimit(before)
    return low


class Within:
    """An awaitable that runs the steps of a coroutine in a context."""

    def __init__(self, context: Failing | Shallow, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._context = context
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                with self._context:
                    trap = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            value, error = None, None
            try:
                value = yield trap
            except BaseException as thrown:
                error = thrown


async def recursing(make: Callable[[], Coroutine[Any, Any, T]], extra: int, levels: int = LEVELS) -> T:
    """Await what `make` makes, deep down, with `extra` levels left."""
    if levels:
        return await recursing(make, extra, levels - 1)
    result: T = await Within(Shallow(extra), make())
    return result


def calling(call: Callable[[], T], extra: int, levels: int = LEVELS) -> T:
    """Call a function, deep down, with `extra` levels left."""
    if levels:
        return calling(call, extra, levels - 1)
    with Shallow(extra):
        return call()
