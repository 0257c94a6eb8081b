# cython: language_level=3
"""CRC-32, as zlib has it, without a call of Python, where the processor multiplies polynomials."""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>
    #include <stddef.h>

    static uint32_t triocql_crc32_of_byte[256];

    static int triocql_can_fold(void) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
            triocql_crc32_of_byte[byte] = crc;
        }
        return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    }

    /* 16 bytes moved on, by so many bits as the two factors are made for, and what is there added. */
    __attribute__((target("pclmul,sse4.1")))
    static inline __m128i triocql_fold(__m128i bytes, __m128i factors, __m128i there) {
        __m128i low = _mm_clmulepi64_si128(bytes, factors, 0x00);
        __m128i high = _mm_clmulepi64_si128(bytes, factors, 0x11);
        return _mm_xor_si128(_mm_xor_si128(low, high), there);
    }

    /* V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009: four
       times 16 bytes are folded into the next 64, then into one another; what is left is reduced after Barrett. The
       factors are powers of x modulo the polynomial, their bits in reverse order, as those of the bytes are. */
    __attribute__((target("pclmul,sse4.1")))
    static uint32_t triocql_folded(uint32_t start, const uint8_t* data, size_t size) {
        const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
        const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
        const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
        const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
        const __m128i low_32 = _mm_set_epi32(0, 0, 0, -1);
        uint32_t crc = ~start;
        if (size >= 16) {
            const __m128i* at = (const __m128i*)data;
            __m128i a = _mm_xor_si128(_mm_loadu_si128(at++), _mm_cvtsi32_si128((int)crc));
            __m128i b, c, d;
            size -= 16;
            if (size >= 48) {
                b = _mm_loadu_si128(at++);
                c = _mm_loadu_si128(at++);
                d = _mm_loadu_si128(at++);
                size -= 48;
                for (; size >= 64; size -= 64, at += 4) {
                    a = triocql_fold(a, by_512, _mm_loadu_si128(at));
                    b = triocql_fold(b, by_512, _mm_loadu_si128(at + 1));
                    c = triocql_fold(c, by_512, _mm_loadu_si128(at + 2));
                    d = triocql_fold(d, by_512, _mm_loadu_si128(at + 3));
                }
                a = triocql_fold(triocql_fold(triocql_fold(a, by_128, b), by_128, c), by_128, d);
            }
            for (; size >= 16; size -= 16)
                a = triocql_fold(a, by_128, _mm_loadu_si128(at++));
            data = (const uint8_t*)at;
            /* 128 bits to 96, to 64, to 32. */
            a = _mm_xor_si128(_mm_clmulepi64_si128(a, by_128, 0x10), _mm_srli_si128(a, 8));
            b = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_64, 0x00);
            a = _mm_xor_si128(_mm_srli_si128(a, 4), b);
            b = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), polynomial, 0x10);
            b = _mm_clmulepi64_si128(_mm_and_si128(b, low_32), polynomial, 0x00);
            crc = (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, b), 1);
        }
        while (size--)
            crc = crc >> 8 ^ triocql_crc32_of_byte[(crc ^ *data++) & 0xFF];
        return ~crc;
    }
    #else
    static int triocql_can_fold(void) { return 0; }
    static uint32_t triocql_folded(uint32_t start, const uint8_t* data, size_t size) { return 0; }
    #endif
    """
    bint can_fold "triocql_can_fold" ()
    uint32_t folded "triocql_folded" (uint32_t start, const uint8_t* data, size_t size) noexcept nogil
