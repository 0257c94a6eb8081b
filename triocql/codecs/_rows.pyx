# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of `rows`: the same names, the same rows, the same errors; tests/property/test_twins.py compares."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcmp

from triocql.codecs._node cimport Cell, allocate, cells_of, may_pad, read_sized
from triocql.protocol._bytes cimport after_cell, read32

from triocql.codecs.node import FixedNode
from triocql.codecs.rows import CUT_OFF, NO_RUN, check_size, fail
from triocql.codecs.tuples import padding
from triocql.errors import DecodeError

cdef extern from "Python.h":
    bint PyType_IsSubtype(PyTypeObject* cls, PyTypeObject* base)
    PyTypeObject PyTuple_Type


cdef class RowPlan:
    """How rows of these columns are read; see `rows.RowPlan`."""

    # Not by `__init__`, here and below: whatever has it called again, the rest relies on what is set here.
    def __cinit__(self, tuple columns not None, tuple nodes not None):
        cdef Py_ssize_t i
        self.columns = columns
        self.names = tuple([column.name for column in columns])
        self.nodes = nodes
        self.cells = cells_of(columns, nodes)
        self.pads = may_pad(self.cells)
        self.widths = <int32_t*>PyMem_Calloc(len(nodes) + 1, sizeof(int32_t))
        if self.widths == NULL:
            raise MemoryError
        for i in range(len(nodes)):
            if isinstance(nodes[i], FixedNode):
                self.widths[i] = nodes[i].width

    def __dealloc__(self):
        PyMem_Free(self.widths)

    cpdef Page page(self, bytes body, Py_ssize_t offset, Py_ssize_t row_count):
        """Return the page whose rows start at `offset` of `body`; nothing is read yet."""
        cdef Py_ssize_t size
        if body is None:
            raise TypeError("a page is read from bytes, not None")
        size = len(body) - offset if offset >= 0 else -1
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


@cython.freelist(64)
cdef class Page:
    """The rows of one response, as bytes until a form for them is chosen; see `rows.Page`."""

    def read_by(self, RowPlan plan not None):
        """Return the same rows, to be read by another plan for the same columns."""
        return new_page(plan, self.body, self.offset, self.row_count)

    def rows(self, row_class=tuple):
        """Return all rows as instances of `row_class`, a subclass of `tuple`, or `dict`."""
        cdef Py_ssize_t at = self.offset
        check_made(self)
        return read_rows(self.plan, self.body, &at, 0, max(self.row_count, 0), row_class)

    def cursor(self):
        """Return a cursor, by which the rows can be read in slices."""
        return RowCursor(self)

    def first(self, Py_ssize_t count):
        """Return the page of its first rows, `count` at most."""
        return new_page(self.plan, self.body, self.offset, max(min(count, self.row_count), 0))

    def after(self, Py_ssize_t count):
        """Return the page without its first `count` rows, which are walked over and not decoded."""
        check_made(self)
        count = max(min(count, self.row_count), 0)
        return new_page(self.plan, self.body, walk(self, count, NULL), self.row_count - count)

    def last_run(self, tuple columns not None):
        """Return how many rows at the end are equal in some columns; see `rows.Page.last_run`."""
        check_made(self)
        cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(self.body)
        cdef Py_ssize_t width = PyTuple_GET_SIZE(self.plan.cells)
        cdef Py_ssize_t count = len(columns)
        cdef Py_ssize_t run = 1
        cdef Py_ssize_t i
        if not (self.row_count and set(columns) <= set(range(width)) and len(set(columns)) == count):
            raise ValueError(NO_RUN)
        for column in columns:
            if type(column) is not int:  # what is equal to a number may be another one where it is used
                raise TypeError("the index of a column is an int")
        # Where all rows are, then for each column whether it counts, as its place among those that do; and where their
        # cells are, of the last row and of an earlier one.
        cdef Py_ssize_t* rows = <Py_ssize_t*>PyMem_Calloc(self.row_count + width + 2 * count, sizeof(Py_ssize_t))
        if rows == NULL:
            raise MemoryError
        cdef Py_ssize_t* places = rows + self.row_count
        cdef Py_ssize_t* last = places + width
        cdef Py_ssize_t* earlier = last + count
        try:
            walk(self, self.row_count, rows)
            for i in range(count):
                places[<Py_ssize_t>columns[i]] = i + 1
            find_cells(data, rows[self.row_count - 1], places, width, last)
            while run < self.row_count:
                find_cells(data, rows[self.row_count - 1 - run], places, width, earlier)
                if not are_equal(data, last, earlier, count):
                    break
                run += 1
            values = tuple([cell_at(data, last[i]) for i in range(count)])
            if run == self.row_count:
                return run, values, None
            return run, values, tuple([cell_at(data, earlier[i]) for i in range(count)])
        finally:
            PyMem_Free(rows)


