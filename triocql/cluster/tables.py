"""Reads the tables that a node keeps of its cluster, on one connection: page by page, and decoded in slices."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Any, TypeAlias

from triocql.abc import Reactor
from triocql.cluster.query import Exchange, InternalQueries
from triocql.codecs.registry import Registry
from triocql.engine.connections.connection import Connection
from triocql.errors import ConnectionLost, ProtocolError, ResponseError
from triocql.protocol.constants import Consistency, ErrorCode, Opcode
from triocql.protocol.requests import QueryParameters, query
from triocql.protocol.responses import RowsHeader, read_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.config.options import Options
    from triocql.metadata.node import Node

Rows: TypeAlias = "list[dict[str, Any]]"

_PAGE = 1000
# Decoded at a time, which takes about 2 ms in pure Python: as many rows as have so many cells, or so many bytes.
_CELLS_A_SLICE = 1024
_BYTES_A_SLICE = 96 * 1024

# How long the answer of a node that has given up in time may take, in seconds.
_TO_ANSWER = 1.0

MOST_BYTES = 256 * 1024 * 1024
"""How many bytes all pages of one reading may have. The largest schemas have some tens of MiB."""

LEAST_PAGE = 64 * 1024
"""How many bytes a page counts for at least: there is no end to empty ones."""


class NoSuchTable(ProtocolError):
    """The node has no such table."""


class Tables:
    """Reads tables on one connection.

    Args:
        options: say how many seconds each page may take: as many as connecting; or, where that is given, a node of
            ScyllaDB so many by itself, and one more to answer. Others have no such thing, and take its words for an
            error.
        by: when all pages have to be there, in any case.
        registry: has the codecs: one that is kept knows the columns from before. None of users', which are for their
            rows.
    """

    def __init__(
        self,
        reactor: Reactor,
        connection: Connection,
        options: Options,
        by: float = inf,
        registry: Registry | None = None,
    ) -> None:
        self.connection = connection
        self.timeout = options.connection.connect_timeout
        self.using = ""
        server_timeout = options.scylla.internal_timeout
        if server_timeout and connection.features.is_scylla:
            self.timeout = server_timeout + _TO_ANSWER
            self.using = f" USING TIMEOUT {ceil(server_timeout * 1000)}ms"
        self.by = by
        self.reactor = reactor
        self.registry = Registry() if registry is None else registry

    @property
    def node(self) -> Node:
        """The node that tells."""
        return self.connection.node

    async def read(self, text: str, values: bytes | None = None) -> Rows:
        """Return the rows of a query with these values. Raises NoSuchTable, and errors of the driver."""
        (rows,) = await self._read([_Reading(self, text, values)])
        if isinstance(rows, NoSuchTable):
            raise rows
        return rows

    async def read_all(self, texts: Sequence[str]) -> list[Rows | NoSuchTable]:
        """Return the rows of some queries, which are sent at once. Raises errors of the driver."""
        return await self._read([_Reading(self, text) for text in texts])

    async def _read(self, readings: Sequence[_Reading]) -> list[Rows | NoSuchTable]:
        found: list[Rows | NoSuchTable] = []
        size = 0
        try:
            for reading in readings:
                if self.connection.free:
                    reading.ask(None)
            for reading in readings:
                if not reading.is_asked:  # there were too few stream ids
                    reading.ask(None)
                found.append(await reading.rows(MOST_BYTES - size))
                size += reading.size
        finally:
            for reading in readings:
                reading.abandon()
        return found


class _Reading:
    """One query on its way. The next page is asked for before the one that is there is decoded.

    Attributes:
        size: how many bytes its pages had, as they count.
    """

    def __init__(self, tables: Tables, text: str, values: bytes | None = None) -> None:
        self.size = 0
        self._tables = tables
        self._text = text
        self._values = values
        self._version = tables.connection.framing.version
        self._exchange: Exchange | None = None

    def ask(self, state: bytes | None) -> None:
        """Ask for the page that begins at `state`."""
        tables = self._tables
        if not tables.connection.free:
            raise ConnectionLost(f"{tables.connection.name} has no stream id left, to ask for {self._text!r}")
        deadline = min(tables.by, tables.reactor.now() + tables.timeout)
        queries = InternalQueries(tables.reactor, tables.connection, deadline, tables.timeout)
        parameters = QueryParameters(
            Consistency.ONE, values=self._values, page_size=_PAGE, paging_state=state
        )
        body = query(self._version, self._text + tables.using, parameters)
        self._exchange = queries.start(Opcode.QUERY, body)

    @property
    def is_asked(self) -> bool:
        """Whether its first page was asked for."""
        return self._exchange is not None

    def abandon(self) -> None:
        """Want no more. Idempotent."""
        if self._exchange is not None:
            self._exchange.abandon()

    async def rows(self, most_bytes: int) -> Rows | NoSuchTable:
        """Return all rows, or that there is no such table. Raises errors of the driver."""
        rows: Rows = []
        state: bytes | None = None
        while True:
            answer = await self._answer()
            if isinstance(answer, NoSuchTable):
                return answer
            header, body = answer
            self.size += max(len(body), LEAST_PAGE)
            if self.size > most_bytes:
                raise ProtocolError(f"the node answers {self._text!r} with more than {MOST_BYTES:,} bytes")
            if header.paging_state is not None:
                if header.paging_state == state:
                    raise ProtocolError(f"the node answers {self._text!r} with the same page again and again")
                self.ask(header.paging_state)
            await self._decode(body, header, rows)
            if header.paging_state is None:
                return rows
            state = header.paging_state

    async def _answer(self) -> tuple[RowsHeader, bytes] | NoSuchTable:
        assert self._exchange is not None, "it was asked for"
        opcode, flags, body = await self._exchange.answer()
        message = read_answer(opcode, flags, body, self._version, self._tables.connection.features)
        if isinstance(message, ResponseError):
            if message.code == ErrorCode.INVALID:
                return NoSuchTable(message.message)
            raise message
        if opcode != Opcode.RESULT:
            raise ProtocolError(f"the node answered a query with {type(message).__name__}")
        if not isinstance(message, RowsHeader) or message.metadata is None:
            raise ProtocolError(f"the node answered {self._text!r} with something else than rows")
        return message, body

    async def _decode(self, body: bytes, header: RowsHeader, rows: Rows) -> None:
        """Read the rows of a page into `rows`, in slices."""
        assert header.metadata is not None, "it was looked at"
        if not header.row_count:
            return
        columns = max(1, len(header.metadata.columns))
        if header.row_count * columns * 4 > len(body):
            raise ProtocolError(f"the node answered {self._text!r} with fewer rows than it says")
        plan = self._tables.registry.plan(header.metadata.columns)
        cursor = plan.page(body, header.rows_offset, header.row_count).cursor()
        by_size = _BYTES_A_SLICE * header.row_count // len(body)
        step = max(1, min(_CELLS_A_SLICE // columns, by_size))
        for first in range(0, header.row_count, step):
            if first or rows:
                await self._tables.reactor.sleep(0)
            rows += cursor.take(step, dict)
