"""The error for a class of the user's that refused values: it says why, and never shows a value."""

from __future__ import annotations

import re
from typing import Any

from triocql.errors import RowTypeError

# Errors of pydantic whose message is what a validator of the user's said, which may be a value.
_OWN_WORDS = ("value_error", "assertion_error")
_MSGSPEC = re.compile(r"(Expected [^-]*?) - at `\$\.(\w+)")


def refused(cls: type[Any], what: str, error: Exception) -> RowTypeError:
    """Return the error that says that `cls` refused `what`; to be raised from `error`."""
    return RowTypeError(f"{cls.__qualname__} refused {what}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return what is wrong and why, as far as the library of the class says so; never a value."""
    name = type(error).__name__
    library = type(error).__module__.partition(".")[0]
    if name == "ValidationError" and library in ("pydantic", "pydantic_core"):
        problems: list[dict[str, Any]] = error.errors(  # type: ignore[attr-defined]
            include_url=False, include_input=False, include_context=False
        )
        return "; ".join(
            f"{each['loc'][0] if each['loc'] else 'the whole'!r}: "
            f"{name if each['type'] in _OWN_WORDS else each['msg']}"
            for each in problems
        )
    found = _MSGSPEC.match(str(error)) if library == "msgspec" else None
    return f"{found[2]!r}: {found[1]}" if found else name
