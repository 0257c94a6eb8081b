"""A scripted node without I/O: it understands v3 to v5, answers by itself, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import ipaddress
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.engine import wire
from triocql.abc import Address, Transport
from triocql.protocol.constants import Opcode
from triocql.protocol.frames import FrameDecoder
from triocql.protocol.reader import Reader
from triocql.protocol.segments import SegmentDecoder
from triocql.statements.texts import keyspace_named

USER_REQUESTS = (Opcode.QUERY, Opcode.PREPARE, Opcode.EXECUTE, Opcode.BATCH)
INTS: tuple[wire.Column, ...] = (("v", "int"),)


@dataclass
class Asked:
    """One request as the node got it, and the ways to answer it."""

    link: PeerLink
    stream: int
    opcode: int
    body: bytes
    text: str = ""
    id: bytes = b""
    metadata_id: bytes = b""
    values: list[bytes | None] = field(default_factory=list)
    entries: list[str | bytes] = field(default_factory=list)
    skip_metadata: bool = False
    page_size: int | None = None
    paging_state: bytes | None = None
    keyspace: str | None = None
    timestamp: int | None = None

    @property
    def token(self) -> int:
        """The first bound value."""
        assert self.values[0] is not None
        number: int = struct.unpack(">i", self.values[0])[0]
        return number

    def answer(self, opcode: int, body: bytes, flags: int = 0) -> bool:
        """Send a response; nothing stops a second one. Returns True, as scripts do that have dealt with a request."""
        self.link.send(self.stream, opcode, body, flags)
        return True

    def void(self) -> bool:
        return self.answer(wire.RESULT, wire.void())

    def error(self, code: int, message: str = "no reason", fields: bytes = b"") -> bool:
        return self.answer(wire.ERROR, wire.error(code, message, fields))

    def unprepared(self, statement_id: bytes | None = None) -> bool:
        id_ = self.id if statement_id is None else statement_id
        return self.error(0x2500, "unprepared", wire.short_bytes(id_))

    def hold(self) -> bool:
        """Have the node keep the request in `held`."""
        self.link.node.held.append(self)
        return True

    def respond(self) -> None:
        """Answer as a node in good health does."""
        self.link.node.respond(self)


class PeerLink:
    """The node's end of one connection (`triocql.abc.Link`)."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.version = 0
        self.keyspace: str | None = None
        self.lost = False
        self.transport: Transport | None = None
        self._segmented = False
        self._decoder: FrameDecoder | SegmentDecoder | None = None
        self._outgoing = bytearray()

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport

    def data_to_send(self) -> bytes:
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def data_received(self, data: bytes | memoryview) -> None:
        if self._decoder is None:
            self.version = data[0]
            self._decoder = FrameDecoder(self.version)
        decoder = self._decoder
        frames = decoder.feed(data)
        while frames or decoder.has_more:
            for stream, flags, opcode, body in frames:
                self.node.take(_parsed(Asked(self, stream, opcode, body), flags))
            frames = decoder.feed(b"") if decoder.has_more else []

    def eof_received(self) -> None:
        assert self.transport is not None
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def send(self, stream: int, opcode: int, body: bytes, flags: int = 0) -> None:
        """Send a frame; what answers STARTUP switches over to segments."""
        version = min(self.version, max(self.node.versions))
        framed = wire.frame(version, stream, opcode, body, flags)
        self.send_raw(wire.segments(framed) if self._segmented else framed)
        if opcode in (wire.READY, wire.AUTHENTICATE) and self.version >= 5:
            self._segmented = True
            self._decoder = SegmentDecoder(FrameDecoder(self.version))

    def send_raw(self, data: bytes) -> None:
        self._outgoing += data
        if self.transport is not None:
            self.transport.wake()


