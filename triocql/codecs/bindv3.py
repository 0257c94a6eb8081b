"""Writing values in protocol v3, which has no way to leave one unset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from triocql.errors import BindValueError
from triocql.protocol.constants import UNSET

if TYPE_CHECKING:
    from triocql.codecs.bind import Binder


class BinderV3:
    """A binder that refuses UNSET: a v3 server takes it for null, and would erase what it is to leave alone."""

    __slots__ = ("_binder",)

    def __init__(self, binder: Binder) -> None:
        self._binder = binder

    def bind(self, values: Sequence[Any] | Mapping[str, Any] | None) -> bytes:
        """Return the values as `Binder.bind` does. Raises BindValueError for UNSET, too."""
        bound = self._binder.bind(values)
        given = values.values() if isinstance(values, Mapping) else () if values is None else values
        if any(value is UNSET for value in given):
            raise BindValueError(
                "UNSET needs protocol v4 or newer; leave the column out of the statement instead"
            )
        return bound
