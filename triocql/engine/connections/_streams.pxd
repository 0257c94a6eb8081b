# What `streams.py` is, compiled.
cimport cython

from triocql.engine.requests._request cimport Request
from triocql.metadata._sharding cimport shard_of
from triocql.observability._meter cimport Meter


cdef object _SENDING, _WAITING, _DONE
cdef object _EVENT
cdef int _FEW


cdef class Target


cdef class Streams:
    cdef readonly object connection
    cdef readonly Meter meter
    cdef object _clock
    cdef list _outgoing
    cdef readonly dict in_flight
    cdef readonly set orphans
    cdef readonly list free
    cdef readonly list used
    cdef readonly object spare
    cdef public bint open
    cdef readonly bint closed
    cdef public int layout
    cdef Target _target
    cdef Py_ssize_t _counted

    @cython.locals(armed=double)
    cpdef send(self, Request request)
    cpdef release(self, Request request, phase)
    @cython.locals(outgoing=list, frames=list, request=Request, now=double)
    cpdef list take(self)
    @cython.locals(in_flight=dict, free=list, used=list, request=Request)
    cpdef dispatch(self, list frames, double now)
    cpdef count_for(self, Target target)
    @cython.locals(count=Py_ssize_t)
    cdef _count(self)
    cdef _refill(self)
    @cython.locals(request=Request)
    cpdef list close(self)


cdef class Target:
    cdef Streams _streams
    cdef Py_ssize_t _left
    cdef Py_ssize_t _threshold
    cdef object _renew
    cdef unsigned int _shard_count
    cdef unsigned int _ignore_msb
    cdef public list streams
    cdef public list shards
    cdef readonly bint has_streams
    cdef public int rank
    cdef public Py_ssize_t load

    cpdef aim(self, list tables)
    cpdef begin(self, Streams streams, Py_ssize_t count, Py_ssize_t threshold)
    @cython.locals(streams=Streams)
    cpdef bint send(self, Request request) except -1
    cpdef bint serve(self, Request request) except -1
    cpdef int shard_of(self, long long token) except -2
    @cython.locals(target=Target)
    cpdef bint serve_at(self, int shard, Request request) except -1
    @cython.locals(count=Py_ssize_t, streams=Streams)
    cpdef Py_ssize_t count(self) except -1


cdef class Turn:
    cdef public Target target
    cdef public object routes
    cdef public int layout
