# How `ring.py` and `route.py` look up what is in arrays, as the tokens of Cassandra's default partitioner are: inline,
# for the modules that are compiled.
from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.limits cimport UINT_MAX
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t
from libc.string cimport memset

from triocql.metadata._murmur3 cimport hashed


cdef inline int64_t token_of(bytes routing_key) except? -1:
    cdef int64_t token
    if routing_key is None:
        raise TypeError("a routing key is bytes, not None")
    if not PyBytes_GET_SIZE(routing_key):
        return INT64_MIN
    token = hashed(<const unsigned char*>PyBytes_AS_STRING(routing_key), PyBytes_GET_SIZE(routing_key))
    return INT64_MAX if token == INT64_MIN else token


cdef inline Py_ssize_t number_at(array.array table, Py_ssize_t at) noexcept:
    return table.data.as_uints[at]


cdef inline Py_ssize_t part_of(int64_t token, int shift) noexcept:
    """Return which part of all tokens one lies in: their upper bits are its number."""
    return <Py_ssize_t>((<uint64_t>token ^ (<uint64_t>1 << 63)) >> shift)


cdef inline array.array divided(array.array tokens, int shift):
    """Return the number of the first token of each part, and how many tokens there are, as where a last one would begin.
    """
    cdef const long long* numbers = tokens.data.as_longlongs
    cdef Py_ssize_t size = len(tokens)
    cdef Py_ssize_t count = <Py_ssize_t>1 << (64 - shift)
    cdef array.array begins = array.clone(array.array("I"), count + 1, zero=False)
    cdef unsigned int* firsts = begins.data.as_uints
    cdef unsigned int first = <unsigned int>size
    cdef Py_ssize_t at, part
    memset(firsts, 0xFF, count * sizeof(unsigned int))
    for at in range(size - 1, -1, -1):
        firsts[part_of(numbers[at], shift)] = <unsigned int>at
    for part in range(count, -1, -1):  # one without tokens begins with those of the next one
        if part < count and firsts[part] != UINT_MAX:
            first = firsts[part]
        firsts[part] = first
    return begins


cdef inline Py_ssize_t first_between(
    const long long* numbers, Py_ssize_t low, Py_ssize_t high, int64_t token
) noexcept:
    """Return the number of the first token that is not less, of some that lie together; that behind them if none is."""
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < token:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline Py_ssize_t first_in_part(array.array tokens, array.array begins, int shift, int64_t token) noexcept:
    """Of each part it is known where its tokens begin, so that few are looked at, however many there are in all."""
    cdef const long long* numbers = tokens.data.as_longlongs
    cdef Py_ssize_t part = part_of(token, shift)
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = len(tokens)  # arrays are open to whoever has the ring: nothing behind their ends is looked at
    if 0 <= part < len(begins) - 1:
        low = min(<Py_ssize_t>begins.data.as_uints[part], high)
        high = min(<Py_ssize_t>begins.data.as_uints[part + 1], high)
    return first_between(numbers, low, high, token)


cdef inline Py_ssize_t first_not_less(array.array tokens, int64_t token) noexcept:
    """Tokens are spread evenly: it begins where the token should be, and looks ever further away from there. In a ring
    of many thousands that stays within memory that lies together.
    """
    cdef const long long* numbers = tokens.data.as_longlongs
    cdef Py_ssize_t size = len(tokens)
    cdef Py_ssize_t low = <Py_ssize_t>((<double>token * 5.421010862427522e-20 + 0.5) * size)  # by 2**64
    cdef Py_ssize_t high
    cdef Py_ssize_t step = 16
    low = high = min(max(low, 0), size)
    while low > 0 and numbers[low - 1] >= token:
        high = low - 1
        low = max(high - step, 0)
        step *= 2
    while high < size and numbers[high] < token:
        low = high + 1
        high = min(low + step, size)
        step *= 2
    return first_between(numbers, low, high, token)
