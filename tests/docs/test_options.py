"""The reference has every option, with its default and its unit."""

from __future__ import annotations

import inspect

import triocql
from triocql.config.options import ConnectKeywords
from triocql.config.requests import RequestKeywords

from . import options


def names(rows: list[options.Row]) -> set[str]:
    return {row[0].strip("`") for row in rows}


def test_the_tables_say_what_the_code_does() -> None:
    page = options.PAGE.read_text()
    assert page == options.with_tables(page), "run: python -m tests.docs.options"


def test_every_option_of_connect_is_there() -> None:
    expected = {*inspect.get_annotations(ConnectKeywords), *inspect.signature(triocql.connect).parameters}
    assert names(options.connect_rows()) == expected - options.GROUPS


def test_every_option_of_execute_is_there() -> None:
    expected = {*inspect.get_annotations(RequestKeywords), "statement", "parameters", "row_type"}
    assert names(options.execute_rows()) == expected


def test_each_has_a_default_and_a_description() -> None:
    for name, default, unit, text in options.connect_rows() + options.execute_rows():
        assert text, name
        assert default or name == "`statement`", name
        if name.endswith(("timeout`", "interval`")):
            assert unit == "s", name
