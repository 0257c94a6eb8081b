# cython: language_level=3
"""What of `_rows` others use: plans and pages."""

cimport cython
from libc.stdint cimport int32_t


@cython.final
cdef class RowPlan:
    cdef readonly tuple columns
    cdef readonly tuple names
    cdef readonly tuple nodes
    cdef public object row_class
    cdef tuple cells
    cdef int32_t* widths  # how many bytes the values of each column mostly have; 0 if nobody knows
    cdef bint pads

    cpdef Page page(self, bytes body, Py_ssize_t offset, Py_ssize_t row_count)


@cython.final
cdef class Page:
    cdef readonly RowPlan plan
    cdef readonly Py_ssize_t row_count
    cdef readonly bytes body
    cdef readonly Py_ssize_t offset
