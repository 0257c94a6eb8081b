"""What becomes of several attempts to reach a cluster that have all failed: one error that tells of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.errors import ConnectError, ConnectTimeout, RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.errors import Attempt, Error
    from triocql.metadata.node import Node

NEXT = "next contact point"
"""What is decided when one cannot be used."""


def none_of(attempts: Sequence[Attempt], what: str) -> Exception:
    """Return the error for attempts that all failed: of their common kind, where they have one.

    It is the error itself if there was one attempt; `what` says it for several.
    """
    if len(attempts) == 1:
        return attempts[0].error
    kinds = {type(attempt.error) for attempt in attempts}
    kind = kinds.pop() if len(kinds) == 1 else ConnectError
    error = kind(what)
    assert isinstance(error, ConnectError)
    error.attempts = (*attempts[:-1], attempts[-1]._replace(decision="raised"))
    error.is_transient = any(
        each.error.is_transient for each in attempts if isinstance(each.error, ConnectError)
    )
    return error


def explained(node: Node, error: Error) -> ConnectError:
    """Return the error of a node that cannot be used, though it is connected."""
    kind = ConnectTimeout if isinstance(error, RequestTimeout) else ConnectError
    found = kind(f"{node.name}, reading what its cluster is made of: {error}")
    found.is_transient = error.is_transient
    return found
