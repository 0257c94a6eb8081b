# What `route.py` is, compiled.
cimport cython

from triocql.codecs._routing cimport routing_key
from triocql.engine.connections._streams cimport Target
from triocql.engine.requests._request cimport Request
from triocql.metadata._ring cimport ReplicaMap


cdef int _FAR
cdef Py_ssize_t _MANY


cdef class Routes:
    cdef object _snapshot
    cdef dict _targets
    cdef long long _seed

    @cython.locals(target=Target)
    cpdef bint send(self, tuple replicas, bint in_order, Request request) except -1
    @cython.locals(
        first=Target, second=Target, target=Target, count=Py_ssize_t, total=Py_ssize_t, begin=Py_ssize_t,
        number=Py_ssize_t, place=Py_ssize_t,
    )
    cpdef Target choose(self, tuple replicas, bint in_order)
    cdef Py_ssize_t _random(self, Py_ssize_t count)


cdef class Route:
    cdef Routes _routes
    cdef ReplicaMap _replicas
    cdef tuple _partition_key
    cdef bint _in_order

    cpdef bint send(self, bytes values, Request request) except -1