cdef Py_ssize_t walk(Page page, Py_ssize_t count, Py_ssize_t* rows) except -1:
    """Return where the first `count` rows end, and note where each begins, unless `rows` is NULL."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(page.body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(page.body)
    cdef const int32_t* widths = page.plan.widths
    cdef Py_ssize_t width = PyTuple_GET_SIZE(page.plan.cells)
    cdef Py_ssize_t at = page.offset
    cdef Py_ssize_t row, column
    for row in range(count):
        if rows != NULL:
            rows[row] = at
        for column in range(width):
            if size - at < 4:
                raise DecodeError(CUT_OFF)
            at = after_cell(at + 4, length_at(data, at), widths[column])
            if at > size:
                raise DecodeError(CUT_OFF)
    return at


cdef inline void find_cells(
    const uint8_t* data, Py_ssize_t at, const Py_ssize_t* places, Py_ssize_t width, Py_ssize_t* found
) noexcept:
    """Note where those cells of a row are that count; all of it is within the page."""
    cdef Py_ssize_t column
    for column in range(width):
        if places[column]:
            found[places[column] - 1] = at
        at += 4 + max(length_at(data, at), 0)


cdef inline bint are_equal(
    const uint8_t* data, const Py_ssize_t* some, const Py_ssize_t* others, Py_ssize_t count
) noexcept:
    cdef Py_ssize_t i
    for i in range(count):
        if not equal_cells(data, some[i], others[i]):
            return False
    return True


cdef inline int32_t length_at(const uint8_t* data, Py_ssize_t at) noexcept:
    return <int32_t>read32(data + at)


cdef inline bint equal_cells(const uint8_t* data, Py_ssize_t a, Py_ssize_t b) noexcept:
    """Whether two cells, which are within the page, are equal; all that have less than no bytes are null."""
    cdef int32_t length = length_at(data, a)
    if length < 0:
        return length_at(data, b) < 0
    return length == length_at(data, b) and memcmp(data + a + 4, data + b + 4, length) == 0


cdef object cell_at(const uint8_t* data, Py_ssize_t at):
    cdef int32_t length = length_at(data, at)
    return None if length < 0 else PyBytes_FromStringAndSize(<const char*>data + at + 4, length)


@cython.final
cdef class RowCursor:
    """A place in a page; see `rows.RowCursor`."""

    cdef RowPlan plan
    cdef bytes body
    cdef Py_ssize_t at
    cdef Py_ssize_t row
    cdef Py_ssize_t left

    def __cinit__(self, Page page not None):
        check_made(page)
        self.plan = page.plan
        self.body = page.body
        self.at = page.offset
        self.row = 0
        self.left = page.row_count

    def take(self, Py_ssize_t n, row_class=tuple):
        """Return the next rows, `n` at most; an empty list at the end."""
        cdef Py_ssize_t at = self.at
        cdef list rows
        n = max(min(n, self.left), 0)
        rows = read_rows(self.plan, self.body, &at, self.row, n, row_class)
        self.row += n
        self.left -= n
        self.at = at
        return rows


cdef int check_made(Page page) except -1:
    """Refuse a page that something else than its plan has made."""
    if page.plan is None or page.body is None:
        raise TypeError("a page is made by its plan")
    if not 0 <= page.offset <= PyBytes_GET_SIZE(page.body):
        raise ValueError("the rows start outside of the body")
    return 0


cdef list read_rows(RowPlan plan, bytes body, Py_ssize_t* at, Py_ssize_t first, Py_ssize_t n, row_class):
    """Return `n` rows, of which the first one has that number in its page, and move `at` to their end."""
    cdef PyTypeObject* cls = <PyTypeObject*><PyObject*>row_class
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t start = at[0]
    cdef Py_ssize_t i = 0
    cdef tuple cells = plan.cells
    cdef tuple names = plan.names if row_class is dict else None
    cdef list rows = []
    if names is None and not (isinstance(row_class, type) and PyType_IsSubtype(cls, &PyTuple_Type)):
        raise TypeError("row_class has to be dict or a subclass of tuple")
    if plan.pads:
        padding.begin(size)
    try:
        while i < n:
            start = at[0]
            if names is None:
                rows.append(read_row(cells, cls, data, size, at))
            else:
                rows.append(read_dict(cells, names, data, size, at))
            i += 1
    except MemoryError:
        raise
    except Exception as error:
        fail(plan.columns, plan.nodes, body, start, first + i, error)
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
