"""The packages that take columns: none of them is needed by triocql itself, each is imported where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from triocql.errors import MissingExtraError

_EXTRAS = {"pyarrow": "arrow"}


def require(package: str) -> Any:
    """Return a package, or a module of one. Raises MissingExtraError, which names the extra, if it is not there."""
    whole = package.partition(".")[0]
    try:
        return import_module(package)
    except ImportError as error:
        if error.name not in (package, whole):
            raise
        extra = _EXTRAS.get(whole, whole)
        raise MissingExtraError(
            f"{whole} is not installed; install the extra: pip install 'triocql[{extra}]'"
        ) from None
