# What `execution.py` is, compiled.
cimport cython

from triocql.engine.messages._message cimport Message
from triocql.engine.requests._request cimport Request, give, has_gone, is_bounded
from triocql.observability._meter cimport Meter


cdef object _NEW, _SENDING, _WAITING, _DONE
cdef int _RESULT
cdef bytes _VOID


cdef class Attempt(Request):
    cdef public Execution execution

    @cython.locals(execution=Execution, message=Message)
    cpdef answered(self, connection, int opcode, int flags, bytes body)
    @cython.locals(execution=Execution, at=Meter, seconds=double)
    cpdef over(self, error)
    cpdef fail(self, error)
    cpdef abandon(self)
    cpdef bint is_unwanted(self) except -1
    cpdef fit(self, int layout)


@cython.final
cdef class Execution:
    cdef public object sink
    cdef public Attempt attempt
    cdef public object recovery
    cdef public Message message
    cdef public object plan
    cdef public object race
    cdef public object permit
    cdef public object history
    cdef public Meter meter
    cdef public object tracker
    cdef public object token
    cdef public double started
    cdef public double timeout
    cdef public double deadline
    cdef public double attempt_timeout
    cdef public bint idempotent

    @cython.locals(attempt=Attempt)
    cdef Attempt fill(self, sink, recovery, double started, double timeout, bint idempotent)
    cpdef succeed(self, value)
    cpdef fail(self, error)
    cpdef abandon(self)
    @cython.locals(attempt=Attempt, at=Meter)
    cdef _end(self, error, value)
    @cython.locals(meter=Meter, seconds=double)
    cdef _count(self, Attempt attempt, error, value)
