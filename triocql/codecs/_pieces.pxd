# The functions on bytes of `routing.py`, inline, for the module that is compiled.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint32_t


cdef inline int32_t int_at(bytes values, Py_ssize_t at) noexcept:
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(values) + at
    return <int32_t>(
        (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]
    )


cdef inline bytes piece(bytes values, Py_ssize_t at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(values) + at, size)
