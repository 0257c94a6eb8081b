"""Facts found in the text of a statement: the answers it can have, and the keyspace its table is looked up in. What
errors show of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is not closed goes on to the end, so that nothing is gone through twice.
_BLANK = r"\s++|--[^\r\n]*+|//[^\r\n]*+|/\*.*?(?:\*/|\Z)"
_VERB = re.compile(rf"(?:{_BLANK})*+(\w++)", re.DOTALL | re.ASCII)
_IF = re.compile(r"\bIF\b", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(
    rf"""{_BLANK}|('(?:[^']|'')*+'?|"(?:[^"]|"")*+"?|\$\$.*?(?:\$\$|\Z)|\w++|.)""", re.DOTALL | re.ASCII
)

# A literal after this word: a role's, that of an option, or what a column of that name is set to.
_PASSWORD = re.compile(
    rf"""(\bpassword['"]?(?:{_BLANK}|[=:])*+)(?:'(?:[^']|'')*+'?|\$\$.*?(?:\$\$|\Z))""",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST = 100

# Quoted names, which are kept; blanks, of which comments are some; literals: words may have digits in them.
_LITERAL = re.compile(
    rf"""("(?:[^"]|"")*+"?)|({_BLANK})"""
    r"""|'(?:[^']|'')*+'?|\$\$.*?(?:\$\$|\Z)"""
    r"""|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"""
    r"""|(?<![\w:])(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[nN][aA][nN]|[iI][nN][fF][iI][nN][iI][tT][yY])\b"""
    r"""|\b[pP]\d++(?:-\d\d-\d\d[tT][\d:]++|(?:[a-zA-Z](?![\w_])|[a-zA-Z]\d++)++)"""
    r"""|(?<!\w)\d[\w.\u00b5\u03bc]*+(?:(?<=[eE])[+-]\d++)?""",
    re.DOTALL | re.ASCII,
)


# Brackets of collections, and what IN has in its own, once literals are left out.
_COLLECTION = re.compile(r"\[[-?:,\s()]*+\]|\{[-?:,\s()]*+\}")
_IN = re.compile(r"(\bIN\s*+\()[-?:,\s()\[\]{}\u2026]*\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answers:
    """The kinds of RESULT that can answer a statement, as far as its text says. The server decides about the rest.

    Attributes:
        void: nothing.
        rows: rows.
        pages: rows in more than one page.
        schema_change: a change of the schema.
        keyspace: the keyspace of USE, "" for any, None if it is no USE.
        operation: what is done, by the first word of the statement: one of
            `triocql.observability.metrics.OPERATIONS`.
    """

    void: bool = True
    rows: bool = True
    pages: bool = True
    schema_change: bool = True
    keyspace: str | None = None
    operation: str = "OTHER"


SELECT = Answers(void=False, schema_change=False, operation="SELECT")
"""The only statement that may be executed twice without asking."""
BATCH = Answers(pages=False, schema_change=False, operation="BATCH")
"""As all that modifies: conditional statements give rows, in one page."""
_MODIFICATIONS = {word: replace(BATCH, operation=word) for word in ("INSERT", "UPDATE", "DELETE")} | {
    "BEGIN": BATCH
}
_USE = Answers(void=False, rows=False, pages=False, schema_change=False, operation="USE")
_OTHER = Answers()
_OTHERS = ("TRUNCATE", "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "LIST", "DESCRIBE")
_BY_VERB = {
    "SELECT": SELECT,
    **_MODIFICATIONS,
    "DESC": replace(_OTHER, operation="DESCRIBE"),
    **{word: replace(_OTHER, operation=word) for word in _OTHERS},
}
_BEFORE_TABLES = ("FROM", "INTO", "UPDATE")
PREPARE = "PREPARE"


def shown(text: str) -> str:
    """Return what errors and logs show of a statement: the beginning, on one line, without passwords.

    >>> shown("CREATE ROLE app\\n    WITH PASSWORD = 'secret'")
    "CREATE ROLE app WITH PASSWORD = '…'"
    """
    return shortened(" ".join(_PASSWORD.sub(r"\1'…'", text).split()), _LONGEST)


def shortened(text: str, longest: int) -> str:
    """Return a text, or as much of its beginning as makes it so long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def without_values(text: str) -> str:
    """Return a statement with ``?`` in place of its literals: texts, numbers, blobs, UUIDs, durations, truth values.
    Lists, which may be of any length, have ``…`` in them. Comments, where some programs note what they do it for, are
    left out.

    >>> without_values("UPDATE t SET a = 'x', b2 = -1.5e3 WHERE k = 0xCAFE AND c = 'it''s'")
    'UPDATE t SET a = ?, b2 = -? WHERE k = ? AND c = ?'
    >>> without_values("UPDATE t SET tags = {'x', 'y'} WHERE k IN (1, 2, ?)")
    'UPDATE t SET tags = {…} WHERE k IN (…)'
    """
    text = _LITERAL.sub(lambda match: match[1] or (" " if match[2] else "?"), text)
    return _IN.sub(r"\1…)", _COLLECTION.sub(_without_elements, text))


def _without_elements(match: re.Match[str]) -> str:
    """Return what is shown of a collection; what has one element may be an index, and is kept."""
    return f"{match[0][0]}…{match[0][-1]}" if "," in match[0] or ":" in match[0] else match[0]


def verb(text: str) -> str:
    """Return the first word of a statement in upper case, "" if there is none.

    >>> verb("/* all */ select * from users")
    'SELECT'
    """
    match = _VERB.match(text)
    return "" if match is None else match[1].upper()


def answers_to(text: str) -> Answers:
    """Return which answers `text` can have.

    >>> answers_to('USE "Shop"').keyspace, answers_to("SELECT * FROM t").void
    ('Shop', False)
    """
    word = verb(text)
    if word == "USE":
        return replace(_USE, keyspace=_used(text))
    return _BY_VERB.get(word, _OTHER)


def keyspace_named(text: str) -> str | None:
    """Return the keyspace that the table of a SELECT is written with, None if it is without one.

    >>> keyspace_named("SELECT k FROM Shop.users"), keyspace_named("SELECT k FROM users")
    ('shop', None)
    """
    words = tokens(text)
    for word in words:
        if word.upper() == "FROM":
            name, dot = next(words, ""), next(words, "")
            return unquoted(name) if dot == "." else None
    return None


def table_named(text: str) -> tuple[str | None, str]:
    """Return the keyspace and the table that a text is about, None and "" where it names none.

    >>> table_named("INSERT INTO Shop.users (k) VALUES (?)"), table_named('UPDATE "Users" SET v = 1 WHERE k = 2')
    (('shop', 'users'), (None, 'Users'))
    """
    words = tokens(text)
    for word in words:
        if word.upper() in _BEFORE_TABLES:
            name, dot, table = next(words, ""), next(words, ""), next(words, "")
            return (unquoted(name), unquoted(table)) if dot == "." else (None, unquoted(name))
    return None, ""


def is_qualified(text: str) -> bool:
    """Return whether a text names the keyspace of each table that it is about: it means the same in all of them.

    >>> is_qualified("INSERT INTO shop.users (k) VALUES (?)"), is_qualified("SELECT k FROM users")
    (True, False)
    """
    words = [*tokens(text), "", ""]
    tables = [
        sign == "." for word, sign in zip(words, words[2:], strict=False) if word.upper() in _BEFORE_TABLES
    ]
    return bool(tables) and all(tables)


def names_keyspace(text: str, keyspace: str) -> bool:
    """Return whether something in a text is written with this keyspace.

    >>> names_keyspace("INSERT INTO Shop.users (k) VALUES (?)", "shop"), names_keyspace("SELECT shop FROM t", "shop")
    (True, False)
    """
    return any(dot == "." and unquoted(name) == keyspace for name, dot in pairwise(tokens(text)))


def is_conditional(text: str) -> bool:
    """Return whether a text is a lightweight transaction: it changes something if a condition holds.

    >>> is_conditional("INSERT INTO t (k) VALUES (?) IF NOT EXISTS"), is_conditional("DELETE FROM t WHERE k = 'IF'")
    (True, False)
    """
    if verb(text) not in _MODIFICATIONS or _IF.search(text) is None:
        return False
    return any(token.upper() == "IF" for token in tokens(text))


def _used(text: str) -> str:
    """Return the keyspace that a USE names, "" if it is not understood."""
    words = [word for word in tokens(text) if word != ";"]
    return unquoted(words[1]) if len(words) == 2 else ""


def tokens(text: str) -> Iterator[str]:
    """Yield the words, quoted names, literals in quotes and signs of a text, without blanks and comments.

    >>> list(tokens("a = 'b c' AND d > ?  -- all"))
    ['a', '=', "'b c'", 'AND', 'd', '>', '?']
    """
    return (match[1] for match in _TOKEN.finditer(text) if match[1])


def unquoted(name: str) -> str:
    """Return the name that CQL means: in lower case unless it is in quotes.

    >>> unquoted("Shop"), unquoted('"Shop"')
    ('shop', 'Shop')
    """
    return name[1:-1].replace('""', '"') if name[:1] == '"' else name.lower()
