# The functions on bytes of `message.py`, inline, for the modules that are compiled.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy


cdef inline char* put(char* at, bytes part) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(part)
    memcpy(at, PyBytes_AS_STRING(part), size)
    return at + size


cdef inline bytes join(
    bytes payload, bytes prefix, bytes head, bytes values, bytes before, int64_t timestamp, bytes after
):
    cdef Py_ssize_t stamped = 0 if timestamp == INT64_MIN else 8
    cdef Py_ssize_t size = (
        PyBytes_GET_SIZE(payload)
        + PyBytes_GET_SIZE(prefix)
        + PyBytes_GET_SIZE(head)
        + PyBytes_GET_SIZE(values)
        + PyBytes_GET_SIZE(before)
        + stamped
        + PyBytes_GET_SIZE(after)
    )
    cdef bytes body = PyBytes_FromStringAndSize(NULL, size)
    cdef char* at = PyBytes_AS_STRING(body)
    cdef uint64_t stamp = <uint64_t>timestamp
    cdef int i
    at = put(put(put(put(put(at, payload), prefix), head), values), before)
    for i in range(stamped):
        at[i] = <char>((stamp >> (56 - 8 * i)) & 0xFF)
    put(at + stamped, after)
    return body


cdef inline bint begins_with(bytes body, bytes head) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
    return PyBytes_GET_SIZE(body) >= size + 4 and not memcmp(
        PyBytes_AS_STRING(body), PyBytes_AS_STRING(head), size
    )


cdef inline int32_t int_at(bytes body, Py_ssize_t offset) noexcept:
    cdef unsigned char* p = <unsigned char*>PyBytes_AS_STRING(body) + offset
    return <int32_t>(
        (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]
    )