class Node:
    """What all connections to one node share.

    Attributes:
        versions: the protocol versions that it speaks.
        script: is asked first about each request; True means that it has dealt with it.
        holding: keep requests of users in `held` instead of answering them.
        asked: all requests of users, in order, if `remember`.
        counts: how many requests came, by opcode.
        pages: for a text, the rows (one int each) of its pages.
        results: for a text, the columns of its rows; INTS unless said otherwise. Each cell is the token.
        parameters: for a text, the columns of its bind markers.
        links: the connections for requests of users.
        listeners: those that are registered for events.
        peers: the other nodes that its tables list, with their addresses.
        host_id: its own, in these tables.
    """

    def __init__(self, *versions: int) -> None:
        self.versions = versions or (5, 4, 3)
        self.script: Callable[[Asked], bool] | None = None
        self.holding = False
        self.remember = True
        self.held: list[Asked] = []
        self.asked: list[Asked] = []
        self.counts: dict[int, int] = {}
        self.links: list[PeerLink] = []
        self.listeners: list[PeerLink] = []
        self.peers: list[tuple[Node, Address]] = []
        self.data_centre = b"dc1"
        self.host_id = uuid.uuid4()
        self.pages: dict[str, Sequence[Sequence[int]]] = {}
        self.results: dict[str, tuple[wire.Column, ...]] = {}
        self.parameters: dict[str, tuple[wire.Column, ...]] = {}
        self.known: dict[bytes, str] = {}

    def accept(self) -> PeerLink:
        """Make the link of a new connection."""
        link = PeerLink(self)
        self.links.append(link)
        return link

    def take(self, asked: Asked) -> None:
        """Take a request. What is asked of its tables it answers by itself, as it does what comes from listeners."""
        if asked.text.startswith("SELECT * FROM system.") or asked.link in self.listeners:
            self.respond(asked)
            return
        self.counts[asked.opcode] = self.counts.get(asked.opcode, 0) + 1
        ours = asked.opcode in USER_REQUESTS
        if ours and self.remember:
            self.asked.append(asked)
        if self.script is not None and self.script(asked):
            return
        if ours and self.holding and not asked.text.startswith("USE "):
            self.held.append(asked)
        else:
            self.respond(asked)

    def texts(self, opcode: int = Opcode.QUERY) -> list[str]:
        """Return the texts of the requests so far with this opcode."""
        return [asked.text for asked in self.asked if asked.opcode == opcode]

    def tokens(self) -> list[int]:
        """Return the first values of the EXECUTEs so far."""
        return [asked.token for asked in self.asked if asked.opcode == Opcode.EXECUTE]

    def release(self) -> None:
        """Answer what is held, and hold nothing more."""
        self.holding = False
        held, self.held = self.held, []
        for asked in held:
            asked.respond()

    def forget(self) -> None:
        """Forget all prepared statements, as after a restart."""
        self.known.clear()

    def respond(self, asked: Asked) -> None:
        """Answer as a node in good health does."""
        if asked.link.version > max(self.versions):
            listed = ", ".join(f"{version}/v{version}" for version in sorted(self.versions))
            asked.error(0x000A, f"Invalid or unsupported protocol version; supported versions are ({listed})")
            return
        _RESPONSES[asked.opcode](self, asked)

    def _options(self, asked: Asked) -> None:
        options = {"CQL_VERSION": ["3.4.7"], "COMPRESSION": ["lz4", "snappy"]}
        asked.answer(wire.SUPPORTED, wire.supported(options))

    def _startup(self, asked: Asked) -> None:
        asked.answer(wire.READY, b"")

    def _query(self, asked: Asked) -> None:
        if asked.text.startswith("USE "):
            asked.link.keyspace = asked.text[4:].strip('"')
            asked.answer(wire.RESULT, wire.set_keyspace(asked.link.keyspace))
        elif asked.text.startswith("SELECT * FROM system."):
            asked.answer(wire.RESULT, self._table(asked.text))
        elif " FROM system_" in asked.text:  # it has no schema
            asked.answer(wire.RESULT, wire.rows([("keyspace_name", "text")], []))
        elif asked.text in self.pages:
            self._page(asked, INTS)
        elif asked.text.startswith("SELECT"):
            body = wire.rows([("text", "text")], [[asked.text.encode()]])
            asked.answer(wire.RESULT, body)
        else:
            asked.void()

    def statement_id(self, text: str, keyspace: str | None) -> bytes:
        """Return the id that the node gives a statement."""
        return hashlib.md5(f"{keyspace or ''}/{text}".encode(), usedforsecurity=False).digest()

    def _prepare(self, asked: Asked) -> None:
        keyspace = keyspace_named(asked.text) or asked.keyspace or asked.link.keyspace
        id_ = self.statement_id(asked.text, keyspace)
        self.known[id_] = asked.text
        binds = tuple((f"p{number}", "int") for number in range(asked.text.count("?")))
        binds = self.parameters.get(asked.text, binds)
        result = self._columns(asked.text)
        metadata_id = _metadata_id(result)
        body = wire.prepared(asked.link.version, id_, binds, result, metadata_id, keyspace or "ks")
        asked.answer(wire.RESULT, body)

    def _execute(self, asked: Asked) -> None:
        text = self.known.get(asked.id)
        if text is None:
            asked.unprepared()
            return
        asked.text = text
        columns = self._columns(text)
        if text in self.pages:
            self._page(asked, columns)
        elif columns:
            self._rows(asked, columns, [[asked.values[0]] * len(columns)], None)
        else:
            asked.void()

    def _batch(self, asked: Asked) -> None:
        unknown = [each for each in asked.entries if isinstance(each, bytes) and each not in self.known]
        if unknown:
            asked.unprepared(unknown[0])
        else:
            asked.void()

    def _register(self, asked: Asked) -> None:
        if asked.link in self.links:
            self.links.remove(asked.link)
            self.listeners.append(asked.link)
        asked.answer(wire.READY, b"")

    def _table(self, text: str) -> bytes:
        """Return the rows of a table about nodes."""
        if "system.local" in text:
            cells = [
                b"test",
                b"org.apache.cassandra.dht.Murmur3Partitioner",
                self.data_centre,
                self.host_id.bytes,
            ]
            return wire.rows(_LOCAL, [cells])
        peers = [
            [
                peer.data_centre,
                peer.host_id.bytes,
                ipaddress.ip_address(address.host).packed,
                wire.integer(address.port),
            ]
            for peer, address in self.peers
        ]
        return wire.rows(_PEERS, peers)

    def _columns(self, text: str) -> tuple[wire.Column, ...]:
        return self.results.get(text, INTS if text.startswith("SELECT") else ())

    def _page(self, asked: Asked, columns: Sequence[wire.Column]) -> None:
        pages = self.pages[asked.text]
        number = int(asked.paging_state or b"0")
        following = b"%d" % (number + 1) if number + 1 < len(pages) else None
        cells = [[wire.integer(each)] * len(columns) for each in pages[number]]
        self._rows(asked, columns, cells, following)

    def _rows(
        self,
        asked: Asked,
        columns: Sequence[wire.Column],
        cells: Sequence[Sequence[bytes | None]],
        paging_state: bytes | None,
    ) -> None:
        now = _metadata_id(columns)
        changed = asked.opcode == Opcode.EXECUTE and asked.link.version >= 5 and asked.metadata_id != now
        body = wire.rows(
            columns,
            cells,
            paging_state=paging_state,
            describe=changed or not asked.skip_metadata,
            new_metadata_id=now if changed else None,
        )
        asked.answer(wire.RESULT, body)


