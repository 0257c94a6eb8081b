# What `tablets.py` is, compiled.
cimport cython

from triocql.metadata._searching cimport first_not_less


cdef class Tablet:
    cdef readonly long long first
    cdef readonly long long last
    cdef readonly tuple replicas
    cdef readonly tuple shards
    cdef readonly object version
    cdef int _turn

    @cython.locals(turn=int)
    cpdef int next_block(self) except -1
    @cython.locals(at=Py_ssize_t)
    cpdef int shard_of(self, node) except -2
    cpdef bint says_the_same(self, Tablet other) except -1


cdef class TableTablets:
    cdef readonly str keyspace
    cdef readonly str table
    cdef readonly Py_ssize_t weight
    cdef object _lasts
    cdef list _tablets

    @cython.locals(tablets=list, at=Py_ssize_t, tablet=Tablet)
    cpdef Tablet find(self, long long token)
    @cython.locals(
        first="long long", last="long long", low=Py_ssize_t, high=Py_ssize_t, tablets=list, after=Tablet,
        before=Tablet, replaced=Tablet
    )
    cpdef bint put(self, Tablet tablet) except -1
    cpdef keep(self, is_kept)
