"""One `execute` there and back, call by call: calls go downward."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import triocql
from tests.imports import Arrow, table, upward
from triocql.abc import Link
from triocql.engine.contracts import Owner, Sink
from triocql.engine.requests import Request
from triocql.testing.server import CqlServer, rows, void
from triocql.testing.simulated import SimulatedReactor

FOLDER = Path(triocql.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
# The reactor of this test takes the place of one that users have; its server, that of a node.
OUTSIDE = ("testing.", "reactors.")

SELECT = "SELECT name FROM shop.users WHERE id = ?"
INSERT = "INSERT INTO shop.users (id) VALUES (?)"
SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"

# What calls go upward through: a transport drives the connection, which tells its owner what happens there, and tells
# the request its answer, which tells the outcome to whoever waits.
MEANT = (Link, Owner, Request, Sink)
MEMBERS = [{name for name in vars(each) if not name.startswith("_")} for each in MEANT]


class Call(NamedTuple):
    """A function of the package is called; `caller` is a module of the package, or "" for others."""

    caller: str
    module: str
    name: str
    meant: bool

    def __str__(self) -> str:
        return f"{self.caller or '(outside)'} -> {self.module}: {self.name}"

    @property
    def goes_up(self) -> bool:
        """Whether it is one that should not be."""
        arrow = Arrow(self.caller, self.module, at_run_time=True)
        return bool(self.caller and not self.meant and upward([arrow], table("layer"), table("room")))


@contextmanager
def traced() -> Iterator[list[Call]]:
    """Note every call of a function of the package, in order. A coroutine that goes on is not called again."""
    calls: list[Call] = []
    begun: set[FrameType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        module = module_of(frame)
        if event == "call" and module and frame not in begun:
            begun.add(frame)
            calls.append(Call(caller_of(frame), module, frame.f_code.co_qualname, is_meant(frame)))

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def module_of(frame: FrameType) -> str:
    """Return the module of a frame by its name below `triocql`, "" for one that is outside."""
    path = Path(frame.f_code.co_filename)
    name = ".".join(path.relative_to(FOLDER).with_suffix("").parts) if path.is_relative_to(FOLDER) else ""
    return "" if name.startswith(OUTSIDE) else name


def caller_of(frame: FrameType) -> str:
    """Return the module that calls, be it by way of a function of Python's own."""
    calling = frame.f_back
    while calling is not None and not Path(calling.f_code.co_filename).is_relative_to(FOLDER):
        calling = calling.f_back
    return module_of(calling) if calling is not None else ""


def is_meant(frame: FrameType) -> bool:
    """Tell whether a function is one of `MEANT`: its object has all the others, too."""
    code = frame.f_code
    target: Any = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    return any(code.co_name in names and all(hasattr(target, name) for name in names) for names in MEMBERS)


def of_one_execute(text: str) -> list[Call]:
    """Return the calls of one prepared statement by protocol v5, with options and columns that were met before."""
    reactor = SimulatedReactor()
    server = CqlServer(schema=SCHEMA).run_on(reactor)
    server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
    server.when(INSERT).then(void())

    async def main() -> list[Call]:
        async with triocql.connect(server.contact_points, reactor=reactor, connections_local=1) as session:
            statement = await session.prepare(text)
            await session.execute(statement, [7])
            with traced() as calls:
                result = await session.execute(statement, [7])
            assert text == INSERT or result.scalar() == "Ann"
            return calls

    return reactor.run(main)


@pytest.fixture(scope="module", params=["INSERT", "SELECT"])
def calls(request: pytest.FixtureRequest) -> list[Call]:
    """The calls in a process of its own, for what is compiled has no frames to see."""
    environment = {**os.environ, "TRIOCQL_IMPL": "python"}
    command = [sys.executable, "-m", "tests.engine.test_traced", request.param]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Call(*fields) for fields in json.loads(done.stdout)]


def test_calls_go_downward(calls: list[Call]) -> None:
    path = "\n".join(map(str, calls))
    assert {"session.session", "engine.connections.streams", "protocol.frames"} <= {
        each.module for each in calls
    }
    assert not [str(each) for each in calls if each.goes_up], f"these go upward, of\n{path}"


def test_few_files_take_part(calls: list[Call]) -> None:
    path = "\n".join(map(str, calls))
    files = dict.fromkeys(each.module for each in calls if each.module != "codecs.rows")  # if there are rows
    assert len(files) <= 17, f"{len(files)} files take part: {', '.join(files)}\n{path}"


if __name__ == "__main__":
    print(json.dumps(of_one_execute(SELECT if sys.argv[1] == "SELECT" else INSERT)))
