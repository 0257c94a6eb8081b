# What `ring.py` is, compiled.
cimport cython

from triocql.metadata._searching cimport first_not_less, token_of


cdef class Ring:
    cdef readonly object partitioner
    cdef readonly tuple nodes
    cdef readonly object tokens
    cdef readonly object owners
    cdef readonly tuple problems
    cdef bint _numbers
    cdef Py_ssize_t _size

    @cython.locals(at=Py_ssize_t)
    cpdef Py_ssize_t position(self, token) except -1
    @cython.locals(at=Py_ssize_t)
    cpdef Py_ssize_t position_of(self, bytes routing_key) except -1


cdef class ReplicaMap:
    cdef readonly Ring ring
    cdef readonly object strategy
    cdef object _table
    cdef Py_ssize_t _width
    cdef list _found
    cdef dict _shared

    cpdef tuple find(self, token)
    cpdef tuple replicas(self, bytes routing_key)
    cdef tuple _at(self, Py_ssize_t position)
    @cython.locals(end=Py_ssize_t, nodes=tuple, replicas=tuple)
    cdef tuple _make(self, Py_ssize_t position)
