"""Reads the tables that a node keeps of its cluster, on one connection: page by page, and decoded in slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.abc import Reactor
from triocql.cluster.query import InternalQueries
from triocql.codecs.registry import Registry
from triocql.engine.connections.connection import Connection
from triocql.errors import ProtocolError, ResponseError
from triocql.protocol.constants import Consistency, ErrorCode, Opcode
from triocql.protocol.requests import QueryParameters, query
from triocql.protocol.responses import RowsHeader, read_answer

if TYPE_CHECKING:
    from triocql.codecs.rows import RowPlan

_PAGE = 1000
# Decoded at a time: 256 tokens a row take about 2 ms then, in pure Python.
_SLICE = 16
_MOST_ROWS = 100_000


class NoSuchTable(ProtocolError):
    """The node has no such table."""


class Tables:
    """Reads tables on one connection.

    Args:
        timeout: seconds for each read, all of its pages included.
    """

    def __init__(self, reactor: Reactor, connection: Connection, timeout: float) -> None:
        self.connection = connection
        self._reactor = reactor
        self._timeout = timeout
        self._registry = Registry()  # what users register is for their rows

    async def read(self, text: str) -> list[dict[str, Any]]:
        """Return the rows of a query. Raises NoSuchTable, and errors of the driver."""
        queries = InternalQueries(
            self._reactor, self.connection, self._reactor.now() + self._timeout, self._timeout
        )
        version = self.connection.framing.version
        rows: list[dict[str, Any]] = []
        state: bytes | None = None
        while True:
            parameters = QueryParameters(Consistency.ONE, page_size=_PAGE, paging_state=state)
            flags, body = await self._ask(queries, query(version, text, parameters))
            header = read_answer(Opcode.RESULT, flags, body, version)
            if not isinstance(header, RowsHeader) or header.metadata is None:
                raise ProtocolError(f"the node answered {text!r} with something else than rows")
            if len(rows) + header.row_count > _MOST_ROWS:
                raise ProtocolError(f"the node answers {text!r} with more than {_MOST_ROWS:,} rows")
            rows += await self._decode(self._registry.plan(header.metadata.columns), body, header)
            if header.paging_state is None:
                return rows
            if header.paging_state == state:
                raise ProtocolError(f"the node answers {text!r} with the same page again and again")
            state = header.paging_state

    async def _ask(self, queries: InternalQueries, body: bytes) -> tuple[int, bytes]:
        """Send a query; return the flags and the body of its result."""
        opcode, flags, answer = await queries.exchange(Opcode.QUERY, body)
        if opcode == Opcode.RESULT:
            return flags, answer
        message = read_answer(opcode, flags, answer, self.connection.framing.version)
        if not isinstance(message, ResponseError):
            raise ProtocolError(f"the node answered a query with {type(message).__name__}")
        if message.code == ErrorCode.INVALID:
            raise NoSuchTable(message.message)
        raise message

    async def _decode(self, plan: RowPlan, body: bytes, header: RowsHeader) -> list[dict[str, Any]]:
        cursor = plan.page(body, header.rows_offset, header.row_count).cursor()
        rows = cursor.take(_SLICE, dict)
        while len(rows) < header.row_count:
            await self._reactor.sleep(0)
            rows += cursor.take(_SLICE, dict)
        return rows
