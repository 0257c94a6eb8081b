"""The condition that users write for the rows of a scan: it is looked through before it is put into a statement."""

from __future__ import annotations

import re
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final

from triocql._brief import brief, some_names
from triocql.bulk.naming import unknown
from triocql.errors import OptionError
from triocql.metadata.schema import ColumnKind
from triocql.statements.texts import tokens, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triocql.metadata.schema import Column

_NAME: Final = re.compile(r'[A-Za-z]\w*|".*"', re.DOTALL | re.ASCII)

_OPENING: Final = ("(", "[", "{")
_CLOSING: Final = (")", "]", "}")
_CLOSED: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*\$\$""", re.DOTALL)

_WORDS: Final = {
    "ORDER": "rows come in no order; ordered=True gives that of the ring",
    "LIMIT": "write limit=",
    "ALLOW": "write allow_filtering=True",
    "OR": "CQL has no OR",
    "TOKEN": "the scan itself says which tokens are read",
    "SELECT": "it is what follows WHERE",
    "WHERE": "it is what follows WHERE",
    ";": "it is a part of a statement",
}
_PAIRS: Final = {
    ("GROUP", "BY"): "a scan has rows as they are in the table",
    ("PER", "PARTITION"): "a scan has all rows of a partition",
}


def check_where(where: str, parameters: Sequence[object], columns: Mapping[str, Column], owner: str) -> None:
    """Check a condition. What is wrong with it beyond that, nodes say when they are asked to prepare it.

    Args:
        where: what follows ``WHERE``, with ``?`` for values.
        parameters: the values.
        columns: those of the table.
        owner: the table, as CQL takes it.

    Raises:
        OptionError: it is more than a condition, or has other columns, or another number of values.
    """
    words = list(tokens(where)) if isinstance(where, str) else []
    if not words:
        raise OptionError("where= is empty; leave it out to have all rows")
    if "".join("".join(words).split()) != "".join(where.split()):
        raise OptionError("where= has a comment, which might hide what follows it; leave it out")
    if words[-1].startswith(("'", '"', "$$")) and not _CLOSED.fullmatch(words[-1]):
        raise OptionError("where= has a quote that is not closed")
    _check_words(words)
    markers = words.count("?")
    if markers != len(parameters):
        raise OptionError(f"where= has {markers} markers (?), and parameters= {len(parameters)} values")
    is_whole_key = sum(column.kind is ColumnKind.PARTITION_KEY for column in columns.values()) == 1
    for name in _restricted(words):
        column = columns.get(name)
        if column is None:
            raise OptionError(f"where=: {unknown(name, columns, 'column', f'{owner} has')}")
        if column.kind is ColumnKind.PARTITION_KEY and is_whole_key:
            raise OptionError(
                f"where= restricts {brief(name)}, which is the partition key: read a partition by execute() or stream()"
            )


def _check_words(words: list[str]) -> None:
    upper = [word.upper() for word in words]
    for word in upper:
        if word in _WORDS:
            raise OptionError(f"where= has {word}: {_WORDS[word]}")
    for pair in pairwise(upper):
        if pair in _PAIRS:
            raise OptionError(f"where= has {' '.join(pair)}: {_PAIRS[pair]}")
    depth = 0  # within braces, a colon is part of a map
    for word, following in pairwise([*words, ""]):
        depth += (word == "{") - (word == "}")
        if word == ":" and not depth and _NAME.fullmatch(following):
            raise OptionError(
                f"where= has the named marker :{some_names([following])}; write ? for each value"
            )


def _restricted(words: list[str]) -> Iterator[str]:
    """Yield the names of the columns that the relations begin with: one, or several in parentheses."""
    for relation in _relations(words):
        if relation[:1] == ["("]:
            names = list(takewhile(lambda word: word != ")", relation[1:]))
        else:
            names = [] if relation[1:2] == ["("] else relation[:1]  # a function
        yield from (unquoted(name) for name in names if _NAME.fullmatch(name))


def _relations(words: list[str]) -> Iterator[list[str]]:
    """Yield the words between one ``AND`` and the next."""
    depth, relation = 0, list[str]()
    for word in words:
        depth += (word in _OPENING) - (word in _CLOSING)
        if word.upper() == "AND" and not depth:
            yield relation
            relation = []
        else:
            relation.append(word)
    yield relation
