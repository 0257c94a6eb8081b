"""The public names: what importing them costs, and that each is documented."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import triocql
from tests.engine.world import World
from tests.sync.served import session as blocking

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "reference").glob("*.md")))
ERRORS = [
    name
    for name, value in vars(triocql.errors).items()
    if inspect.isclass(value) and issubclass(value, triocql.Error)
]


def test_importing_loads_no_event_loop_and_no_tls() -> None:
    """They are loaded when they are used: programs on Trio never load asyncio, nor the other way round."""
    program = (
        "import sys, triocql; "
        "print(*{'trio', 'asyncio', 'anyio', 'ssl', 'socket', 'numpy', 'pytest'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == []


def test_all_of_it_is_listed() -> None:
    program = "import triocql; print(*{*triocql.__all__, 'sync', '__version__'} - {*dir(triocql)})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_all_is_sorted() -> None:
    """Constants, then classes, then functions; each kind by the alphabet."""
    names = triocql.__all__
    assert list(names) == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))


@pytest.mark.parametrize("name", triocql.__all__)
def test_each_name_is_documented(name: str) -> None:
    value = getattr(triocql, name)
    assert inspect.getdoc(value) or name.isupper()
    assert re.search(rf":: triocql\.{name}$", REFERENCE, re.MULTILINE), f"{name} is not in docs/reference"


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_is_documented(name: str) -> None:
    assert getattr(triocql.errors, name).__doc__


@pytest.mark.parametrize(
    "name", [name for name in triocql.__all__ if inspect.isclass(getattr(triocql, name))]
)
def test_each_public_method_is_documented(name: str) -> None:
    missing = [
        member
        for member, value in vars(getattr(triocql, name)).items()
        if not member.startswith("_") and _has_own_doc(value) and not inspect.getdoc(value)
    ]
    assert not missing


def _has_own_doc(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))


SESSION = {
    "codecs",
    "describe",
    "events",
    "execute",
    "execute_concurrent",
    "execute_concurrent_with_args",
    "health",
    "keyspace",
    "metadata",
    "prepare",
    "protocol_version",
    "refresh_schema",
    "scan",
    "schema_agreement",
    "metrics",
    "stats",
    "stream",
    "stream_concurrent",
}


def test_sessions_have_no_other_names_than_those_for_users() -> None:
    with World().session() as waits, blocking() as (_, blocks):
        assert _public(waits) == SESSION | {"aclose"}
        assert _public(blocks) == SESSION | {"close", "execute_async"}


def _public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


@pytest.mark.parametrize("name", ["session", "sync"])
def test_the_reference_shows_all_that_sessions_have(name: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    module = "triocql" if name == "session" else "triocql.sync"
    assert re.search(rf":: {module}\.Session\n(?!   :exclude-members)", page)
