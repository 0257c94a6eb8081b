# cython: language_level=3, boundscheck=False, wraparound=False
"""The server's side of a connection: frames and segments in, canned frames out.

An EXECUTE costs a look at its statement id, one copy of a ready frame and its stream id; all else is rare and
goes to Python. The end of each statement id is its number, so that no hash table is needed.
"""

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memmove

import zlib

import lz4.block

cdef enum:
    HEADER = 9
    ID = 16
    MAX_PAYLOAD = 131071

cdef enum:
    STARTUP = 1
    EXECUTE = 10
    BATCH = 13
    RESULT = 8

cdef enum:
    COMPRESSED = 0x01
    PAYLOAD = 0x04
    SKIP_METADATA = 0x02

cdef object SEED = zlib.crc32(b"\xfa\x2d\x55\xca")


cdef inline unsigned int be32(const unsigned char* p) noexcept:
    return (<unsigned int>p[0] << 24) | (<unsigned int>p[1] << 16) | (<unsigned int>p[2] << 8) | p[3]


cdef inline unsigned int be16(const unsigned char* p) noexcept:
    return (<unsigned int>p[0] << 8) | p[1]


cdef Py_ssize_t payload_end(const unsigned char* p, Py_ssize_t n) noexcept:
    """Return where the custom payload ends that a body begins with; its end if it is cut off."""
    cdef Py_ssize_t at = 2
    cdef unsigned int entry, size
    if n < 2:
        return n
    for entry in range(be16(p)):
        if at + 2 > n:
            return n
        at += 2 + be16(p + at)
        if at + 4 > n:
            return n
        size = be32(p + at)
        at += 4 if size >= 0x80000000 else 4 + size
    return min(at, n)


cdef unsigned long long little(const unsigned char* p, int n) noexcept:
    cdef unsigned long long value = 0
    cdef int i
    for i in range(n):
        value |= <unsigned long long>p[i] << (8 * i)
    return value


cdef void put(unsigned char* at, unsigned long long value, int n) noexcept:
    cdef int i
    for i in range(n):
        at[i] = (value >> (8 * i)) & 0xFF


cdef unsigned int crc24(const unsigned char* p, int n) noexcept:
    cdef unsigned int crc = 0x875060
    cdef int i, bit
    for i in range(n):
        crc ^= <unsigned int>p[i] << 16
        for bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc


cdef inline object view(const unsigned char* p, Py_ssize_t n):
    return PyMemoryView_FromMemory(<char*>p, n, PyBUF_READ)


cdef class Buffer:
    """Bytes that grow at the end and are used up at the front."""

    cdef unsigned char* data
    cdef Py_ssize_t start, end, capacity

    def __dealloc__(self):
        free(self.data)

    cdef inline Py_ssize_t size(self) noexcept:
        return self.end - self.start

    cdef inline unsigned char* front(self) noexcept:
        return self.data + self.start

    cdef unsigned char* grow(self, Py_ssize_t n) except NULL:
        """Make room for n more bytes and return where they go."""
        cdef Py_ssize_t size = self.end - self.start
        cdef unsigned char* data
        if self.end + n > self.capacity:
            if self.start:
                memmove(self.data, self.data + self.start, size)
                self.start, self.end = 0, size
            if size + n > self.capacity:
                data = <unsigned char*>realloc(self.data, 2 * (size + n) + 65536)
                if data == NULL:
                    raise MemoryError
                self.data = data
                self.capacity = 2 * (size + n) + 65536
        self.end += n
        return self.data + self.end - n

    cdef inline int append(self, const unsigned char* p, Py_ssize_t n) except -1:
        memcpy(self.grow(n), p, n)
        return 0

    cdef inline void consume(self, Py_ssize_t n) noexcept:
        self.start += n
        if self.start == self.end:
            self.start = self.end = 0

    cdef bytes take(self):
        cdef bytes taken = self.front()[:self.size()]
        self.start = self.end = 0
        return taken


