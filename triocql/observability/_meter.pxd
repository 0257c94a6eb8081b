# What `meter.py` is, compiled.
cimport cython


cdef object _STEPS
cdef Py_ssize_t _BUCKETS
cdef double[::1] _edges


@cython.final
cdef class Histogram:
    cdef long long[::1] _counts
    cdef double _last
    cdef Py_ssize_t _place
    cdef readonly double sum
    cdef readonly double largest

    cpdef record(self, double seconds)
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t)
    cdef _find(self, double seconds)


cdef class Moment:
    cdef public double now


cdef class Meter:
    cdef readonly Moment moment
    cdef readonly double slow
    cdef readonly Histogram success
    cdef readonly dict failures

    cdef double succeeded(self, double since) except? -1
    cpdef failed(self, error, double seconds)
