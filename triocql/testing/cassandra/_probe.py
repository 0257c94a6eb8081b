"""Asks a node, in a few bytes of native protocol v4, whether it is ready."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Final

_OPTIONS: Final = bytes([0x04, 0, 0, 0, 0x05]) + struct.pack(">i", 0)
_SUPPORTED: Final = 0x06
_AUTH_SUCCESS: Final = 0x10
_HEADER: Final = 9


def unchecked_context() -> ssl.SSLContext:
    """Return a context for nodes of ours on loopback, whose certificates are unknown and need no check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def answers_options(
    address: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 1.0
) -> bool:
    """Whether the node answers OPTIONS with SUPPORTED within `timeout` seconds (protocol v4, 4.2.4)."""
    try:
        with _connect(address, port, tls, timeout) as sock:
            return _opcode_of_answer(sock, _OPTIONS) == _SUPPORTED
    except ssl.SSLError as error:
        # An alert: the node wants a client certificate. It is up, then.
        return not isinstance(error, ssl.SSLEOFError)
    except OSError:
        return False


def accepts_password(
    address: str, port: int, user: str, password: str, *, tls: ssl.SSLContext | None = None
) -> bool:
    """Whether the node lets this user in by a password (protocol v4, 4.1.1 and 4.1.2)."""
    startup = struct.pack(">H", 1) + _string(b"CQL_VERSION") + _string(b"3.0.0")
    token = b"\0" + user.encode() + b"\0" + password.encode()
    try:
        with _connect(address, port, tls, 5.0) as sock:
            _opcode_of_answer(sock, _request(0x01, startup))
            return (
                _opcode_of_answer(sock, _request(0x0F, struct.pack(">i", len(token)) + token))
                == _AUTH_SUCCESS
            )
    except OSError:
        return False


def _request(opcode: int, body: bytes) -> bytes:
    return bytes([0x04, 0, 0, 0, opcode]) + struct.pack(">i", len(body)) + body


def _string(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _connect(address: str, port: int, tls: ssl.SSLContext | None, timeout: float) -> socket.socket:
    sock = socket.create_connection((address, port), timeout)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=address)
    except OSError:
        sock.close()
        raise


def _opcode_of_answer(sock: socket.socket, request: bytes) -> int:
    """Send a request, read the whole answer, return its opcode; -1 when the node hangs up."""
    sock.sendall(request)
    header = _receive(sock, _HEADER)
    if len(header) < _HEADER:
        return -1
    _receive(sock, struct.unpack_from(">i", header, 5)[0])
    return header[4]


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := sock.recv(size - len(data))):
        data += chunk
    return data
