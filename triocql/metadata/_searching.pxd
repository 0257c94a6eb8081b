# The search of `ring.py` among the tokens of Cassandra's default partitioner, inline, for the module that is compiled.
from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from triocql.metadata._murmur3 cimport hashed


cdef inline int64_t token_of(bytes routing_key) except? -1:
    cdef int64_t token
    if routing_key is None:
        raise TypeError("a routing key is bytes, not None")
    if not PyBytes_GET_SIZE(routing_key):
        return INT64_MIN
    token = hashed(<const unsigned char*>PyBytes_AS_STRING(routing_key), PyBytes_GET_SIZE(routing_key))
    return INT64_MAX if token == INT64_MIN else token


cdef inline Py_ssize_t first_not_less(array.array tokens, int64_t token) noexcept:
    cdef const long long* numbers = tokens.data.as_longlongs
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = len(tokens)
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < token:
            low = middle + 1
        else:
            high = middle
    return low
