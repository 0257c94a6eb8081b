"""Checks of what users give, to policies and, above these, as options: what does not fit raises an `OptionError`."""

from __future__ import annotations

from typing import TypeGuard

from triocql._brief import brief
from triocql.errors import OptionError


def require(fits: bool, name: str, value: object, allowed: str) -> None:
    """Raise unless `fits`. Not for values that may be secret: the message shows the value."""
    if not fits:
        raise OptionError(f"{name} is {brief(value)}; it has to be {allowed}")


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether `value` is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is an int or a float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
