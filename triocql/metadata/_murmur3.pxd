# The hash of `murmur3.py`, inline, for the modules that are compiled.
from libc.stdint cimport int8_t, int64_t, uint64_t


cdef inline uint64_t rotated(uint64_t number, int by) noexcept nogil:
    return (number << by) | (number >> (64 - by))


cdef inline uint64_t first(uint64_t k1) noexcept nogil:
    return rotated(k1 * 0x87C37B91114253D5ULL, 31) * 0x4CF5AD432745937FULL


cdef inline uint64_t second(uint64_t k2) noexcept nogil:
    return rotated(k2 * 0x4CF5AD432745937FULL, 33) * 0x87C37B91114253D5ULL


cdef inline uint64_t block(const unsigned char* at) noexcept nogil:
    cdef uint64_t number = 0
    cdef int i
    for i in range(8):
        number |= <uint64_t>at[i] << (8 * i)
    return number


cdef inline uint64_t signed_bytes(const unsigned char* at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t number = 0
    cdef Py_ssize_t i
    for i in range(size):
        number ^= <uint64_t>(<int64_t><int8_t>at[i]) << (8 * i)
    return number


cdef inline uint64_t mixed(uint64_t number) noexcept nogil:
    number = (number ^ (number >> 33)) * 0xFF51AFD7ED558CCDULL
    number = (number ^ (number >> 33)) * 0xC4CEB9FE1A85EC53ULL
    return number ^ (number >> 33)


cdef inline int64_t hashed(const unsigned char* at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t h1 = 0
    cdef uint64_t h2 = 0
    cdef Py_ssize_t left = size
    while left >= 16:
        h1 = rotated(h1 ^ first(block(at)), 27) + h2
        h1 = h1 * 5 + 0x52DCE729
        h2 = rotated(h2 ^ second(block(at + 8)), 31) + h1
        h2 = h2 * 5 + 0x38495AB5
        at += 16
        left -= 16
    if left > 8:
        h2 ^= second(signed_bytes(at + 8, left - 8))
        left = 8
    h1 ^= first(signed_bytes(at, left))
    h1 ^= <uint64_t>size
    h2 ^= <uint64_t>size
    h1 += h2
    h2 += h1
    return <int64_t>(mixed(h1) + mixed(h2))
