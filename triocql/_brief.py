"""What errors and logs show of a value that a user gave: enough to find it by, whatever its size."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import Final

__all__ = ["brief", "some_names"]

_LONGEST: Final = 100
_MOST: Final = 10
# Of a URL, or where a URL was meant; up to the last "@", as there may be one in a password.
_USER: Final = re.compile(":.*@", re.DOTALL)


class _Brief(reprlib.Repr):
    """Looks at no more of a value than it shows: a list may have millions of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = _LONGEST

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(_without_user(x) if "@" in x else x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x) if len(x) <= _LONGEST else f"{bytes(x[:_LONGEST])!r}..."

    repr_bytearray = repr_bytes

    def repr_instance(self, x: object, level: int) -> str:
        return _without_user(super().repr_instance(x, level))


_BRIEF: Final = _Brief()


def brief(value: object) -> str:
    """Return the beginning of the repr of a value, on about one line, without users and passwords of URLs. Raises
    nothing, whatever its ``__repr__`` does.

    >>> brief([("a", 1), ("b", 2)])
    "[('a', 1), ('b', 2)]"
    >>> brief(range(3)), brief([*range(1000)])
    ('range(0, 3)', '[0, 1, 2, 3, 4, 5, ...]')
    >>> brief(["cql://app:secret@10.0.0.1"])
    "['cql:…@10.0.0.1']"
    """
    try:
        text = _BRIEF.repr(value)
    except Exception:  # an object of the user's, or an integer with more digits than Python writes
        text = f"<a {type(value).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def some_names(names: Iterable[object]) -> str:
    """Return the first of some names that a user gave, each shortened, as a list in words.

    >>> some_names(["a", "b"]), some_names(f"column{i}" for i in range(100))
    ('a, b', 'column0, column1, column2, column3, column4, column5, column6, column7, column8, column9, ...')
    """
    found = [_without_user(str(name))[:_LONGEST] for name in islice(names, _MOST + 1)]
    return ", ".join([*found[:_MOST], *(["..."] if len(found) > _MOST else [])])


def _without_user(text: str) -> str:
    return _USER.sub(":…@", text)
