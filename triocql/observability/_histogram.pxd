# What `histogram.py` is, compiled.
cimport cython


cdef object _STEPS
cdef Py_ssize_t _BUCKETS
cdef double[::1] _edges


cdef class Histogram:
    cdef long long[::1] _counts
    cdef readonly double sum
    cdef readonly double largest

    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t)
    cpdef record(self, double seconds)
