# What `routing.py` is, compiled.
cimport cython


@cython.locals(
    wanted=Py_ssize_t, at=Py_ssize_t, number=Py_ssize_t, size=cython.longlong, first=cython.longlong, parts=list
)
cpdef routing_key(bytes values, tuple indexes)
@cython.locals(key=bytes)
cdef _composed(list parts)
