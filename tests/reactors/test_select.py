"""Finding the reactor out, and importing no loop that the program does not use."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from triocql.errors import OptionError, UsageError
from triocql.reactors import running_loop, select
from triocql.testing.simulated import SimulatedReactor

from .conftest import Run


def test_auto(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        assert running_loop() == reactor.name
        assert type(select()) is type(reactor)
        name: Any = reactor.name
        assert type(select(name)) is type(reactor)

    run_hosted(scenario)


def test_the_other_loop(run_hosted: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        other: Any = {"trio": "asyncio", "asyncio": "trio"}[reactor.name]
        with pytest.raises(UsageError, match=f"reactor='{other}', but the loop .* is {reactor.name}"):
            select(other)

    run_hosted(scenario)


def test_outside_any_loop() -> None:
    assert running_loop() is None
    with pytest.raises(UsageError, match=r"no event loop is running here: call this inside trio.run\(\)"):
        select()


def test_an_instance_is_taken_as_it_is() -> None:
    reactor = SimulatedReactor()
    assert select(reactor) is reactor


def test_no_such_reactor() -> None:
    with pytest.raises(OptionError, match="reactor='curio': it can be 'auto', 'trio', 'asyncio'"):
        select("curio")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import triocql.reactors; triocql.reactors.running_loop()", ("trio", "asyncio", "anyio")),
        ("import triocql.protocol.tls", ("trio", "asyncio", "anyio")),
        ("import triocql.testing.simulated", ("trio", "asyncio", "anyio")),
        ("import triocql.reactors.asyncioreactor", ("trio", "anyio", "uvloop")),
        ("import triocql.reactors.threadreactor", ("trio", "asyncio", "anyio")),
        ("import triocql.reactors.trioreactor", ("anyio", "uvloop")),
    ],
)
def test_no_other_loop_is_imported(program: str, absent: tuple[str, ...]) -> None:
    check = f"import sys; {program}; print([name for name in {absent!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"


def test_the_folder_is_not_a_package_of_its_own() -> None:
    check = "import runpy; runpy.run_path('reactors/__init__.py')"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert "the folder 'reactors' is the package 'triocql.reactors'" in output.stderr