cdef class Canned:
    """One prepared statement's frames: with metadata, without, and with metadata and its new id."""

    cdef bytes statement_id, metadata_id, full, bare, changed

    def __init__(self, bytes statement_id, bytes metadata_id, bytes full, bytes bare, bytes changed):
        self.statement_id = statement_id
        self.metadata_id = metadata_id
        self.full = full
        self.bare = bare
        self.changed = changed

    cdef bytes frame(self, const unsigned char* p, const unsigned char* end, bint v5):
        """Choose by what follows the statement id: Cassandra's rule for result metadata."""
        cdef bint same = True
        cdef unsigned int n
        if v5:
            n = be16(p)
            if p + 2 + n > end:
                return None
            same = n == ID and memcmp(p + 2, PyBytes_AS_STRING(self.metadata_id), ID) == 0
            p += 2 + n + 3  # the flags have four bytes in v5; those in use are in the last one
        if p + 3 > end:
            return None
        if not same:
            return self.changed
        return self.bare if p[2] & SKIP_METADATA else self.full


cdef class Book:
    """All prepared statements, their frames ready for one version and one kind of frame compression."""

    cdef readonly int version
    cdef readonly bint compressed
    cdef list entries
    cdef bytes void

    def __init__(self, int version, bint compressed):
        self.version = version
        self.compressed = compressed
        self.entries = []
        self.void = self.frame(RESULT, b"\0\0\0\1")

    def add(self, bytes statement_id, bytes metadata_id, bytes full, bytes bare, bytes changed):
        """Take in a statement by the bodies of its kinds of answer. The id ends with the entry's number."""
        if int.from_bytes(statement_id[ID - 4:], "big") != len(self.entries):
            raise ValueError("the statement id does not end with the number of its entry")
        self.entries.append(Canned(
            statement_id,
            metadata_id,
            self.frame(RESULT, full),
            self.frame(RESULT, bare),
            self.frame(RESULT, changed),
        ))

    cdef bytes frame(self, int opcode, bytes body):
        cdef int flags = 0
        if self.compressed and body:
            packed = len(body).to_bytes(4, "big") + lz4.block.compress(body, store_size=False)
            if len(packed) < len(body):
                flags, body = COMPRESSED, packed
        return bytes((0x80 | self.version, flags, 0, 0, opcode)) + len(body).to_bytes(4, "big") + body

    cdef bytes executed(self, const unsigned char* p, Py_ssize_t n):
        """Return the answer to the body of an EXECUTE, None if its statement is not known."""
        cdef unsigned int number
        cdef Canned canned
        if n < 2 + ID or be16(p) != ID:
            return None
        number = be32(p + 2 + ID - 4)
        if number >= <unsigned int>len(self.entries):
            return None
        canned = <Canned>self.entries[number]
        if memcmp(p + 2, PyBytes_AS_STRING(canned.statement_id), ID):
            return None
        return canned.frame(p + 2 + ID, p + n, self.version == 5)


