"""The server's end of one connection, without I/O: bytes in, requests out; answers in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from triocql.abc import Link, Transport

from . import framing
from .auth import Conversation
from .doors import Accepted
from .encoder import Opcode
from .errorcodes import ErrorCode, encode_error
from .faults import Fault, Piece
from .framing import Compression, Frame, FrameReader, SegmentReader
from .outgoing import Ending, Outgoing
from .scylla.settings import Scylla
from .tap import Tap
from .wire import BadRequest

T = TypeVar("T")

_RESPONSE = 0x80


class Surroundings(Protocol):
    """The place where a server runs, as its connections see it."""

    def call(self, fn: Callable[[], T]) -> T:
        """Call `fn` where the server runs."""

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` after so many seconds of the server's clock."""

    def wrap(self, connection: ServerConnection) -> Link:
        """Return the connection, within TLS if the server speaks it."""


class Owner(Protocol):
    """A node, as its connections see it."""

    versions: tuple[int, ...]
    scylla: Scylla | None

    @property
    def server(self) -> Surroundings:
        """The server of the node."""

    def take(self, connection: ServerConnection, frame: Frame) -> None:
        """Answer a request. Raises BadRequest if it is not a valid one."""

    def lost(self, connection: ServerConnection) -> None:
        """Called when a connection has ended."""


