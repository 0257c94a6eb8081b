# What `routing.py` is, compiled.
cimport cython

from triocql.codecs._pieces cimport int_at, piece


@cython.locals(index=Py_ssize_t, part=bytes, key=bytes)
cpdef routing_key(bytes values, tuple indexes)
@cython.locals(at=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t)
cdef bytes _part(bytes values, Py_ssize_t index)
