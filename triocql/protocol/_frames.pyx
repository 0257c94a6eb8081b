# cython: language_level=3, wraparound=False
"""The compiled twin of `frames`: the same names, the same results, the same errors.

tests/property/test_twins.py holds both to it.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyBytes_Size
from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from triocql.protocol._bytes cimport read32, store32

from triocql.protocol.constants import MAX_FRAME
from triocql.protocol.frames import MIN_COMPRESSED as _MIN_COMPRESSED
from triocql.protocol.frames import check_body, decompressed, header_error

cdef enum:
    FLAG_COMPRESSED = 1

cdef Py_ssize_t MIN_COMPRESSED = _MIN_COMPRESSED
cdef Py_ssize_t MAX_BODY = MAX_FRAME


def encode_frames(int version, frames, compress=None):
    """Return the bytes of `frames` with a header before each body, compressed where that makes it shorter.

    Raises UsageError for a body that is longer than frames can be.
    """
    cdef list items = list(frames)
    if compress is not None:
        items = [_packed(frame, compress) for frame in items]
    return join(version, items, 0, len(items))


cdef Py_ssize_t size_of(tuple frame) except -1:
    """Return the length of a frame's body, checked: a longer one would be announced as a shorter one."""
    cdef Py_ssize_t size = PyBytes_Size(frame[3])  # checks the type, unlike the macro
    if size > MAX_BODY:
        check_body(size)
    return size


cdef tuple _packed(frame, compress):
    """Return a frame with its body compressed if that makes it shorter."""
    cdef Py_ssize_t size = size_of(<tuple?>frame)
    if size < MIN_COMPRESSED:
        return frame
    packed = compress(frame[3])
    if PyBytes_Size(packed) >= size:
        return frame
    return (frame[0], frame[1] | FLAG_COMPRESSED, frame[2], packed)


cdef bytes join(int version, list items, Py_ssize_t start, Py_ssize_t stop):
    """Return the bytes of some frames."""
    cdef Py_ssize_t total = 0, position, length
    cdef tuple frame
    cdef bytes body, out
    cdef uint8_t* at
    for position in range(start, stop):
        total += HEADER_SIZE + size_of(<tuple?>items[position])
    out = PyBytes_FromStringAndSize(NULL, total)
    at = <uint8_t*>PyBytes_AS_STRING(out)
    for position in range(start, stop):
        frame = <tuple>items[position]
        body = <bytes>frame[3]
        length = PyBytes_GET_SIZE(body)
        _write_header(at, version, <int>frame[1], <int>frame[0], <int>frame[2], length)
        memcpy(at + HEADER_SIZE, PyBytes_AS_STRING(body), length)
        at += HEADER_SIZE + length
    return out


cdef inline void _write_header(
    uint8_t* at, int version, int flags, int stream, int opcode, Py_ssize_t length
) noexcept:
    at[0] = <uint8_t>version
    at[1] = <uint8_t>flags
    at[2] = <uint8_t>(stream >> 8)
    at[3] = <uint8_t>stream
    at[4] = <uint8_t>opcode
    store32(at + 5, <uint32_t>length)


cdef class FrameDecoder:
    """Cuts a stream of bytes, in chunks of any size, into frames."""

    def __init__(self, int version_byte, Py_ssize_t max_frame=MAX_FRAME, decompress=None):
        self._version_byte = version_byte
        self._max_frame = max_frame
        self._needed = HEADER_SIZE
        self._decompress = decompress
        self._buffer = bytearray()

    @property
    def mid_frame(self):
        """Whether bytes of an unfinished frame are here."""
        return PyByteArray_GET_SIZE(self._buffer) > 0

    @property
    def frame_size_pending(self):
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        return self._needed if PyByteArray_GET_SIZE(self._buffer) >= HEADER_SIZE else 0

    def feed(self, data):
        """Take bytes and return the frames that they complete; raises ProtocolError for a bad header."""
        cdef list frames = []
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.take(<const uint8_t*>view.buf, view.len, frames)
        finally:
            PyBuffer_Release(&view)
        return frames

    cdef int take(self, const uint8_t* data, Py_ssize_t size, list frames) except -1:
        """Add the frames that some bytes complete to `frames`."""
        cdef bytearray whole
        cdef Py_ssize_t consumed
        if PyByteArray_GET_SIZE(self._buffer):
            append(self._buffer, data, size)
            data = <const uint8_t*>PyByteArray_AS_STRING(self._buffer)
            size = PyByteArray_GET_SIZE(self._buffer)
            if size < self._needed:
                return self._check_start(data, size)
            whole, self._buffer = self._buffer, bytearray()
        consumed = self._cut(data, size, frames)
        append(self._buffer, data + consumed, size - consumed)
        return 0

    cdef Py_ssize_t _cut(self, const uint8_t* data, Py_ssize_t size, list frames) except -1:
        """Add the whole frames in some bytes to `frames`; return how many bytes they take."""
        cdef Py_ssize_t start = 0, stop, length
        cdef int flags
        cdef const uint8_t* at
        cdef bytes body
        self._needed = HEADER_SIZE
        while size - start >= HEADER_SIZE:
            at = data + start
            # Narrowed for its sign, then widened: the header is added to it.
            length = <int32_t>read32(at + 5)
            if at[0] != self._version_byte or length < 0 or length > self._max_frame:
                raise self._header_error(at, HEADER_SIZE)
            stop = start + HEADER_SIZE + length
            if stop > size:
                self._needed = HEADER_SIZE + length
                return start
            flags = at[1]
            body = PyBytes_FromStringAndSize(<const char*>at + HEADER_SIZE, length)
            if flags & FLAG_COMPRESSED:
                flags ^= FLAG_COMPRESSED
                body = decompressed(body, self._decompress)
            frames.append((<int16_t>((at[2] << 8) | at[3]), flags, <int>at[4], body))
            start = stop
        self._check_start(data + start, size - start)
        return start

    cdef int _check_start(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Refuse a header by its first byte: TLS and HTTP servers may send fewer bytes than a header has."""
        if size and data[0] != self._version_byte:
            raise self._header_error(data, size)
        return 0

    cdef object _header_error(self, const uint8_t* data, Py_ssize_t size):
        cdef bytes start = PyBytes_FromStringAndSize(<const char*>data, min(size, <Py_ssize_t>HEADER_SIZE))
        return header_error(start, self._version_byte, self._max_frame)


cdef int append(bytearray buffer, const uint8_t* data, Py_ssize_t size) except -1:
    cdef Py_ssize_t old = PyByteArray_GET_SIZE(buffer)
    if size:
        PyByteArray_Resize(buffer, old + size)
        memcpy(PyByteArray_AS_STRING(buffer) + old, data, size)
    return 0
