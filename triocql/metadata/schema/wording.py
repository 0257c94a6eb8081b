"""Two ways to word CQL: as ``DESCRIBE`` does it, and such that a server takes it as it is meant."""

from __future__ import annotations

import re
from typing import Final

from triocql.metadata.schema import ddl
from triocql.protocol.types import NATIVE_TYPES, quote_name, quoted

_WORDS: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+""")
_OF_TYPES: Final = frozenset(("frozen", "list", "set", "map", "tuple", "vector", "varchar")) | {
    native.name for native in NATIVE_TYPES.values()
}


class Wording:
    """That of ``DESCRIBE``, byte for byte.

    Not all of it is what a server takes: it leaves names bare that have to be in quotes, such as ``true``, and ``json``
    where it is a type or a function, and a ``$$`` in the body of a function ends that.
    """

    hidden_columns = True
    """Whether the order of clustering has the hidden columns of tables from before CQL."""

    def name(self, text: str) -> str:
        """Return the name of anything but a function."""
        return ddl.name(text)

    def function(self, text: str) -> str:
        """Return the name of a function or an aggregate."""
        return ddl.name(text)

    def qualified(self, keyspace: str, text: str) -> str:
        """Return a name with that of its keyspace."""
        return f"{self.name(keyspace)}.{self.name(text)}"

    def type(self, cql_type: str) -> str:
        """Return a type, of which system tables have the text."""
        return cql_type

    def mask(self, keyspace: str, text: str) -> str:
        """Return the name of a function that masks, with its keyspace."""
        return f"{keyspace}.{text}"

    def body(self, text: str) -> str:
        """Return the body of a function."""
        return f"$${text}$$"

    def legacy_table(self, full_name: str, created: str) -> str:
        """Return what makes a table with compact storage."""
        return ddl.legacy_table(full_name, created)


class _Meant(Wording):
    hidden_columns = False

    def name(self, text: str) -> str:
        return quote_name(text)

    def function(self, text: str) -> str:
        # The only word that everything but a function may be called.
        return quoted(text) if text == "key" else quote_name(text)

    def type(self, cql_type: str) -> str:
        return _WORDS.sub(_quoted_within, cql_type)

    def mask(self, keyspace: str, text: str) -> str:
        return f"{self.name(keyspace)}.{self.function(text)}"

    def body(self, text: str) -> str:
        return ddl.string(text) if "$" in text else super().body(text)

    def legacy_table(self, full_name: str, created: str) -> str:
        return created


def _quoted_within(found: re.Match[str]) -> str:
    word = found[0]
    return word if word[0] in "'\"" or word in _OF_TYPES or word.isdecimal() else quote_name(word)


DESCRIBED: Final = Wording()
"""As ``DESCRIBE`` has it."""

MEANT: Final[Wording] = _Meant()
"""As a server takes it."""
