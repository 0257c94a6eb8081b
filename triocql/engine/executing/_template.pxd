# What `template.py` is, compiled.
cimport cython

from triocql.engine.connections._streams cimport Turn
from triocql.engine.executing._execution cimport Attempt, Execution
from triocql.engine.messages._joining cimport join
from triocql.engine.messages._message cimport ExecuteMessage
from triocql.engine.routing._route cimport Route
from triocql.observability._meter cimport Meter
from triocql.policies._timestamps cimport MonotonicTimestamps


cdef int _EXECUTE, _TABLET_BLOCK


@cython.final
cdef class ExecuteTemplate:
    cdef object _query
    cdef object _encoder
    cdef object _state
    cdef object _parameters
    cdef object _router
    cdef Turn _turn
    cdef object _routes
    cdef Route _route
    cdef object _recovery
    cdef object _reader
    cdef MonotonicTimestamps _timestamps
    cdef object _now
    cdef object _ask
    cdef object _tracker
    cdef object _contact_point
    cdef object _about
    cdef object _meters
    cdef Meter _meter
    cdef object _speculation
    cdef object _throttling
    cdef object _fixed_timestamp
    cdef object _bind
    cdef double _timeout
    cdef double _attempt_timeout
    cdef bint _idempotent
    cdef bint _may_be_void
    cdef bint _resumes
    cdef bint _is_pinned
    cdef int _flags
    cdef int _layout
    cdef bytes _payload
    cdef bytes _prefix
    cdef bytes _head
    cdef bytes _before
    cdef bytes _after
    cdef bytes _rows_head
    cdef object _plan

    cdef _adopt(self, state)
    cdef _reroute(self, routes)
    cdef _track(self, Execution execution, ExecuteMessage message)
    @cython.locals(turn=Turn)
    cdef _submit_in_turn(self, bytes values, Execution execution, Attempt attempt)
    cdef bint _send(self, bytes values, Attempt attempt) except -1
    @cython.locals(layout=int, values=bytes, body=bytes, message=ExecuteMessage, execution=Execution, attempt=Attempt)
    cpdef Execution start(self, sink, parameters, double now=*)
    @cython.locals(message=ExecuteMessage)
    cpdef ExecuteMessage message(self, state, bytes values)
    cpdef Execution execution(self, sink)
