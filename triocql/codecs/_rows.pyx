# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of `rows`: the same names, the same rows, the same errors; tests/property/test_twins.py compares."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t

from triocql.codecs._node cimport Cell, allocate, cells_of, may_pad, read_sized

from triocql.codecs.rows import check_size, fail
from triocql.codecs.tuples import padding

cdef extern from "Python.h":
    bint PyType_IsSubtype(PyTypeObject* cls, PyTypeObject* base)
    PyTypeObject PyTuple_Type


@cython.final
cdef class RowPlan:
    """How rows of these columns are read; see `rows.RowPlan`."""

    cdef readonly tuple columns
    cdef readonly tuple names
    cdef readonly tuple nodes
    cdef tuple cells
    cdef bint pads

    # Not by `__init__`, here and below: whatever has it called again, the rest relies on what is set here.
    def __cinit__(self, tuple columns not None, tuple nodes not None):
        self.columns = columns
        self.names = tuple([column.name for column in columns])
        self.nodes = nodes
        self.cells = cells_of(columns, nodes)
        self.pads = may_pad(self.cells)

    def page(self, bytes body not None, Py_ssize_t offset, Py_ssize_t row_count):
        """Return the page whose rows start at `offset` of `body`; nothing is read yet."""
        cdef Py_ssize_t size = len(body) - offset if offset >= 0 else -1
        if row_count < 0 or size < 0 or row_count > size // (4 * max(len(self.cells), 1)):
            check_size(self.columns, size, row_count)
        return new_page(self, body, offset, row_count)


cdef Page new_page(RowPlan plan, bytes body, Py_ssize_t offset, Py_ssize_t row_count):
    cdef Page page = Page.__new__(Page)
    page.plan = plan
    page.row_count = row_count
    page.body = body
    page.offset = offset
    return page


@cython.final
cdef class Page:
    """The rows of one response, as bytes until a form for them is chosen; see `rows.Page`."""

    cdef readonly RowPlan plan
    cdef readonly Py_ssize_t row_count
    cdef readonly bytes body
    cdef readonly Py_ssize_t offset

    def read_by(self, RowPlan plan not None):
        """Return the same rows, to be read by another plan for the same columns."""
        return new_page(plan, self.body, self.offset, self.row_count)

    def rows(self, row_class=tuple):
        """Return all rows as instances of `row_class`, a subclass of `tuple`, or `dict`."""
        return RowCursor(self.plan, self.body, self.offset, self.row_count).take(self.row_count, row_class)

    def cursor(self):
        """Return a cursor, by which the rows can be read in slices."""
        return RowCursor(self.plan, self.body, self.offset, self.row_count)


@cython.final
cdef class RowCursor:
    """A place in a page; see `rows.RowCursor`."""

    cdef RowPlan plan
    cdef bytes body
    cdef Py_ssize_t at
    cdef Py_ssize_t row
    cdef Py_ssize_t left

    def __cinit__(self, RowPlan plan not None, bytes body not None, Py_ssize_t offset, Py_ssize_t row_count):
        if not 0 <= offset <= len(body):
            raise ValueError("the rows start outside of the body")
        self.plan = plan
        self.body = body
        self.at = offset
        self.row = 0
        self.left = row_count

    def take(self, Py_ssize_t n, row_class=tuple):
        """Return the next rows, `n` at most; an empty list at the end."""
        cdef PyTypeObject* cls = <PyTypeObject*><PyObject*>row_class
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.body)
        cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(self.body)
        cdef Py_ssize_t at = self.at
        cdef Py_ssize_t start = at
        cdef Py_ssize_t i = 0
        cdef tuple cells = self.plan.cells
        cdef tuple names = self.plan.names if row_class is dict else None
        cdef list rows = []
        if names is None and not (isinstance(row_class, type) and PyType_IsSubtype(cls, &PyTuple_Type)):
            raise TypeError("row_class has to be dict or a subclass of tuple")
        n = max(min(n, self.left), 0)
        if self.plan.pads:
            padding.begin(size)
        try:
            while i < n:
                start = at
                if names is None:
                    rows.append(read_row(cells, cls, data, size, &at))
                else:
                    rows.append(read_dict(cells, names, data, size, &at))
                i += 1
        except MemoryError:
            raise
        except Exception as error:
            fail(self.plan.columns, self.plan.nodes, self.body, start, self.row + i, error)
        self.row += n
        self.left -= n
        self.at = at
        return rows


cdef object read_row(tuple cells, PyTypeObject* cls, const uint8_t* data, Py_ssize_t size, Py_ssize_t* at):
    cdef Py_ssize_t i
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    row = PyTuple_New(count) if cls == &PyTuple_Type else allocate(cls, count)
    for i in range(count):
        value = read_sized(<Cell>PyTuple_GET_ITEM(cells, i), data, size, at)
        Py_INCREF(value)
        PyTuple_SET_ITEM(row, i, value)
    return row


cdef dict read_dict(tuple cells, tuple names, const uint8_t* data, Py_ssize_t size, Py_ssize_t* at):
    cdef Py_ssize_t i
    cdef dict row = {}
    for i in range(PyTuple_GET_SIZE(cells)):
        row[<object>PyTuple_GET_ITEM(names, i)] = read_sized(<Cell>PyTuple_GET_ITEM(cells, i), data, size, at)
    return row
