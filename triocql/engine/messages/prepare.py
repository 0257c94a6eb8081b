"""A text to prepare."""

from __future__ import annotations

from triocql.engine.connections.connection import Connection
from triocql.engine.messages import Message
from triocql.errors import UnfitAnswer
from triocql.metadata.node import Node
from triocql.protocol.constants import Opcode
from triocql.protocol.responses import Prepared, read_answer

_PREPARE, _RESULT = int(Opcode.PREPARE), int(Opcode.RESULT)


class PrepareMessage(Message):
    """A text to prepare; the response's place is taken by what `node`, which has prepared it then, says of it."""

    __slots__ = ("_body", "_version", "node", "text")
    opcode = _PREPARE
    text: str
    flags = 0

    def __init__(self, text: str, body: bytes, version: int) -> None:
        Message.__init__(self)
        self.node: Node | None = None
        self.text = text
        self._body = body
        self._version = version

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        return self._body

    def read(self, flags: int, body: bytes, connection: Connection) -> Prepared:
        """Read the answer (`Message`)."""
        answer = read_answer(_RESULT, flags, body, self._version, connection.features)
        if not isinstance(answer, Prepared):
            raise UnfitAnswer("the node answered PREPARE with a RESULT of another kind")
        self.node = connection.node
        return answer
