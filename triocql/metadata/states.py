"""The states of nodes: what follows from what happens, as a table."""

from __future__ import annotations

from enum import Enum

from triocql.metadata.node import Node, NodeState


class Sign(Enum):
    """Something that tells of the state of a node.

    CONNECTED: a connection to it takes requests. DIAL_FAILED: one could not be made. LOST: the last one has ended.
    REFUSED: it cannot be used as it is, such as one that does not speak the protocol version of the others. SAID_UP,
    SAID_DOWN: an event says so. UNWANTED, WANTED: by its distance it is to have no connections, or some.
    """

    CONNECTED = "connected"
    DIAL_FAILED = "dial failed"
    LOST = "lost"
    REFUSED = "refused"
    SAID_UP = "said up"
    SAID_DOWN = "said down"
    UNWANTED = "unwanted"
    WANTED = "wanted"


_UNKNOWN, _UP, _DOWN = NodeState.UNKNOWN, NodeState.UP, NodeState.DOWN
_FORCED, _IGNORED = NodeState.FORCED_DOWN, NodeState.IGNORED

TRANSITIONS: dict[tuple[NodeState, Sign], NodeState] = {
    (_UNKNOWN, Sign.CONNECTED): _UP,
    (_UNKNOWN, Sign.DIAL_FAILED): _DOWN,
    (_UNKNOWN, Sign.REFUSED): _FORCED,
    (_UNKNOWN, Sign.SAID_DOWN): _DOWN,
    (_UNKNOWN, Sign.UNWANTED): _IGNORED,
    # While there is a connection, that it could be used is known better than by hearsay.
    (_UP, Sign.LOST): _DOWN,
    (_UP, Sign.UNWANTED): _IGNORED,
    (_DOWN, Sign.CONNECTED): _UP,
    (_DOWN, Sign.REFUSED): _FORCED,
    (_DOWN, Sign.SAID_UP): _UNKNOWN,
    (_DOWN, Sign.UNWANTED): _IGNORED,
    (_FORCED, Sign.CONNECTED): _UP,
    (_FORCED, Sign.SAID_UP): _UNKNOWN,
    (_FORCED, Sign.UNWANTED): _IGNORED,
    (_IGNORED, Sign.WANTED): _UNKNOWN,
}
"""What changes the state; whatever is not here leaves it as it is."""


def show(node: Node, sign: Sign) -> bool:
    """Have the state of a node follow a sign; return whether it has changed."""
    following = TRANSITIONS.get((node.state, sign))
    if following is None:
        return False
    node.state = following
    return True
