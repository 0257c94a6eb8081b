# What `message.py` is, compiled.
cimport cython

from triocql.codecs._rows cimport RowPlan
from triocql.engine.messages._joining cimport begins_with, int_at, join
from triocql.engine.requests._request cimport Response


cdef class Message:
    cdef public bint may_be_void

    cpdef read(self, int flags, bytes body, connection)


cdef class ExecuteMessage(Message):
    cdef object _query
    cdef object _state
    cdef bytes _rows_head
    cdef object _plan
    cdef bytes _values
    cdef long long _timestamp
    cdef public object encoder
    cdef object _parameters
    cdef object _reader
    cdef public object token

    cdef _adopt(self, state)
    @cython.locals(body=bytes)
    cpdef bytes body(self)
    @cython.locals(head=bytes, plan=RowPlan, response=Response)
    cpdef read(self, int flags, bytes body, connection)
    cpdef ExecuteMessage page(self, bytes paging_state)
