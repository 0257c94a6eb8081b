"""A schema as CQL: one text to be printed, and statements to be executed one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.metadata.description import Described, Description


def statements(cql: str) -> tuple[str, ...]:
    return Described("shop", "table", "t", cql).statements


@pytest.mark.parametrize(
    ("cql", "expected"),
    [
        ("CREATE TABLE t (a int);", ("CREATE TABLE t (a int)",)),
        ("CREATE TABLE t (a int)", ("CREATE TABLE t (a int)",)),
        ("A;\nB;\n\nC;", ("A", "B", "C")),
        ("A WITH comment = 'a;b';", ("A WITH comment = 'a;b'",)),
        ("A WITH comment = 'it''s; so';B;", ("A WITH comment = 'it''s; so'", "B")),
        ('A "b;""c;" int;B;', ('A "b;""c;" int', "B")),
        ("A $$ return 'a';; $$;B;", ("A $$ return 'a';; $$", "B")),
        ("A WITH comment = '/* no; comment */';", ("A WITH comment = '/* no; comment */'",)),
        ("A WITH comment = '-- none; either';", ("A WITH comment = '-- none; either'",)),
        ("A 3-1;B 4/2;", ("A 3-1", "B 4/2")),
        ("/*\nWarning: it's virtual;\nVIRTUAL TABLE x (a int);\n*/", ()),
        ("/*\nWarning: it's of old;\nCREATE TABLE x (a int) WITH comment = '/* a */; b';\n*/", ()),
        (
            "/* Do NOT execute this statement! ...\n\nCREATE TABLE x (\"*/ A\" int) WITH comment = 'b';\n*/",
            (),
        ),
        ("/* one; */ A;\n-- two;\nB;", ("A", "B")),
        ("A /* within; */ B;", ("A /* within; */ B",)),
        ("", ()),
        (" ; \n;", ()),
    ],
)
def test_statements_end_with_semicolons_that_are_none_of_text_or_comment(
    cql: str, expected: tuple[str, ...]
) -> None:
    assert statements(cql) == expected


@given(st.lists(st.text(min_size=1)))
def test_text_of_any_kind_splits_no_statement(texts: list[str]) -> None:
    quoted = [f"A '{text.replace(chr(39), chr(39) * 2)}' B" for text in texts]
    assert statements("".join(f"{each};\n" for each in quoted)) == tuple(quoted)


@given(st.text(alphabet="a;'\"$/*-\n "))
def test_no_text_is_too_odd(cql: str) -> None:
    found = statements(cql)
    assert all(found)
    assert "".join("".join(found).split()) in "".join(cql.split()) or len(found) > 1


def test_a_description_is_a_text_and_statements() -> None:
    keyspace = Described("shop", "keyspace", "shop", "CREATE KEYSPACE shop;")
    table = Described("shop", "table", "t", "CREATE TABLE shop.t;\nALTER TABLE shop.t DROP a;")
    virtual = Described("shop", "table", "v", "/*\nVIRTUAL TABLE shop.v;\n*/")
    description = Description((keyspace, table, virtual))
    assert str(description) == "\n\n".join([keyspace.cql, table.cql, virtual.cql])
    assert description.statements == (
        "CREATE KEYSPACE shop",
        "CREATE TABLE shop.t",
        "ALTER TABLE shop.t DROP a",
    )
    assert description.comments_only == (virtual,)
    assert str(Description(())) == ""
