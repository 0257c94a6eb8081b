"""Decides, once, between the compiled modules and their pure twins.

``TRIOCQL_IMPL=cython`` or ``=python`` forces one; without it the compiled modules are used where they import.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Literal

Impl = Literal["cython", "python"]

_COMPILED = ("triocql.protocol._frames", "triocql.codecs._codec")


def _choose() -> tuple[Impl, str]:
    forced = os.environ.get("TRIOCQL_IMPL", "")
    if forced not in ("", "cython", "python"):
        raise ImportError(f"TRIOCQL_IMPL is {forced!r}; it can be 'cython', 'python' or unset")
    if forced == "python":
        return "python", "TRIOCQL_IMPL=python"
    try:
        for name in _COMPILED:
            import_module(name)
    except ImportError as error:
        if forced:
            raise ImportError(
                f"TRIOCQL_IMPL=cython, but the compiled modules cannot be imported ({error}); "
                "`python -m triocql` says how to build them"
            ) from error
        return "python", f"the compiled modules are not there ({error})"
    return "cython", "TRIOCQL_IMPL=cython" if forced else "the compiled modules are there"


impl: Impl
reason: str
impl, reason = _choose()
compiled = impl == "cython"
