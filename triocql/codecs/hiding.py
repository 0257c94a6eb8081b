"""Names in a statement that hide a column: a node tells those of bind markers and aliases in place of the column's."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import islice

from triocql.errors import UsageError

_TOKENS = re.compile(
    r"""(?: '(?:[^']|'')*' | \$\$.*?\$\$ | --[^\n]* | //[^\n]* | /\*.*?\*/ | \s+ )   # says nothing
    | ( :?\s*"(?:[^"]|"")*" | :?\s*[A-Za-z_]\w* | [<>!+-]?= | . )""",
    re.DOTALL | re.VERBOSE,
)
_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "!="})


def refuse_hidden(text: str, columns: Container[str]) -> None:
    """Refuse a statement in which one of these columns goes by another name, or another column by one of theirs.

    That is, as far as it is plain: in comparisons, assignments, INSERT and AS.

    Raises:
        UsageError: there is one.
    """
    tokens = [token for token in _TOKENS.findall(text) if token]
    for column, name in (*_compared(tokens), *_inserted(tokens), *_aliased(tokens)):
        if column != name and (column in columns or name in columns):
            raise UsageError(
                f"the column {column!r} goes by the name {name!r} here, which is all that a node tells of it, while "
                f"{(column if column in columns else name)!r} has a codec of its own: write ? for a bind marker or "
                "give it the name of its column, and select the column without AS"
            )


def _compared(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Iterate over ``column = :name`` and the like."""
    for before, column, comparison, marker in zip(
        ["", *tokens], tokens, islice(tokens, 1, None), islice(tokens, 2, None), strict=False
    ):
        if before != "." and _is_name(column) and comparison in _COMPARISONS and _is_marker(marker):
            yield _plain(column), _plain(marker)


def _inserted(words: list[str]) -> Iterator[tuple[str, str]]:
    """Iterate over the columns and markers of ``INSERT INTO table (...) VALUES (...)``."""
    start = 0
    for place, word in enumerate(words):
        if word == "(":
            start = place
        elif word.upper() == "VALUES" and words[place - 1] == ")":
            columns = filter(_is_name, words[start:place])
            for column, value in zip(columns, _listed(words[place + 2 :]), strict=False):
                if len(value) == 1 and _is_marker(value[0]):
                    yield _plain(column), _plain(value[0])


def _listed(words: list[str]) -> Iterator[list[str]]:
    """Iterate over what stands between commas, up to the bracket that closes the list."""
    depth = 0
    value: list[str] = []
    for word in words:
        depth += (word in "([{") - (word in ")]}")
        if depth < 0:
            break
        if word == "," and not depth:
            yield value
            value = []
        else:
            value.append(word)
    yield value


def _aliased(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Iterate over ``SELECT column AS alias``."""
    for before, column, word, alias in zip(
        tokens, islice(tokens, 1, None), islice(tokens, 2, None), islice(tokens, 3, None), strict=False
    ):
        if before.upper() in ("SELECT", "DISTINCT", ",") and word.upper() == "AS" and _is_name(column):
            yield _plain(column), _plain(alias)


def _is_name(token: str) -> bool:
    return token[0] == '"' or token[0].isalpha() or token[0] == "_"


def _is_marker(token: str) -> bool:
    return len(token) > 1 and token[0] == ":"


def _plain(token: str) -> str:
    """Return a name as the schema has it."""
    name = token.removeprefix(":").strip()
    return name[1:-1].replace('""', '"') if name[0] == '"' else name.lower()
