# What `window.py` is, compiled.
cimport cython

from triocql.engine.executing._execution cimport Execution
from triocql.engine.executing._pairs cimport pair_of
from triocql.engine.executing._template cimport ExecuteTemplate
from triocql.engine.requests._kept cimport keep
from triocql.engine.requests._request cimport Completion, Response


cdef int _BATCH
cdef object _index


cdef class Entry(Completion):
    cdef public Window window
    cdef public Py_ssize_t index
    cdef public Execution execution

    cpdef resolve(self, response)
    cpdef reject(self, error)


cdef class Window:
    cdef readonly bint stopped
    cdef readonly Py_ssize_t started
    cdef public Py_ssize_t occupied
    cdef object _executor
    cdef object _router
    cdef Py_ssize_t _concurrency
    cdef object _call
    cdef object _on_ended
    cdef set _live
    cdef object _statement
    cdef ExecuteTemplate _template
    cdef double _now

    cdef bint _room(self) except -1
    @cython.locals(entry=Entry)
    cpdef Entry start(self, statement, parameters)
    cpdef end(self, Entry entry, response, error)
    @cython.locals(live=set, entry=Entry)
    cpdef stop(self)
    cdef _abandon(self, Entry entry)


cdef class PullingWindow(Window):
    cdef readonly bint exhausted
    cdef object _source
    cdef object _on_error
    cdef bint _pumping
    cdef bint _due
    cdef object _context
    cdef object _clock_now

    cdef _pump_soon(self)
    cpdef pump(self)
    cdef _pumped(self)
    @cython.locals(count=int)
    cpdef _fill(self)


cdef class CollectingWindow(PullingWindow):
    cdef readonly list outcomes
    cdef object _pair
    cdef object _result
    cdef object _factory
    cdef object _make_result
    cdef bint _stop_on_error
    cdef object _on_over
    cdef object _last
    cdef object _last_pair
    cdef dict _empty

    cpdef end(self, Entry entry, response, error)
    cdef _take(self, Response response, execution)
    cdef _pumped(self)
    @cython.locals(outcomes=list)
    cdef _keep(self, Py_ssize_t index, outcome)
