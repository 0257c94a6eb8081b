# cython: language_level=3, wraparound=False
"""The compiled twin of `frames`: the same names, the same results, the same errors.

tests/property/test_twins.py holds both to it.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyBytes_Size
from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from triocql.protocol._bytes cimport read32, store32

from triocql.protocol.constants import MAX_FRAME
from triocql.protocol.frames import MIN_COMPRESSED as _MIN_COMPRESSED
from triocql.protocol.frames import check_body, decompressed, header_error

cdef enum:
    FLAG_COMPRESSED = 1
    FIRST_ROOM = 4 * 1024 * 1024  # for the body of an unfinished frame; of most, it has room for all

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


@cython.final
cdef class FrameDecoder:
    """Cuts a stream of bytes, in chunks of any size, into frames.

    The body of an unfinished frame is written where it remains, chunk by chunk.
    """

    def __init__(self, int version_byte, Py_ssize_t max_frame=MAX_FRAME, decompress=None):
        self._version_byte = version_byte
        self._max_frame = max_frame
        self._decompress = decompress
        self._head_size = 0
        self._length = self._filled = 0
        self._body = None

    @property
    def mid_frame(self):
        """Whether bytes of an unfinished frame are here."""
        return self._head_size > 0

    @property
    def frame_size_pending(self):
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        return HEADER_SIZE + self._length if self._head_size == HEADER_SIZE else 0

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
        cdef Py_ssize_t start = 0
        if self._head_size:
            start = self._go_on(data, size, frames)
        if not self._head_size:
            start = self._cut(data, start, size, frames)
            if start < size:
                self._go_on(data + start, size - start, frames)
        return 0

    cdef Py_ssize_t _cut(self, const uint8_t* data, Py_ssize_t start, Py_ssize_t size, list frames) except -1:
        """Add the whole frames in some bytes, from `start` on, to `frames`; return where they end."""
        cdef Py_ssize_t stop
        cdef const uint8_t* at
        while size - start >= HEADER_SIZE:
            at = data + start
            stop = start + HEADER_SIZE + self._checked_length(at)
            if stop > size:
                break
            start += HEADER_SIZE
            self._add(at, PyBytes_FromStringAndSize(<const char*>data + start, stop - start), frames)
            start = stop
        return start

    cdef Py_ssize_t _go_on(self, const uint8_t* data, Py_ssize_t size, list frames) except -1:
        """Take what the unfinished frame lacks, or the start of one; return how many bytes these are."""
        cdef Py_ssize_t used = 0, more
        if self._head_size < HEADER_SIZE:
            used = min(<Py_ssize_t>(HEADER_SIZE - self._head_size), size)
            memcpy(self._head + self._head_size, data, used)
            if self._head_size + used < HEADER_SIZE:
                self._head_size += <int>used
                # By its first byte: TLS and HTTP servers may send fewer bytes than a header has.
                if self._head_size and self._head[0] != self._version_byte:
                    raise self._header_error(self._head, self._head_size)
                return used
            self._length = self._checked_length(self._head)
            self._filled = 0
            self._body = PyBytes_FromStringAndSize(NULL, min(self._length, <Py_ssize_t>FIRST_ROOM))
            self._head_size = HEADER_SIZE  # not before: with a whole header there is a body
        more = min(size - used, self._length - self._filled)
        self._make_room(self._filled + more)
        memcpy(PyBytes_AS_STRING(self._body) + self._filled, data + used, more)
        self._filled += more
        if self._filled == self._length:
            body, self._body = self._body, None
            self._head_size = 0
            self._add(self._head, body, frames)
        return used + more

    cdef int _make_room(self, Py_ssize_t needed) except -1:
        """Have the body have so many bytes: what is announced has room only as it comes."""
        cdef bytes larger
        if needed > PyBytes_GET_SIZE(self._body):
            larger = PyBytes_FromStringAndSize(NULL, min(self._length, max(needed, 2 * PyBytes_GET_SIZE(self._body))))
            memcpy(PyBytes_AS_STRING(larger), PyBytes_AS_STRING(self._body), self._filled)
            self._body = larger
        return 0

    cdef int _add(self, const uint8_t* head, bytes body, list frames) except -1:
        """Add a frame to `frames`."""
        cdef int flags = head[1]
        if flags & FLAG_COMPRESSED:
            flags ^= FLAG_COMPRESSED
            body = decompressed(body, self._decompress)
        frames.append((<int16_t>((head[2] << 8) | head[3]), flags, <int>head[4], body))
        return 0

    cdef Py_ssize_t _checked_length(self, const uint8_t* head) except -1:
        """Return the length that a header announces."""
        # Narrowed for its sign, then widened: the header is added to it.
        cdef Py_ssize_t length = <int32_t>read32(head + 5)
        if head[0] != self._version_byte or length < 0 or length > self._max_frame:
            raise self._header_error(head, HEADER_SIZE)
        return length

    cdef object _header_error(self, const uint8_t* data, Py_ssize_t size):
        cdef bytes start = PyBytes_FromStringAndSize(<const char*>data, size)
        return header_error(start, self._version_byte, self._max_frame)
