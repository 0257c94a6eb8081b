# What `request.py` is, compiled: types of attributes, and which methods are called without a look-up.
cimport cython

from triocql.observability._meter cimport Meter


cdef object _NEW, _DONE


cdef class Response:
    cdef public object page
    cdef public bytes paging_state
    cdef public object extras
    cdef public object coordinator


@cython.auto_pickle(False)
cdef class Completion:
    cpdef resolve(self, value)
    cpdef reject(self, error)


@cython.locals(completion=Completion)
cpdef give(sink, value)
cpdef bint has_gone(sink) except -1
cpdef bint is_bounded(sink) except -1


cdef class Request:
    cdef public object holder
    cdef public Meter at
    cdef public object phase
    cdef public bytes body
    cdef public double deadline
    cdef public double sent
    cdef public int stream
    cdef public int opcode
    cdef public int flags
    cdef public int layout

    cpdef answered(self, connection, int opcode, int flags, bytes body)
    cpdef fail(self, error)
    cpdef abandon(self)
    cpdef bint is_unwanted(self) except -1
    cpdef fit(self, int layout)
    cpdef leave(self)
    cpdef finish(self)
