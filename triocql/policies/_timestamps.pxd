# What `timestamps.py` is, compiled.
cimport cython
from cpython.time cimport time as wall_clock


cdef class MonotonicTimestamps:
    cdef long long _last
    cdef object _now

    @cython.locals(now=cython.longlong)
    cpdef long long next(self) except? -1