cdef class Connection:
    """One client's connection; `receive` returns the bytes to send."""

    cdef object answers
    cdef dict books
    cdef Book book
    cdef bint segmented, packed
    cdef Buffer segments, frames, payload, out

    def __init__(self, answers, dict books):
        self.answers = answers
        self.books = books
        self.segments, self.frames, self.payload, self.out = Buffer(), Buffer(), Buffer(), Buffer()

    def receive(self, const unsigned char[::1] data):
        """Take a piece of what the client sent. Raises ValueError if it breaks the protocol."""
        if data.shape[0]:
            if self.segmented:
                self.segments.append(&data[0], data.shape[0])
                self.read_segments()
            else:
                self.frames.append(&data[0], data.shape[0])
            self.read_frames()
            if self.payload.size():
                self.seal(self.payload.front(), self.payload.size(), True)
                self.payload.consume(self.payload.size())
        return self.out.take()

    cdef int read_segments(self) except -1:
        cdef int width = 5 if self.packed else 3
        cdef unsigned long long header
        cdef unsigned char* p
        cdef Py_ssize_t n, plain
        while self.segments.size() >= width + 3:
            p = self.segments.front()
            header = little(p, width)
            if little(p + width, 3) != crc24(p, width):
                raise ValueError("a segment's header has a wrong checksum")
            n = header & 0x1FFFF
            plain = (header >> 17) & 0x1FFFF if self.packed else 0
            if self.segments.size() < width + 3 + n + 4:
                break
            p += width + 3
            if little(p + n, 4) != zlib.crc32(view(p, n), SEED):
                raise ValueError("a segment's payload has a wrong checksum")
            if plain:
                block = lz4.block.decompress(view(p, n), uncompressed_size=plain)
                self.frames.append(<unsigned char*>PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))
            else:
                self.frames.append(p, n)
            self.segments.consume(width + 3 + n + 4)
        return 0

    cdef int read_frames(self) except -1:
        cdef unsigned char* p
        cdef Py_ssize_t n
        while self.frames.size() >= HEADER:
            p = self.frames.front()
            n = HEADER + be32(p + 5)
            if self.frames.size() < n:
                break
            self.answer(p, n - HEADER)
            self.frames.consume(n)
        return 0

    cdef int answer(self, const unsigned char* p, Py_ssize_t n) except -1:
        cdef const unsigned char* body = p + HEADER
        cdef bytes plain, frame = None
        cdef int opcode = p[4]
        cdef Py_ssize_t start
        if p[1] & COMPRESSED:
            plain = lz4.block.decompress(bytes(body[4:n]), uncompressed_size=be32(body))
            body, n = <const unsigned char*>PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain)
        if p[1] & PAYLOAD:
            start = payload_end(body, n)
            body, n = body + start, n - start
        if self.book is not None:
            if opcode == EXECUTE:
                frame = self.book.executed(body, n)
            elif opcode == BATCH:
                frame = self.book.void
        if frame is None:
            frame = self.rare(p[0], opcode, body[:n])
        self.emit(frame, p)
        if opcode == STARTUP and self.book is not None:
            self.segmented = self.book.version == 5
        return 0

    cdef bytes rare(self, int version, int opcode, bytes body):
        """Answer what is not on the hot path. STARTUP settles version and compression for good."""
        cdef Book book = self.book
        reply, answer = self.answers.reply(version, opcode, body)
        if book is None:
            book = self.books.get((version, False)) or self.books[5, False]
        if opcode == STARTUP and (version, False) in self.books:
            self.packed = b"lz4" in body.lower()
            self.book = self.books[version, self.packed and version < 5]
        return book.frame(reply, answer)

    cdef int emit(self, bytes frame, const unsigned char* request) except -1:
        """Queue a frame under the stream id of its request."""
        cdef unsigned char* p = <unsigned char*>PyBytes_AS_STRING(frame)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(frame)
        cdef Buffer target = self.payload if self.segmented else self.out
        cdef unsigned char* at
        if self.segmented and self.payload.size() + n > MAX_PAYLOAD:
            if self.payload.size():
                self.seal(self.payload.front(), self.payload.size(), True)
                self.payload.consume(self.payload.size())
            if n > MAX_PAYLOAD:
                return self.emit_large(frame, request)
        at = target.grow(n)
        memcpy(at, p, n)
        at[2], at[3] = request[2], request[3]
        return 0

    cdef int emit_large(self, bytes frame, const unsigned char* request) except -1:
        """Send a frame that is too long for one segment in several."""
        cdef Buffer whole = Buffer()
        cdef Py_ssize_t n
        whole.append(<unsigned char*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        whole.data[2], whole.data[3] = request[2], request[3]
        while whole.size():
            n = min(whole.size(), MAX_PAYLOAD)
            self.seal(whole.front(), n, False)
            whole.consume(n)
        return 0

    cdef int seal(self, const unsigned char* p, Py_ssize_t n, bint self_contained) except -1:
        """Write one segment around n bytes."""
        cdef int width = 5 if self.packed else 3
        cdef unsigned long long header = n | (<unsigned long long>self_contained << 17)
        cdef bytes block
        cdef unsigned char* at
        cdef unsigned int crc
        if self.packed:
            block = lz4.block.compress(view(p, n), store_size=False)
            header = n | (<unsigned long long>self_contained << 34)
            if PyBytes_GET_SIZE(block) < n:
                header = PyBytes_GET_SIZE(block) | (n << 17) | (<unsigned long long>self_contained << 34)
                p, n = <const unsigned char*>PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block)
        crc = zlib.crc32(view(p, n), SEED)
        at = self.out.grow(width + 3 + n + 4)
        put(at, header, width)
        put(at + width, crc24(at, width), 3)
        memcpy(at + width + 3, p, n)
        put(at + width + 3 + n, crc, 4)
        return 0