class ServerConnection:
    """One connection to a node (it implements `triocql.abc.Link`). Its faults may be called at any time, in any thread.

    Args:
        node: the node.
        accepted: how it came.
        reset: breaks the transport with RST.

    Attributes:
        number: its number among all connections of the server.
        peer_port: the port of the client; that of the node that was dialled is ``port``.
        shard: the shard that it is on, -1 if the node has none.
        tls: whether it speaks TLS, if the server does.
        extensions: which of the extensions that the node offers the client has asked for.
        version: of the protocol, 0 before the first request.
        keyspace: the one in use.
        options: of STARTUP.
        events: the kinds of events that it is registered for.
        user_ready: whether the client is through with STARTUP and authentication.
        segmented: whether both sides have gone over to segments.
        lost: whether it has ended.
        received: bytes that came in, without TLS.
        tap: the outermost link: what the transport is driven by.
    """

    def __init__(self, node: Owner, accepted: Accepted, reset: Callable[[], None]) -> None:
        self.node = node
        self.number = accepted.number
        self.port = accepted.port
        self.peer_port = accepted.peer_port
        self.shard = accepted.shard
        self.tls = accepted.tls
        self.extensions: frozenset[str] = frozenset()
        self.version = 0
        self.keyspace: str | None = None
        self.options: dict[str, str] = {}
        self.events: set[str] = set()
        self.conversation: Conversation | None = None
        self.user_ready = False
        self.segmented = False
        self.compression: Compression | None = None
        self.lost = False
        self.received = 0
        self.transport: Transport | None = None
        self.tap = Tap(node.server.wrap(self))
        self._reset = reset
        self._call = node.server.call
        self._frames: FrameReader | SegmentReader = FrameReader()
        self._switched = self._ending = False
        self._outgoing = Outgoing(node.server.call_later, self._wake, self._finish)

    # --- As a link -----------------------------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:
        """Called once with the transport (`Link`)."""
        self.transport = transport

    def data_to_send(self) -> bytes:
        """Hand over what is to be sent."""
        return self._outgoing.take()

    def data_received(self, data: bytes | memoryview) -> None:
        """Called with bytes from the client (`Link`)."""
        self.received += len(data)
        if self._ending:
            return
        try:
            self._read(bytes(data))
        except BadRequest as problem:
            self._refuse(str(problem))

    def eof_received(self) -> None:
        """Close, too, after what waits to be sent."""
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called when the connection has ended (`Link`)."""
        self.lost = True
        self._outgoing.clear()
        self.node.lost(self)

    # --- Requests ------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Answer all requests that are complete, until the connection is to end."""
        for frame in self._frames.feed(data):
            if not self._ending:
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        version = frame.version
        if version & _RESPONSE:
            raise BadRequest(f"a response where a request belongs (version byte {version:#x})")
        if version not in self.node.versions:
            self._refuse_version(frame)
            return
        if self.version and version != self.version:
            raise BadRequest(f"a request of protocol v{version} on a connection of v{self.version}")
        self.version = version
        try:
            self.node.take(self, frame)
        except BadRequest as problem:
            self._refuse(str(problem), frame.stream)

    def _refuse_version(self, frame: Frame) -> None:
        known = ", ".join(f"{each}/v{each}" for each in sorted(self.node.versions))
        message = (
            f"Invalid or unsupported protocol version ({frame.version}); supported versions are ({known})"
        )
        newest, stream = max(self.node.versions), frame.stream
        if self.node.scylla is not None:  # which has read one byte by then, and knows of no stream
            message, stream = f"Invalid or unsupported protocol version: {frame.version}", 0
        body = encode_error(newest, ErrorCode.PROTOCOL_ERROR, message, {})
        self.send(Frame(newest | _RESPONSE, 0, stream, Opcode.ERROR, body))
        self.end("close")

    def _refuse(self, message: str, stream: int = 0) -> None:
        """Answer what makes no sense, then close."""
        version = self.version or max(self.node.versions)
        body = encode_error(version, ErrorCode.PROTOCOL_ERROR, message, {})
        self.send(Frame(version | _RESPONSE, 0, stream, Opcode.ERROR, body))
        self.end("close")

    def _switch(self) -> None:
        """Go over to segments and compression, as STARTUP has said: its answer was the last that went bare."""
        self._switched = True
        name = self.options.get("COMPRESSION")
        if self.version >= 5:
            self.segmented = True
            self._outgoing.compressed = name is not None
            self._frames = SegmentReader(compressed=name is not None)
        elif name is not None and isinstance(self._frames, FrameReader):
            self.compression = self._frames.compression = framing.COMPRESSIONS[name]()

    # --- Answers -------------------------------------------------------------------------------------------

    @property
    def segment_header_size(self) -> int:
        """Bytes of a segment's header without its checksum."""
        return 5 if self._outgoing.compressed else 3

    def send(self, frame: Frame, faults: Sequence[Fault] = (), *, as_is: bool = False) -> None:
        """Send a frame. With `as_is` it is not compressed (v3 and v4)."""
        if self.lost:
            return
        sent = [frame]
        for fault in faults:
            sent = [each for before in sent for each in fault.frames(self, before)]
        compression = None if as_is or self.segmented else self.compression
        for each in sent:
            self._send_bytes(each.encode(compression), faults)
        if frame.opcode in (Opcode.READY, Opcode.AUTHENTICATE) and not self._switched:
            self._switch()

    def _send_bytes(self, data: bytes, faults: Sequence[Fault]) -> None:
        """Send a frame's bytes. In segments they share one with their neighbours, unless a fault is about bytes."""
        about_bytes = [fault for fault in faults if fault.about_bytes]
        if self.segmented and not about_bytes:
            self._outgoing.add_frame(data)
            return
        if self.segmented:
            size = min((fault.segment_size for fault in about_bytes), default=framing.SEGMENT_SIZE)
            data = framing.segments([data], compressed=self._outgoing.compressed, size=size)
        pieces: list[Piece] = [data]
        for fault in about_bytes:
            pieces = [
                changed
                for piece in pieces
                for changed in (fault.pieces(self, piece) if isinstance(piece, bytes) else (piece,))
            ]
        self._outgoing.add(pieces)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._outgoing.add([data])

    def send_event(self, body: bytes) -> None:
        """Send an event."""
        self.send(Frame(self.version | _RESPONSE, 0, -1, Opcode.EVENT, body))

    # --- Faults --------------------------------------------------------------------------------------------

    def end(self, how: Ending) -> None:
        """Close (FIN) or reset (RST) after what was sent before. No request is taken any more."""

        def ending() -> None:
            self._ending = True
            self._outgoing.add_end(how)

        self._call(ending)

    def drop(self, how: Ending) -> None:
        """Close or reset now, whatever waits to be sent."""

        def dropping() -> None:
            self._ending = True
            self._outgoing.clear()
            self._finish(how)

        self._call(dropping)

    def freeze(self) -> None:
        """Neither read nor send, below TLS too, until `thaw`."""
        self._call(self.tap.freeze)

    def thaw(self) -> None:
        """Go on after `freeze`, with what has come in meanwhile."""
        self._call(self.tap.thaw)

    def black_hole(self) -> None:
        """From now on lose whatever comes in, and send nothing, for ever."""
        self._call(self.tap.black_hole)

    def hang_up(self) -> None:
        """Close the socket at once: nothing that waits is sent, no goodbye of TLS either."""
        self._call(self.tap.hang_up)

    def stop_reading(self) -> None:
        """Read no more, so that the client feels back-pressure; answers are still sent."""
        if self.transport is not None:
            self._call(self.transport.pause_reading)

    def resume_reading(self) -> None:
        """Go on reading."""
        if self.transport is not None:
            self._call(self.transport.resume_reading)

    # --- Within --------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.transport is not None and not self.lost:
            self.transport.wake()

    def _finish(self, how: Ending) -> None:
        if how == "reset" or self.transport is None:
            self._reset()
        else:
            self.transport.close()
