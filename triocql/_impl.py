"""Decides, once, between the compiled modules and their pure twins.

``TRIOCQL_IMPL=cython`` or ``=python`` forces one; without it the compiled modules are used where they import.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Literal

Impl = Literal["cython", "python"]

_COMPILED = (
    "triocql.protocol._frames",
    "triocql.protocol._segments",
    "triocql.codecs._node",
    "triocql.codecs._rows",
    "triocql.codecs._bind",
    "triocql.codecs.columns._batches",
    "triocql.codecs._routing",
    "triocql.metadata._murmur3",
    "triocql.observability._meter",
    "triocql.metadata._placement",
    "triocql.metadata._ring",
    "triocql.metadata._tablets",
    "triocql.policies._timestamps",
    "triocql.engine.requests._request",
    "triocql.engine.requests._kept",
    "triocql.engine.connections._streams",
    "triocql.engine.messages._message",
    "triocql.engine.routing._route",
    "triocql.engine.executing._execution",
    "triocql.engine.executing._template",
    "triocql.engine.executing._window",
    "triocql.reactors._asynciowaiter",
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

    It is looked for where it has to be, not by its package, which needs to know the choice; and is loaded, but not
    run, for the same reason.
    """
    stem = Path(__file__).parent.joinpath(*name.split(".")[1:])
    found = [path for suffix in EXTENSION_SUFFIXES if (path := stem.with_name(stem.name + suffix)).exists()]
    if not found:
        return f"there is no compiled {name}"
    spec = spec_from_file_location(name, found[0])
    assert spec is not None, "it is a file with the suffix of extension modules"
    try:
        module_from_spec(spec)
    except ImportError as error:
        return f"the compiled {name} cannot be loaded: {error}"
    return None


impl: Impl
reason: str
impl, reason = _choose()
compiled = impl == "cython"
