# cython: language_level=3, wraparound=False
"""The compiled twin of `segments`: the same names, the same results, the same errors.

tests/property/test_twins.py holds both to it.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from triocql.protocol._crc32 cimport can_fold, folded
from triocql.protocol._frames cimport HEADER_SIZE, FrameDecoder, join, size_of

from zlib import crc32

from triocql.errors import ChecksumError, ProtocolError
from triocql.protocol.segments import CRC32_START

cdef enum:
    MAX_PAYLOAD = 128 * 1024 - 1
    LENGTH_BITS = 17
    CRC24_SIZE = 3
    CRC32_SIZE = 4
    CRC24_START = 0x875060
    CRC24_POLYNOMIAL = 0x1974F0B
    AT_ONCE = 1024

cdef bint FOLDS = can_fold()
cdef uint32_t START = CRC32_START


cdef uint32_t _crc24(const uint8_t* data, Py_ssize_t size) noexcept:
    """Return the checksum of a segment's header."""
    cdef uint32_t crc = CRC24_START
    cdef Py_ssize_t position
    cdef int bit
    for position in range(size):
        crc ^= <uint32_t>data[position] << 16
        for bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= CRC24_POLYNOMIAL
    return crc


cdef uint32_t _crc32(const uint8_t* data, Py_ssize_t size) except? 0:
    """Return the checksum of a segment's payload."""
    if FOLDS:
        return folded(START, data, size)
    return crc32(PyMemoryView_FromMemory(<char*>data, size, PyBUF_READ), CRC32_START)


cdef inline uint64_t _little(const uint8_t* data, int size) noexcept:
    cdef uint64_t value = 0
    cdef int position
    for position in range(size):
        value |= <uint64_t>data[position] << (8 * position)
    return value


cdef inline void _write_little(uint8_t* at, uint64_t value, int size) noexcept:
    cdef int position
    for position in range(size):
        at[position] = <uint8_t>(value >> (8 * position))


def encode_segments(int version, frames, compression=None):
    """Return the bytes of `frames` in as few segments as the rules allow. Raises UsageError as `encode_frames`."""
    cdef list items = list(frames)
    cdef list segments = []
    cdef Py_ssize_t start = 0, size = 0, position, length
    for position in range(len(items)):
        length = HEADER_SIZE + size_of(<tuple?>items[position])
        if size and size + length > MAX_PAYLOAD:
            _add_segments(segments, join(version, items, start, position), compression)
            start, size = position, 0
        size += length
    if size:
        _add_segments(segments, join(version, items, start, len(items)), compression)
    return segments[0] if len(segments) == 1 else b"".join(segments)


