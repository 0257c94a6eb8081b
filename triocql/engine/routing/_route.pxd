# What `route.py` is, compiled.
cimport cython
from cpython cimport array

from triocql.codecs._routing cimport routing_key
from triocql.engine.connections._streams cimport Target
from triocql.engine.requests._request cimport Request
from triocql.metadata._ring cimport ReplicaMap
from triocql.metadata._searching cimport number_at, token_of
from triocql.metadata._tablets cimport TableTablets, Tablet


cdef int _FAR
cdef Py_ssize_t _MANY


cdef class Routes:
    cdef object _snapshot
    cdef dict _targets
    cdef dict _numbered
    cdef dict _keyed
    cdef dict _by_tablet
    cdef list _near
    cdef long long _seed

    cdef list _of(self, nodes)
    @cython.locals(targets=list, target=Target)
    cdef bint send_to_tablet(self, Tablet tablet, bint in_order, bint led, Request request) except -1
    @cython.locals(target=Target)
    cdef bint send_anywhere(self, long long token, Request request) except -1
    @cython.locals(first=Target, second=Target, target=Target, place=Py_ssize_t, looked_at=Py_ssize_t)
    cpdef Target choose(
        self, list targets, array.array numbers, Py_ssize_t begin, Py_ssize_t count, bint in_order
    )
    cdef Py_ssize_t _random(self, Py_ssize_t count)


cdef class Route:
    cdef Routes _routes
    cdef ReplicaMap _replicas
    cdef array.array _numbers
    cdef Py_ssize_t _width
    cdef list _targets
    cdef tuple _partition_key
    cdef bint _in_order

    cpdef bint send(self, bytes values, Request request) except -1
    @cython.locals(token="long long", target=Target)
    cpdef bint serve(self, bytes key, Request request) except -1
    cpdef Target choose(self, long long token)


cdef class RouteByKeys(Route):
    @cython.locals(begin=Py_ssize_t, target=Target)
    cpdef bint serve(self, bytes key, Request request) except -1


cdef class TabletRoute(Route):
    cdef TableTablets _tablets
    cdef bint _led

    @cython.locals(token="long long", tablet=Tablet)
    cpdef bint serve(self, bytes key, Request request) except -1
