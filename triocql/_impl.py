"""Decides, once, between the compiled modules and their pure twins.

``TRIOCQL_IMPL=cython`` or ``=python`` forces one; without it the compiled modules are used where they import.
"""

from __future__ import annotations

import os
from importlib.util import find_spec, module_from_spec
from typing import Literal

Impl = Literal["cython", "python"]

_COMPILED = (
    "triocql.protocol._frames",
    "triocql.codecs._node",
    "triocql.codecs._rows",
    "triocql.codecs._bind",
    "triocql.engine._hot",
)


def _choose() -> tuple[Impl, str]:
    forced = os.environ.get("TRIOCQL_IMPL", "")
    if forced not in ("", "cython", "python"):
        raise ImportError(f"TRIOCQL_IMPL is {forced!r}; it can be 'cython', 'python' or unset")
    if forced == "python":
        return "python", "TRIOCQL_IMPL=python"
    obstacle = next(filter(None, map(_obstacle, _COMPILED)), None)
    if obstacle and forced:
        raise ImportError(
            f"TRIOCQL_IMPL=cython, but {obstacle}; `TRIOCQL_IMPL= python -m triocql` says how to build it"
        )
    if obstacle:
        return "python", obstacle
    return "cython", "TRIOCQL_IMPL=cython" if forced else "the compiled modules are there"


def _obstacle(name: str) -> str | None:
    """Return why a compiled module cannot be used: it is not there, or cannot be loaded, as in a subinterpreter.

    It is loaded, but not run: it imports what needs to know the choice.
    """
    spec = find_spec(name)
    if spec is None:
        return f"there is no compiled {name}"
    try:
        module_from_spec(spec)
    except ImportError as error:
        return f"the compiled {name} cannot be loaded: {error}"
    return None


impl: Impl
reason: str
impl, reason = _choose()
compiled = impl == "cython"
