# cython: language_level=3
"""Integers as CQL has them in bytes: big-endian; and the way from one value to the next."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    /* Where the next cell is. That the size is what it mostly is, is guessed, by a branch: so the next address does not
       wait for the size to be read. A compiler that knew both to be equal would add the size after all: so it must not
       know what is added before it compares. */
    static inline int64_t triocql_after(int64_t at, int32_t size, int32_t width) {
        int64_t guess = width;
    #ifdef __GNUC__
        __asm__("" : "+r"(guess));
    #endif
        if (size == width)
            return at + guess;
        return at + (size > 0 ? size : 0);
    }
    """
    int64_t after_cell "triocql_after" (int64_t at, int32_t size, int32_t width) noexcept nogil


cdef inline uint32_t read32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline uint64_t read64(const uint8_t* p) noexcept nogil:
    return (<uint64_t>read32(p) << 32) | read32(p + 4)


cdef inline void store32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = value >> 24
    p[1] = value >> 16
    p[2] = value >> 8
    p[3] = value


cdef inline void store64(uint8_t* p, uint64_t value) noexcept nogil:
    store32(p, value >> 32)
    store32(p + 4, <uint32_t>value)
