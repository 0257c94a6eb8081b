"""Decides, once, between the compiled modules and their pure twins.

``TRIOCQL_IMPL=cython`` or ``=python`` forces one; without it the compiled modules are used where they import.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

Impl = Literal["cython", "python"]

_COMPILED = ("triocql.protocol._frames", "triocql.codecs._codec", "triocql.engine._hot")


def _choose() -> tuple[Impl, str]:
    forced = os.environ.get("TRIOCQL_IMPL", "")
    if forced not in ("", "cython", "python"):
        raise ImportError(f"TRIOCQL_IMPL is {forced!r}; it can be 'cython', 'python' or unset")
    if forced == "python":
        return "python", "TRIOCQL_IMPL=python"
    # Found, not imported: they import what needs to know the choice.
    missing = [name for name in _COMPILED if find_spec(name) is None]
    if missing and forced:
        raise ImportError(
            f"TRIOCQL_IMPL=cython, but there is no compiled {missing[0]}; "
            "`python -m triocql` says how to build it"
        )
    if missing:
        return "python", f"there is no compiled {missing[0]}"
    return "cython", "TRIOCQL_IMPL=cython" if forced else "the compiled modules are there"


impl: Impl
reason: str
impl, reason = _choose()
compiled = impl == "cython"
