"""The depth of a caller's stack: the steps of a loop that it drives from far down would meet the end of it."""

from __future__ import annotations

import sys

SHARE = 4
"""One part of so many of the recursion limit is enough for callers: frames of C count, too, and cannot be counted."""

if sys.version_info >= (3, 12):

    def is_deep() -> bool:
        """Whether the caller has used much of the stack that Python allows."""
        return sys._getframemodulename(sys.getrecursionlimit() // SHARE) is not None

else:

    def is_deep() -> bool:
        """Whether the caller has used much of the stack that Python allows."""
        try:
            sys._getframe(sys.getrecursionlimit() // SHARE)
        except ValueError:
            return False
        return True
