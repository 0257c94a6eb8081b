"""What follows when a page cannot be had: another try, or smaller ranges."""

from __future__ import annotations

from typing import Final

from triocql import errors

TRIES: Final = 3
"""How often a page is asked for again, on the next replica each time."""

_DELAYS: Final = (0.1, 0.4, 1.6)
"""Seconds before each of these tries."""

_HOPELESS: Final = 16
"""If so many parts of a task fail in a row, it is not some partition of theirs that is at fault."""

_OTHERS_MAY_DO_BETTER: Final = (
    errors.ProtocolError,
    errors.ProtocolViolation,
    errors.ReadFailure,
    errors.ServerError,
    errors.UnpreparedLoop,
)
_TOO_MUCH: Final = (errors.ReadTimeout, errors.ReadFailure, errors.RequestTimeout)
_FOR_WANT_OF_NODES: Final = (errors.Unavailable, errors.NoNodeAvailable)


class Streak:
    """How many parts of a task of the plan have failed since the last page of it came."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether smaller parts would fail, too."""
        return self.count >= _HOPELESS


def delay(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row."""
    return _DELAYS[min(max(failures, 1), len(_DELAYS)) - 1]


def may_pass(error: BaseException) -> bool:
    """Return whether a page may be had later, or elsewhere; else, nothing of the scan can."""
    if isinstance(error, errors.UsageError):  # the end of the session is one, too
        return False
    if type(error) is errors.RequestError or isinstance(
        error, _OTHERS_MAY_DO_BETTER
    ):  # the first is of a policy
        return True
    return isinstance(error, errors.Error) and error.is_transient


def was_too_much(error: BaseException) -> bool:
    """Return whether a smaller page may be had."""
    return isinstance(error, _TOO_MUCH)


def is_guardrail(error: BaseException) -> bool:
    """Return whether a node has refused a page for its size."""
    return isinstance(error, errors.InvalidQuery) and "page size" in error.message.replace("_", " ").lower()


def may_be_divided(error: BaseException) -> bool:
    """Return whether a part of a range may be had where all of it cannot."""
    return not isinstance(error, _FOR_WANT_OF_NODES)
