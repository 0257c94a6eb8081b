# What `asynciowaiter.py` is, compiled.
cimport cython


cdef object _running_loop


cdef class Waker:
    cdef readonly object loop
    cdef readonly object check_caller
    cdef readonly object waiting
    cdef list _ended

    cpdef wake_soon(self, AsyncioWaiter waiter)
    @cython.locals(ended=list, waiter=AsyncioWaiter)
    cpdef _wake(self)
    cpdef resume(self)


@cython.final
@cython.freelist(64)
cdef class AsyncioWaiter:
    cdef public bint _asyncio_future_blocking
    cdef readonly object _loop
    cdef readonly bint is_gone
    cdef bint _done
    cdef Waker _waker
    cdef object _on_cancel
    cdef object _value
    cdef object _error
    cdef object _message
    cdef object _callback
    cdef object _context

    cpdef resolve(self, value)
    cpdef reject(self, error)
    cpdef begin(self)
    cpdef give_up(self)
    cpdef outcome(self)
    cpdef wake(self)
