"""What the parts of the grammar have in common: drawing, names, and the statements written so far."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

Draw = "Callable[[st.SearchStrategy[T]], T]"


class Server(NamedTuple):
    """What a node takes: its series, as "4.1", and what is switched on."""

    series: str
    cdc: bool = False
    masking: bool = False
    transient: bool = False
    memtables: bool = False
    triggers: bool = False

    @property
    def vectors(self) -> bool:
        """Whether it has vectors, SAI and the unified compaction."""
        return self.series >= "5.0"


@dataclass
class Schema:
    """A keyspace as the statements that make it, and the features that it has."""

    keyspace: str
    statements: list[str] = field(default_factory=list)
    features: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return ";\n".join([*self.statements, f"-- {', '.join(sorted(self.features))}"])


def quoted(name: str) -> str:
    """Return an identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a literal."""
    return "'" + value.replace("'", "''") + "'"


def option_map(options: dict[str, str]) -> str:
    """Return a literal of a map of options."""
    return "{" + ", ".join(f"{text(name)}: {text(value)}" for name, value in options.items()) + "}"


_PLAIN = ["id", "name", "total", "at_2", "k", "v", "value_of_x", "zz"]
_RESERVED = [
    "order",
    "select",
    "from",
    "token",
    "table",
    "to",
    "primary",
    "schema",
    "infinity",
    "materialized",
]
_UNRESERVED = [
    "user",
    "key",
    "type",
    "ttl",
    "json",
    "values",
    "filtering",
    "static",
    "counter",
    "int",
    "masked",
]
_CASED = ["Id", "userName", "ORDER", "X"]
_ODD = [
    "größe",
    "日本",
    "naïve ☕",
    'say "hi"',
    '"',
    " ",
    "it's",
    "1st",
    "_x",
    "a.b",
    "$$",
    "a;b",
    "-- a",
    "/*",
]

WORDS = st.sampled_from([*_PLAIN, *_RESERVED, *_UNRESERVED, *_CASED])
"""Names that consist of ASCII letters, digits and underscores, as those of tables have to."""

NAMES = (
    WORDS
    | st.sampled_from(_ODD)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
)
"""Names of any kind."""

_UNQUOTED_WORDS = {"json", "ttl", "counter", "int", "key"}
_LITERALS = {"true", "false"}
UNQUOTED = "names that DESCRIBE does not quote"
"""Those with names that Cassandra takes in quotes only, and writes without."""

TEXTS = st.sampled_from(
    ["", "plain", "it's", "''", 'a "b"', "$$", "a;b", "/* a */", "-- b", "日本 ☕", "a\nb", "\\n"]
)


class Writer:
    """Writes the statements of one schema, as `draw` decides."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], server: Server, keyspace: str) -> None:
        self.server = server
        self.schema = Schema(keyspace)
        self._draw = draw
        self._taken: set[str] = set()

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        """Draw a value."""
        value: T = self._draw(strategy)
        return value

    def pick(self, values: Sequence[T]) -> T:
        """Draw one of some values."""
        return self.draw(st.sampled_from(values))

    def count(self, least: int, most: int) -> int:
        """Draw a number."""
        return self.draw(st.integers(least, most))

    def sometimes(self, feature: str, one_in: int = 2) -> bool:
        """Draw whether the schema is to have a feature."""
        chosen = self.draw(st.integers(1, one_in)) == one_in
        if chosen:
            self.schema.features.add(feature)
        return chosen

    def has(self, feature: str) -> None:
        """Note that the schema has a feature."""
        self.schema.features.add(feature)

    def has_called(self, name: str) -> None:
        """Note that a type or a function has a name."""
        if name in _UNQUOTED_WORDS:
            self.has(UNQUOTED)

    def write(self, statement: str) -> None:
        """Add a statement."""
        self.schema.statements.append(statement)

    def word(self, taken: set[str] | None = None) -> str:
        """Draw a name of a keyspace's object that is not taken, of ASCII letters, digits and underscores."""
        return self._unused(self.draw(WORDS), self._taken if taken is None else taken)

    def name(self, taken: set[str] | None = None) -> str:
        """Draw a name of any kind that is not taken."""
        name = self._unused(self.draw(NAMES), self._taken if taken is None else taken)
        if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
            self.has("quoted names" if name.isascii() else "names that are not ASCII")
        elif name in _RESERVED:
            self.has("reserved names")
        if name in _LITERALS:
            self.has(UNQUOTED)
        return name

    @staticmethod
    def _unused(name: str, taken: set[str]) -> str:
        while name in taken:
            name += str(len(taken))
        taken.add(name)
        return name

    def qualified(self, name: str) -> str:
        """Return a name with its keyspace, as CQL has it."""
        return f"{quoted(self.schema.keyspace)}.{quoted(name)}"
