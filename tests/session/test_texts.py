"""What a statement's text tells by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.statements.texts import SELECT, answers_to, keyspace_named, shown, verb, without_values


def is_select(text: str) -> bool:
    return answers_to(text) is SELECT


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM t",
        "select * from t",
        "  \n\tSelect(a)",
        "-- first\nSELECT 1",
        "// first\r// second\r\nSELECT 1",
        "/* a -- b\n */ /**/ SELECT 1",
        "SELECT/**/a FROM t",
    ],
)
def test_a_select_is_idempotent(text: str) -> None:
    assert is_select(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INSERT INTO t (a) VALUES (1)",
        "UPDATE t SET n = n + 1",
        "selection",
        "select_x",
        "-- SELECT 1",
        "-- SELECT 1\nDELETE FROM t",
        "/* SELECT 1",
        "/* */ x SELECT",
        "BEGIN BATCH SELECT",
        "- SELECT 1",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert not is_select(text)


@given(st.text("-/* \nSselect", max_size=200))
def test_any_text_is_told_quickly(text: str) -> None:
    assert not is_select("-- " + text.replace("\n", " "))
    assert is_select("/*" + text.replace("*", "") + "*/SELECT")


def test_a_hostile_text_takes_no_long_time() -> None:
    assert not is_select("/**/ --" * 100_000)
    assert not is_select("/*" * 100_000)
    assert answers_to("USE /*" * 100_000).keyspace == ""
    for piece in ("/*", "'", '"', "$$", "--", "a.", "FROM"):
        keyspace_named("SELECT " + piece * 100_001)


@pytest.mark.parametrize(
    ("text", "keyspace"),
    [
        ("USE shop", "shop"),
        ("use Shop ;", "shop"),
        ('USE "Shop"', "Shop"),
        ('/* USE a */ USE -- b\n "order";', "order"),
        ("USE", ""),
        ("USE a b", ""),
        ("USE a.b", ""),
        ("SELECT a FROM use", None),
        ("INSERT INTO use (a) VALUES (1)", None),
    ],
)
def test_the_keyspace_of_a_use(text: str, keyspace: str | None) -> None:
    assert answers_to(text).keyspace == keyspace


@pytest.mark.parametrize(
    ("text", "keyspace"),
    [
        ("SELECT a FROM t", None),
        ("SELECT a FROM Shop.t", "shop"),
        ('select a, \'FROM x.y\', "from z.z" /* FROM q.q */ from "Shop" . t WHERE b = 1', "Shop"),
        ("SELECT a FROM", None),
        ("SELECT 1.5 FROM t", None),
        ("", None),
    ],
)
def test_the_keyspace_of_a_table(text: str, keyspace: str | None) -> None:
    assert keyspace_named(text) == keyspace


def test_the_first_word() -> None:
    assert [verb(text) for text in ("list ROLES", "", "(SELECT", "-- x\nDescribe t")] == [
        "LIST",
        "",
        "",
        "DESCRIBE",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE ROLE x WITH PASSWORD = 'hunter2'",
        "CREATE ROLE x WITH PASSWORD /* c */ = 'hunter2'",
        "CREATE ROLE x WITH PASSWORD = -- c\n 'hunter2'",
        "CREATE ROLE x WITH PASSWORD // c\n= 'hunter2'",
        "CREATE ROLE x WITH PASSWORD'hunter2'",
        "ALTER ROLE x WITH OPTIONS = {'password': 'hunter2'}",
        "UPDATE users SET password = $$hunter2$$ WHERE id = 5",
    ],
)
def test_passwords_are_not_shown(text: str) -> None:
    assert "hunter2" not in shown(text)


def test_values_and_comments_are_left_out() -> None:
    text = 'UPDATE "A -- b" SET d = -P1Y2M, e = P3W, f = P0001-02-03T04:05:06, g = 1µs5ns WHERE p1 = 5 -- hunter2'
    known = 'UPDATE "A -- b" SET d = -?, e = ?, f = ?, g = ? WHERE p1 = ?'
    assert without_values(text).strip() == known
