"""``python -m triocql describe``, in this process: what it prints where, how it ends, and what it does not tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from triocql import commands
from triocql.commands import connecting, describe
from triocql.errors import OptionError
from triocql.testing.server import CqlServer, ErrorCode, error, rows

COLUMNS = {"keyspace_name": "text", "type": "text", "name": "text", "create_statement": "text"}
KEYSPACE = ["shop", "keyspace", "shop", "CREATE KEYSPACE shop WITH größe;"]
VIRTUAL = ["shop", "table", "v", "/*\nVIRTUAL TABLE shop.v;\n*/"]

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[CqlServer]:
    with CqlServer() as server:
        yield server


def test_the_schema_is_all_that_is_printed(server: CqlServer, capsys: Captured) -> None:
    server.when("DESCRIBE SCHEMA").then(rows(COLUMNS, [KEYSPACE]))
    assert commands.run(["describe", server.contact_points[0]]) == 0
    assert capsys.readouterr() == (f"{KEYSPACE[3]}\n", "")


def test_what_cql_cannot_make_is_told_of(server: CqlServer, capsys: Captured) -> None:
    server.when('DESCRIBE KEYSPACE "shop" WITH INTERNALS').then(rows(COLUMNS, [KEYSPACE, VIRTUAL]))
    assert commands.run(["describe", "--internals", server.contact_points[0], "shop"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{KEYSPACE[3]}\n\n{VIRTUAL[3]}\n"
    assert err == "shop.v cannot be made by CQL: it is a comment only\n"


def test_what_is_not_there(server: CqlServer, capsys: Captured) -> None:
    server.when('DESCRIBE "shop"."nix"').then(error(ErrorCode.INVALID, "'nix' not found in keyspace 'shop'"))
    assert commands.run(["describe", server.contact_points[0], "shop.nix"]) == 1
    assert capsys.readouterr() == ("", "python -m triocql describe: 'nix' not found in keyspace 'shop'\n")


def test_nobody_answers(server: CqlServer, capsys: Captured) -> None:
    server.nodes[0].stop()
    assert commands.run(["describe", server.contact_points[0]]) == 1
    out, err = capsys.readouterr()
    assert (out, "refused" in err) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["app:secret@127.0.0.1"], "--user"),
        (["cql://app:secret@127.0.0.1"], "--user"),
        (["127.0.0.1", "--timeout", "0"], "timeout"),
        (["127.0.0.1", "--consistency", "most"], "consistency"),
        (["127.0.0.1", "--key", "x.pem"], "--certificate"),
        (["127.0.0.1", "--ca", "/nowhere/ca.pem"], "/nowhere/ca.pem cannot be used"),
        (["127.0.0.1", "--ca", ""], "which is empty here"),
        (["127.0.0.1", "--certificate", ""], "which is empty here"),
        (["127.0.0.1", "--user", "app"], "set TRIOCQL_PASSWORD"),
    ],
)
def test_arguments_that_cannot_be_used(
    arguments: list[str], complaint: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(connecting.PASSWORD, raising=False)
    assert commands.run(["describe", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, "secret" in err) == ("", False)
    assert complaint in err


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["describe"], ["describe", "a", "b", "c"]])
def test_arguments_that_are_none(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.run(arguments)
    assert ended.value.code == 2
    assert "usage: python -m triocql" in capsys.readouterr().err


def test_ctrl_c_is_told_as_shells_do(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupted(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(describe, "connect", interrupted)
    assert commands.run(["describe", "127.0.0.1"]) == 130
    assert capsys.readouterr() == ("", "")


def test_where_stdin_is_closed_no_password_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.delenv(connecting.PASSWORD, raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    assert commands.run(["describe", "127.0.0.1", "--user", "app"]) == 2
    assert "set TRIOCQL_PASSWORD" in capsys.readouterr().err


def test_where_stdout_is_closed_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        assert commands.run(["describe", "127.0.0.1"]) == 1
    assert "stdout is closed" in capsys.readouterr().err


def test_the_password_of_the_environment_logs_in(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with CqlServer(users={"app": "secret"}) as server:
        server.when("DESCRIBE SCHEMA").then(rows(COLUMNS, [KEYSPACE]))
        monkeypatch.setenv(connecting.PASSWORD, "secret")
        assert commands.run(["describe", "-u", "app", server.contact_points[0]]) == 0
        monkeypatch.setenv(connecting.PASSWORD, "hidden")
        assert commands.run(["describe", "-u", "app", server.contact_points[0]]) == 1
    assert "hidden" not in "".join(capsys.readouterr())


def test_the_password_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "secret"

    monkeypatch.delenv(connecting.PASSWORD, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(connecting, "getpass", typed)
    assert connecting._password("app") == "secret"
    assert asked == ["password of app: "]

    def nothing(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(connecting, "getpass", nothing)
    with pytest.raises(OptionError, match="no password of 'app'"):
        connecting._password("app")


def test_as_a_program(server: CqlServer) -> None:
    server.when("DESCRIBE SCHEMA").then(rows(COLUMNS, [KEYSPACE]))
    command = [sys.executable, "-m", "triocql", "describe", server.contact_points[0]]
    environment = {"PYTHONIOENCODING": "ascii"}  # what is printed is UTF-8 all the same
    ended = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=300)
    assert (ended.returncode, ended.stdout.decode(), ended.stderr) == (0, f"{KEYSPACE[3]}\n", b"")
    ended = subprocess.run([*command, "--nothing"], capture_output=True, check=False, timeout=300)
    assert ended.returncode == 2
