# The arithmetic of `sharding.py`, inline, for the modules that are compiled.
from libc.stdint cimport int64_t, uint64_t


cdef inline int shard_of(int64_t token, unsigned int shard_count, unsigned int ignore_msb) noexcept nogil:
    """The high half of a product of 96 bits: of two numbers of 32 bits each and the count, which has 16."""
    cdef uint64_t biased = (<uint64_t>token + 0x8000000000000000ULL) << ignore_msb
    return <int>(((biased >> 32) * shard_count + ((biased & 0xFFFFFFFFULL) * shard_count >> 32)) >> 32)
