# What `kept.py` is, compiled.
cimport cython

from triocql.codecs._rows cimport Page, RowPlan
from triocql.engine.requests._request cimport Response


cdef class Kept:
    cdef RowPlan _plan
    cdef bytes _body
    cdef Py_ssize_t _offset
    cdef Py_ssize_t _row_count
    cdef public object _node
    cdef public Response _whole
    cdef public object _factory
    cdef public object _pager
    cdef public list _rows

    @cython.locals(known=Page)
    cdef _keep(self, Response response, factory, pager)
    cpdef _page(self)
    cpdef Response _response(self)
    @cython.locals(rows=list)
    cpdef _sole(self)
    cpdef list _all(self)


@cython.locals(kind=type, kept=Kept)
cpdef keep(kind, Response response, factory)
