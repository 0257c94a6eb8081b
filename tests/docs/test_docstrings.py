"""The examples in docstrings, except those that need a node: these are marked SKIP."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import triocql

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(triocql.__path__, "triocql.")
    if not module.name.endswith("__main__") and ".reactors.reactors" not in module.name
)


@pytest.mark.parametrize("name", ["triocql", *MODULES])
def test_examples(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0
