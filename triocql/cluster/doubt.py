"""Doubt about a node that tells of nothing, where there was something."""

from __future__ import annotations

from triocql.errors import ProtocolError


class Doubt:
    """Believes that there is nothing any more once that is told a second time.

    Args:
        what: what there is, in the singular.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_open = False

    def check(self, *, tells: bool, had: bool) -> None:
        """Take in whether a node `tells` of something, where something is known or not. Raises ProtocolError if that is
        doubted.
        """
        self._is_open = had and not (tells or self._is_open)
        if self._is_open:
            raise ProtocolError(
                f"the node tells of no {self._what} any more; that is believed once it is told again"
            )