cdef int _add_segments(list segments, bytes payload, compression) except -1:
    """Add the segments of whole frames, or of the parts of one that fits no segment."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload), start = 0
    cdef bytes part
    if size <= MAX_PAYLOAD:
        segments.append(_segment(payload, 1, compression))
        return 0
    while start < size:
        part = PyBytes_FromStringAndSize(
            PyBytes_AS_STRING(payload) + start, min(size - start, <Py_ssize_t>MAX_PAYLOAD)
        )
        segments.append(_segment(part, 0, compression))
        start += MAX_PAYLOAD
    return 0


cdef bytes _segment(bytes payload, uint64_t self_contained, compression):
    """Return one segment: header, payload and its checksum."""
    cdef int head_size = 3
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload), stored = size
    cdef uint64_t fields
    cdef bytes packed, out
    cdef uint8_t* at
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(payload)
    if compression is None:
        fields = <uint64_t>size | self_contained << LENGTH_BITS
    else:
        head_size = 5
        packed = <bytes?>compression.compress(payload)
        if PyBytes_GET_SIZE(packed) < size:
            data = <const uint8_t*>PyBytes_AS_STRING(packed)
            stored = PyBytes_GET_SIZE(packed)
        else:
            size = 0  # says that the payload is not compressed
        fields = <uint64_t>stored | <uint64_t>size << LENGTH_BITS | self_contained << (2 * LENGTH_BITS)
    out = PyBytes_FromStringAndSize(NULL, head_size + CRC24_SIZE + stored + CRC32_SIZE)
    at = <uint8_t*>PyBytes_AS_STRING(out)
    _write_little(at, fields, head_size)
    _write_little(at + head_size, _crc24(at, head_size), CRC24_SIZE)
    at += head_size + CRC24_SIZE
    memcpy(at, data, stored)
    _write_little(at + stored, _crc32(data, stored), CRC32_SIZE)
    return out


@cython.auto_pickle(False)  # it would take what `_kept` points to for a text
@cython.final
cdef class SegmentDecoder:
    """Cuts a stream of bytes, in chunks of any size, into segments, and their payloads into frames."""

    cdef readonly bint has_more
    cdef FrameDecoder _frames
    cdef object _compression
    cdef int _head_size
    # What was begun, or is left for the next time; it has `needed` bytes at least once something can be made of it.
    cdef uint8_t* _kept
    cdef Py_ssize_t _size
    cdef Py_ssize_t _room
    cdef Py_ssize_t _needed
    cdef bint _taking

    # Not by `__init__`: whoever has it called again, `_kept` is what the sizes say.
    def __cinit__(self, FrameDecoder frames not None, compression=None):
        self._frames = frames
        self._compression = compression
        self._head_size = 3 if compression is None else 5
        self._needed = self._head_size + CRC24_SIZE

    def __dealloc__(self):
        PyMem_Free(self._kept)

    @property
    def mid_frame(self):
        """Whether bytes of an unfinished frame or segment are here."""
        return self._size > 0 or self._frames.mid_frame

    @property
    def frame_size_pending(self):
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        return self._frames.frame_size_pending

    def feed(self, data):
        """Take bytes and return the frames that they complete, up to the end of a segment if they are many: `has_more`
        says so. Raises ProtocolError for what is not valid.
        """
        cdef list frames = []
        cdef Py_buffer view
        if self._taking:
            raise RuntimeError("bytes come while others are taken")  # what is read may be moved by them
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        self._taking = True
        try:
            self._take(<const uint8_t*>view.buf, view.len, frames)
        finally:
            self._taking = False
            PyBuffer_Release(&view)
        return frames

    cdef int _take(self, const uint8_t* data, Py_ssize_t size, list frames) except -1:
        cdef Py_ssize_t used
        self.has_more = False
        while self._size:
            # No more than is lacking: what follows can be read where it is.
            used = max(min(self._needed - self._size, size), <Py_ssize_t>0)
            self._keep(data, used)
            data += used
            size -= used
            if self._size < self._needed:
                return 0
            used = self._cut(self._kept, self._size, frames)
            self._forget(used)
            if len(frames) >= AT_ONCE:
                self._keep(data, size)
                self.has_more = self._size > 0
                return 0
        used = self._cut(data, size, frames)
        self._keep(data + used, size - used)
        self.has_more = len(frames) >= AT_ONCE and self._size > 0
        return 0

    cdef int _keep(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Have some bytes here until others come."""
        cdef uint8_t* kept
        cdef Py_ssize_t room = max(self._size + size, self._needed)
        if not size:
            return 0
        if self._size + size > self._room:
            kept = <uint8_t*>PyMem_Realloc(self._kept, room)
            if kept == NULL:
                raise MemoryError
            self._kept = kept
            self._room = room
        memcpy(self._kept + self._size, data, size)
        self._size += size
        return 0

    cdef void _forget(self, Py_ssize_t used) noexcept:
        """Keep only what follows the first bytes of what is here."""
        self._size -= used
        if self._size:
            memmove(self._kept, self._kept + used, self._size)
        else:  # most connections have no use for it for long
            PyMem_Free(self._kept)
            self._kept = NULL
            self._room = 0

    cdef Py_ssize_t _cut(self, const uint8_t* data, Py_ssize_t size, list frames) except -1:
        """Add the frames in whole segments to `frames`, up to a segment with which they are many; return how many bytes
        these segments take."""
        cdef Py_ssize_t start = 0, stop, stored, plain
        cdef int header_size = self._head_size + CRC24_SIZE
        cdef const uint8_t* at
        cdef uint64_t fields
        self._needed = header_size
        while size - start >= header_size:
            at = data + start
            fields = _little(at, self._head_size)
            if _crc24(at, self._head_size) != _little(at + self._head_size, CRC24_SIZE):
                header = PyBytes_FromStringAndSize(<const char*>at, header_size).hex(" ")
                raise ChecksumError(f"the checksum of a segment's header is wrong ({header})")
            stored = fields & MAX_PAYLOAD
            fields >>= LENGTH_BITS
            plain = 0
            if self._compression is not None:
                plain = fields & MAX_PAYLOAD
                fields >>= LENGTH_BITS
            stop = start + header_size + stored + CRC32_SIZE
            if stop > size:
                self._needed = stop - start
                break
            at += header_size
            if _crc32(at, stored) != _little(at + stored, CRC32_SIZE):
                raise ChecksumError("the checksum of a segment's payload is wrong")
            self._unwrap(at, stored, plain, fields & 1, frames)
            start = stop
            if len(frames) >= AT_ONCE:
                break
        return start

    cdef int _unwrap(
        self, const uint8_t* data, Py_ssize_t size, Py_ssize_t plain, bint self_contained, list frames
    ) except -1:
        """Add the frames that a payload completes to `frames`."""
        cdef bytes content
        if plain:
            # A copy: whoever keeps what it is given, be it by a traceback, must not keep a view of our buffer.
            packed = PyBytes_FromStringAndSize(<const char*>data, size)
            content = <bytes?>self._compression.decompress(packed, plain)
            data = <const uint8_t*>PyBytes_AS_STRING(content)
            size = PyBytes_GET_SIZE(content)
        if self_contained and self._frames._head_size:
            raise ProtocolError("a self-contained segment comes in the middle of a frame")
        self._frames.take(data, size, frames)
        if self_contained and self._frames._head_size:
            raise ProtocolError("a self-contained segment ends in the middle of a frame")
        return 0
