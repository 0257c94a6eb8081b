"""Calls what is compiled as nobody should: on objects that no constructor has seen, and with what
does not fit. `python -m tests.oddities` says what it is about to do, as that may be the last that it says.
"""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from triocql._impl import _COMPILED

VALUES: tuple[object, ...] = (None, 0, -1, 10**9, b"", (), [], object())
ARGUMENTS: tuple[object, ...] = (None, 0, -1, 10**9, b"")
FUNCTIONS: tuple[Callable[[Any], object], ...] = (
    *(repr, hash, len, bool, list, bytes, memoryview, dir),
    *(copy.copy, copy.deepcopy, pickle.dumps, weakref.ref),
)


def compiled() -> Iterator[Any]:
    """Yield the compiled classes."""
    for module in _COMPILED:
        for found in vars(importlib.import_module(module)).values():
            if isinstance(found, type) and found.__module__ == module:
                yield found


def oddities(cls: Any) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """Yield what can be done to an object of a class, and how."""
    for function in FUNCTIONS:
        yield function.__name__, function
    for name in dir(cls):
        yield f"del .{name}", partial(_delete, name)
        for value in VALUES:
            yield f".{name} = {value!r}", partial(_set, name, value)
        for count in range(7):
            for value in ARGUMENTS:
                yield f".{name}{(value,) * count}", partial(_call, name, (value,) * count)


def _delete(name: str, made: Any) -> None:
    delattr(made, name)


def _set(name: str, value: object, made: Any) -> None:
    setattr(made, name, value)


def _call(name: str, given: tuple[object, ...], made: Any) -> None:
    getattr(made, name)(*given)


def main() -> None:
    """Do all of it."""
    for cls in compiled():
        with suppress(TypeError):  # its constructor has to be called
            cls.__new__(cls)
            for what, do in oddities(cls):
                print(f"{cls.__module__}.{cls.__name__}: {what}", file=sys.stderr)
                with suppress(Exception):
                    do(cls.__new__(cls))


if __name__ == "__main__":
    main()
