"""User-defined functions and aggregates, from the statements that create them."""

from __future__ import annotations

import re

from .declared import NAME, Aggregate, Function, Keyspace, split_list, unquoted

_FUNCTION = re.compile(
    r"\s*(?P<null>called|returns\s+null)\s+on\s+null\s+input\s+returns\s+(?P<returns>.+?)\s+language\s+"
    r"(?P<language>\w+)\s+as\s+(?P<body>\$\$.*\$\$|'(?:[^']|'')*')",
    re.IGNORECASE | re.DOTALL,
)
_AGGREGATE = re.compile(
    rf"\s*sfunc\s+(?P<state>{NAME})\s+stype\s+(?P<type>.+?)(?:\s+finalfunc\s+(?P<final>{NAME}))?"
    r"(?:\s+initcond\s+(?P<initial>.+?))?\s*$",
    re.IGNORECASE | re.DOTALL,
)


def function_of(arguments: str, text: str) -> Function | None:
    """Return a function, from its arguments and what follows them; None if that is not understood."""
    parsed = _FUNCTION.match(text)
    if parsed is None:
        return None
    named = [each.split(None, 1) for each in split_list(arguments) if each]
    body = parsed["body"]
    return Function(
        {unquoted(name): type_.strip() for name, type_ in named},
        parsed["returns"].strip(),
        parsed["language"].lower(),
        body[2:-2] if body.startswith("$$") else body[1:-1].replace("''", "'"),
        parsed["null"].lower() == "called",
    )


def aggregate_of(home: Keyspace, arguments: str, text: str) -> Aggregate | None:
    """Return an aggregate of a keyspace, likewise."""
    parsed = _AGGREGATE.match(text)
    if parsed is None:
        return None
    types = tuple(each for each in split_list(arguments) if each)
    final = unquoted(parsed["final"]) if parsed["final"] else None
    returns = next(
        (function.returns for (name, _), function in home.functions.items() if name == final), parsed["type"]
    )
    return Aggregate(types, unquoted(parsed["state"]), parsed["type"], final, parsed["initial"], returns)


def arguments_of(text: str) -> tuple[str, ...] | None:
    """Return the types in brackets that say which of several functions is meant, None if there are no brackets."""
    found = re.match(r"\s*\((.*)\)", text, re.DOTALL)
    return None if found is None else tuple(each for each in split_list(found[1]) if each)
