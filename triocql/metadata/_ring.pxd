# What `ring.py` is, compiled.
cimport cython

from triocql.metadata._searching cimport divided, first_in_part, token_of


@cython.final
cdef class Ring:
    cdef readonly object partitioner
    cdef readonly tuple nodes
    cdef readonly object tokens
    cdef readonly object owners
    cdef readonly tuple problems
    cdef readonly bint has_numbers
    cdef Py_ssize_t _size
    cdef object _begins
    cdef int _shift

    @cython.locals(at=Py_ssize_t)
    cpdef Py_ssize_t position(self, token) except -1
    cpdef Py_ssize_t position_of(self, bytes routing_key) except -1
    @cython.locals(at=Py_ssize_t)
    cdef Py_ssize_t position_at(self, long long token) except -1


@cython.final
cdef class ReplicaMap:
    cdef readonly Ring ring
    cdef readonly object strategy
    cdef readonly object table
    cdef readonly Py_ssize_t width
    cdef list _found
    cdef dict _shared

    cpdef tuple find(self, token)
    cpdef tuple replicas(self, bytes routing_key)
    cpdef Py_ssize_t begin_of(self, bytes routing_key) except -1
    cdef Py_ssize_t begin_at(self, long long token) except -1
    @cython.locals(
        width=Py_ssize_t,
        ranges=Py_ssize_t,
        position=Py_ssize_t,
        place=Py_ssize_t,
        weight=cython.uint,
        listed=cython.uint[::1],
        by_node="const unsigned char[::1]",
        by_range=cython.ushort[::1],
    )
    cpdef weighed(self, bytes weights)
    cdef Py_ssize_t _begin(self, Py_ssize_t position)
    cdef tuple _at(self, Py_ssize_t position)
    @cython.locals(begin=Py_ssize_t, nodes=tuple, replicas=tuple)
    cdef tuple _make(self, Py_ssize_t position)
