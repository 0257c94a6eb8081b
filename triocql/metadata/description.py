"""A schema as CQL: what `Session.describe` returns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_MADE: Final = ("/*\nWarning: ", "/* Do NOT execute this statement!")
"""What begins the comment that has all of an object that CQL cannot make, its own comments as they are: the words of
Cassandra, and of ScyllaDB."""

_TOKEN: Final = re.compile(
    r"""
      (?P<end> ; )
    | (?P<comment> /\*.*?(?:\*/|\Z) | (?:--|//)[^\n]* | \s+ )
    # Text, names and the bodies of functions are a token each.
    | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | \$\$.*?(?:\$\$|\Z)
    | [^;'"$/\s-]+ | .
    """,
    re.VERBOSE | re.DOTALL,
)


class Described(NamedTuple):
    """An object of a schema as CQL.

    Attributes:
        keyspace: the keyspace that it is in, or is, as CQL writes it: quoted where that is needed.
        kind: "keyspace", "type", "function", "aggregate", "table", "index" or "materialized_view".
        name: its name as CQL writes it, with the types of arguments for functions and aggregates.
        cql: what makes it: one statement, or several that belong together, each with its semicolon. What CQL cannot
            make, such as a virtual table, is in a comment that says so.
    """

    keyspace: str
    kind: str
    name: str
    cql: str

    @property
    def statements(self) -> tuple[str, ...]:
        """Its statements one by one, without semicolons; () where CQL cannot make it."""
        return tuple(_statements(self.cql))


@dataclass(frozen=True, slots=True)
class Description:
    """A schema, or a part of it, as CQL; `str` is the whole text.

    Attributes:
        objects: each keyspace, type, function, aggregate, table, index and view, in an order in which they can be made.

    >>> description = Description((Described("shop", "keyspace", "shop", "CREATE KEYSPACE shop WITH …;"),))
    >>> print(description)
    CREATE KEYSPACE shop WITH …;
    >>> description.statements
    ('CREATE KEYSPACE shop WITH …',)
    """

    objects: tuple[Described, ...]

    @property
    def statements(self) -> tuple[str, ...]:
        """All that is to be executed, one after the other, to make it again.

        >>> for statement in description.statements:                                   # doctest: +SKIP
        ...     await session.execute(statement)
        """
        return tuple(statement for each in self.objects for statement in each.statements)

    @property
    def comments_only(self) -> tuple[Described, ...]:
        """The objects that `statements` leaves out, as CQL cannot make them: those whose `cql` is but a comment."""
        return tuple(each for each in self.objects if not each.statements)

    def __str__(self) -> str:
        return "\n\n".join(each.cql for each in self.objects)


def _statements(cql: str) -> Iterator[str]:
    """Split CQL at its semicolons; comments at the beginning of a statement are left out."""
    if cql.startswith(_NOT_MADE):
        return
    start = None
    for token in _TOKEN.finditer(cql):
        if token["end"]:
            if start is not None:
                yield cql[start : token.start()]
            start = None
        elif start is None and token["comment"] is None:
            start = token.start()
    if start is not None:
        yield cql[start:].rstrip()
