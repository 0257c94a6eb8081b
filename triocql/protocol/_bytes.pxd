# cython: language_level=3
"""Integers as CQL has them in bytes: big-endian."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


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
