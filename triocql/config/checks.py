"""Checks of options: each raises an `OptionError` that names the option, its value and what is allowed."""

from __future__ import annotations

import sys
from collections.abc import Collection
from math import inf
from typing import Any

from triocql.errors import OptionError
from triocql.policies.checks import is_integer, is_number, require

__all__ = [
    "is_integer",
    "is_number",
    "require",
    "require_integer",
    "require_keyspace",
    "require_keyspaces",
    "require_seconds",
    "require_type",
]


def require_type(value: object, kind: type | tuple[type, ...], name: str, allowed: str) -> None:
    """Raise unless `value` is of `kind`. The message shows its type only, for values that may be secret."""
    if not isinstance(value, kind):
        raise OptionError(f"{name} is of type {type(value).__name__}; it has to be {allowed}")


def require_integer(value: object, name: str, low: int, high: int) -> None:
    """Raise unless `value` is an int, and no bool, within the bounds, both included."""
    if not is_integer(value) or not low <= value <= high:
        require(False, name, value, f"an integer from {low:,} to {high:,}")


def require_seconds(value: Any, name: str, *, zero: bool = False) -> None:
    """Raise unless `value` is a number of seconds above 0, or 0 where that means something; infinity stands for "no
    bound". Not a number is none, and an int that no float can hold is of no use either.
    """
    fits = is_number(value) and (0 < value <= sys.float_info.max or value == inf or (zero and value == 0))
    least = "a number of seconds from 0" if zero else "a number of seconds above 0"
    require(fits, name, value, f"{least} (math.inf for no bound)")


def require_keyspace(value: object, name: str) -> None:
    """Raise unless `value` can be the name of a keyspace. No keyspace has quotes in its name."""
    fits = isinstance(value, str) and value != "" and '"' not in value
    require(
        fits,
        name,
        value,
        "the name of a keyspace, without quotes and with upper and lower case as it has them",
    )


def require_keyspaces(value: object, name: str) -> None:
    """Raise unless `value` is True, False, or some names of keyspaces."""
    if isinstance(value, bool):
        return
    is_some = isinstance(value, Collection) and not isinstance(value, (str, bytes)) and len(value) > 0
    require(is_some, name, value, 'True, False, or a list of names of keyspaces, such as ["shop"]')
    for each in value:  # type: ignore[attr-defined]
        require_keyspace(each, name)
