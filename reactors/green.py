"""Green threads: what computes for long goes to a thread of the operating system, so that the others go on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from .pollers import threads_are_green

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def beside_green_threads(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function returns, or raise what it raises; while it computes, other green threads run.

    It must not do what is patched, such as to wait. Without a patch it is called here: other threads run anyway.
    """
    if not threads_are_green():
        return fn(*args, **kwargs)
    if gevent := sys.modules.get("gevent"):
        return gevent.get_hub().threadpool.apply(fn, args, kwargs)  # type: ignore[no-any-return]
    from eventlet import tpool

    return tpool.execute(fn, *args, **kwargs)  # type: ignore[no-any-return]
