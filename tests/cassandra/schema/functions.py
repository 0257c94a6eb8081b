"""The grammar of functions and aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .writer import quoted

if TYPE_CHECKING:
    from .columntypes import UserType
    from .writer import Writer

_RESULTS = {
    "int": "return 1;",
    "bigint": "return 1L;",
    "double": "return 1.5;",
    "boolean": "return true;",
    "text": 'return "it\'s; so";',
    "uuid": "return null;",
    "list<int>": "return null;",
    "map<text, int>": "// nothing\n    return null;",
    "tuple<int, text>": "return null;",
}
_STATES = {
    "int": ["0", "-5", None],
    "bigint": ["9223372036854775807", None],
    "text": ["'a b'", "''", None],
    "double": ["1.5", "-1.0E-7", None],
    "boolean": ["false", None],
    "list<int>": ["[1, 2]", "[]", None],
    "set<text>": ["{'b', 'a'}", None],
    "map<text, int>": ["{'b': 1, 'a': 2}", None],
    "tuple<int, text>": ["(1, 'b')", None],
}
_NAMES = ["plus", "Plus", "größe", "of_type", "order", "日本", "min 2"]


def write_functions(writer: Writer, types: list[UserType]) -> None:
    """Write functions and aggregates: seldom, as each takes a node's compiler."""
    if not writer.sometimes("functions", 3):
        return
    taken = set[str]()
    for _ in range(writer.count(1, 2)):
        _function(writer, types, taken)
    if writer.sometimes("aggregates"):
        _aggregate(writer, taken)


def _function(writer: Writer, types: list[UserType], taken: set[str]) -> None:
    name = writer.pick(_NAMES)
    kinds = [*_RESULTS, *(quoted(each.name) for each in types)]
    arguments = [writer.pick(kinds) for _ in range(writer.count(0, 3))]
    signature = f"{name}{arguments}"
    if signature in taken:
        return
    taken.add(signature)
    if any(each.startswith(f"{name}[") for each in taken - {signature}):
        writer.has("overloaded functions")
    names = ["a", "Bc", "select", "d_1"]
    written = ", ".join(f"{quoted(each)} {kind}" for each, kind in zip(names, arguments, strict=False))
    result = writer.pick(list(_RESULTS))
    nulls = writer.pick(["CALLED", "RETURNS NULL"])
    body = (
        f"$$ {_RESULTS[result]} $$" if writer.sometimes("bodies with dollars") else _literal(_RESULTS[result])
    )
    writer.write(
        f"CREATE FUNCTION {writer.qualified(name)} ({written}) {nulls} ON NULL INPUT "
        f"RETURNS {result} LANGUAGE java AS {body}"
    )


def _literal(body: str) -> str:
    return "'" + body.replace("'", "''") + "'"


def _aggregate(writer: Writer, taken: set[str]) -> None:
    state = writer.pick(list(_STATES))
    step, end = writer.word(taken), writer.word(taken)
    writer.write(
        f"CREATE FUNCTION {writer.qualified(step)} (s {state}, v int) CALLED ON NULL INPUT "
        f"RETURNS {state} LANGUAGE java AS 'return s;'"
    )
    final = ""
    if writer.sometimes("final functions"):
        writer.write(
            f"CREATE FUNCTION {writer.qualified(end)} (s {state}) CALLED ON NULL INPUT "
            f"RETURNS text LANGUAGE java AS 'return \"x\";'"
        )
        final = f" FINALFUNC {quoted(end)}"
    start = writer.pick(_STATES[state])
    initial = f" INITCOND {start}" if start is not None else ""
    name = writer.word(taken)
    for each in (step, end, name):
        writer.has_called(each)
    writer.write(
        f"CREATE AGGREGATE {writer.qualified(name)} (int) SFUNC {quoted(step)} STYPE {state}{final}{initial}"
    )
