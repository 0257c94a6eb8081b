"""The moments at which a signal can come."""

import dis
from types import FrameType

_RESUME = dis.opmap["RESUME"]
_AFTER_YIELD_FROM = 2
"""From this kind of resumption on, that of an outer frame of an ``await``, Python looks at no signals."""


def takes_signals(frame: FrameType) -> bool:
    """Return whether Python looks for signals at a call of which a profile function is told.

    It is told of each resumption of a coroutine, too. There, its frame would be left by an exception while what it
    awaits stays suspended: this nobody can do but a profile function.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    return at >= 0 and code[at] == _RESUME and (code[at + 1] & 3) < _AFTER_YIELD_FROM