_LOCAL = (("cluster_name", "text"), ("partitioner", "text"), ("data_center", "text"), ("host_id", "uuid"))
_PEERS = (("data_center", "text"), ("host_id", "uuid"), ("native_address", "inet"), ("native_port", "int"))

_RESPONSES: dict[int, Callable[[Node, Asked], None]] = {
    Opcode.OPTIONS: Node._options,
    Opcode.STARTUP: Node._startup,
    Opcode.QUERY: Node._query,
    Opcode.PREPARE: Node._prepare,
    Opcode.EXECUTE: Node._execute,
    Opcode.BATCH: Node._batch,
    Opcode.REGISTER: Node._register,
}


def _metadata_id(columns: Sequence[wire.Column]) -> bytes:
    return hashlib.md5(repr(tuple(columns)).encode(), usedforsecurity=False).digest()


# --- Reading requests --------------------------------------------------------------------------------------------


def _parsed(asked: Asked, flags: int) -> Asked:
    reader = Reader(asked.body)
    if flags & 0x04:
        reader.bytes_map()
    parse = _PARSERS.get(asked.opcode)
    if parse is not None:
        parse(asked, reader)
    return asked


def _long_string(reader: Reader) -> str:
    return reader.raw(reader.int32()).decode()


def _parse_prepare(asked: Asked, reader: Reader) -> None:
    asked.text = _long_string(reader)
    if asked.link.version >= 5 and reader.int32() & 1:
        asked.keyspace = reader.string()


def _parse_query(asked: Asked, reader: Reader) -> None:
    asked.text = _long_string(reader)
    _parse_parameters(asked, reader)


def _parse_execute(asked: Asked, reader: Reader) -> None:
    asked.id = reader.short_bytes()
    asked.text = asked.link.node.known.get(asked.id, "")
    if asked.link.version >= 5:
        asked.metadata_id = reader.short_bytes()
    _parse_parameters(asked, reader)


def _parse_parameters(asked: Asked, reader: Reader) -> None:
    reader.short()  # consistency
    flags = reader.int32() if asked.link.version >= 5 else reader.byte()
    if flags & 0x01:
        asked.values = _values(reader)
    asked.skip_metadata = bool(flags & 0x02)
    asked.page_size = reader.int32() if flags & 0x04 else None
    asked.paging_state = reader.nullable_bytes() if flags & 0x08 else None
    _parse_extras(asked, reader, flags)


def _parse_extras(asked: Asked, reader: Reader, flags: int) -> None:
    if flags & 0x10:
        reader.short()
    if flags & 0x20:
        asked.timestamp = struct.unpack(">q", reader.raw(8))[0]
    asked.keyspace = reader.string() if flags & 0x80 else None


def _parse_batch(asked: Asked, reader: Reader) -> None:
    reader.byte()  # logged, unlogged or counter
    for _ in range(reader.short()):
        entry = reader.short_bytes() if reader.byte() else _long_string(reader)
        asked.entries.append(entry)
        asked.values += _values(reader)
    reader.short()  # consistency
    _parse_extras(asked, reader, reader.int32() if asked.link.version >= 5 else reader.byte())


def _values(reader: Reader) -> list[bytes | None]:
    return [reader.nullable_bytes() for _ in range(reader.short())]


_PARSERS: dict[int, Callable[[Asked, Reader], None]] = {
    Opcode.PREPARE: _parse_prepare,
    Opcode.QUERY: _parse_query,
    Opcode.EXECUTE: _parse_execute,
    Opcode.BATCH: _parse_batch,
}
