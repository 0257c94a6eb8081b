# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twins of `rows` and `bind`.

A `Cell` stands for each type node: `box` makes the Python object of a value's bytes, `write` appends the bytes of a
Python object. Both know the plain cases only. Everything else - a value of another class, a length that is not the
type's - goes to the type node itself, and whatever raises is done again by the pure twin: so that both have the same
verdict, in the same words. The cells are in the files that are included below.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport (
    date,
    date_new,
    datetime,
    datetime_new,
    datetime_tzinfo,
    import_datetime,
    time,
    time_new,
)
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLongMask
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport isinf
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from datetime import timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from uuid import UUID, SafeUUID

from triocql.codecs import bind as pure_bind
from triocql.codecs.bind import head, in_order
from triocql.codecs.collections import ListNode, MapNode, SetNode
from triocql.codecs.collisions import MOST_ALIKE as _MOST_ALIKE
from triocql.codecs.collisions import check_hashes
from triocql.codecs.order import sorted_elements, sorted_items
from triocql.codecs.rows import check_size, fail
from triocql.codecs.scalars import (
    BlobNode,
    BooleanNode,
    DecimalNode,
    FloatingNode,
    InetNode,
    IntegerNode,
    TextNode,
    UuidNode,
    VarintNode,
)
from triocql.codecs.temporal import Duration, DateNode, DurationNode, TimeNode, TimestampNode
from triocql.codecs.tuples import FEW as _FEW
from triocql.codecs.tuples import TupleNode, padding
from triocql.codecs.udt import UserTypeNode
from triocql.codecs.values import FrozenMap
from triocql.codecs.vector import VectorNode
from triocql.errors import DecodeError
from triocql.protocol.constants import UNSET

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)
    object PyUnicode_DecodeASCII(const char* data, Py_ssize_t size, const char* errors)
    object PyUnicode_AsUTF8String(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bint PyUnicode_IS_ASCII(object text)
    object _PyLong_FromByteArray(const unsigned char* data, size_t size, int little_endian, int is_signed)
    ctypedef object (*allocfunc)(PyTypeObject* cls, Py_ssize_t items)
    ctypedef int (*descrsetfunc)(PyObject* descriptor, PyObject* instance, PyObject* value) except -1
    allocfunc allocator "triocql_alloc" (PyTypeObject* cls)
    descrsetfunc slot_setter "triocql_descr_set" (PyObject* descriptor)
    bint PyType_IsSubtype(PyTypeObject* cls, PyTypeObject* base)
    PyTypeObject PyTuple_Type

cdef extern from *:
    """
    #define triocql_alloc(cls) ((cls)->tp_alloc)
    #define triocql_descr_set(descriptor) (Py_TYPE(descriptor)->tp_descr_set)
    """

import_datetime()

cdef Py_ssize_t MAX_INT = 0x7FFFFFFF
cdef Py_ssize_t MOST_ALIKE = _MOST_ALIKE
cdef Py_ssize_t FEW = _FEW
cdef int64_t MIN_MILLISECONDS = -62135596800000
cdef int64_t MAX_MILLISECONDS = 253402300799999
cdef int64_t NANOSECONDS_OF_DAY = 86400000000000
cdef object UTC = timezone.utc
cdef object unset = UNSET

include "_bytes.pxi"
include "_scalar_cells.pxi"
include "_temporal_cells.pxi"
include "_nested_cells.pxi"


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
        same_length(columns, nodes)
        self.columns = columns
        self.names = tuple([column.name for column in columns])
        self.nodes = nodes
        self.cells = tuple([cell_of(node) for node in nodes])
        self.pads = any([type(cell) in CONTAINERS for cell in self.cells])

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
    cdef bytes body
    cdef Py_ssize_t offset

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


cdef int same_length(tuple columns, tuple nodes) except -1:
    if len(columns) != len(nodes):
        raise ValueError("a node is needed for each column")
    return 0


cdef object read_row(tuple cells, PyTypeObject* cls, const uint8_t* data, Py_ssize_t size, Py_ssize_t* at):
    cdef Py_ssize_t i
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    row = PyTuple_New(count) if cls == &PyTuple_Type else allocator(cls)(cls, count)
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


@cython.final
cdef class Binder:
    """Writes the values for the bind markers of one statement; see `bind.Binder`."""

    cdef readonly tuple columns
    cdef tuple cells
    cdef frozenset key
    cdef bytes head
    cdef object pure

    def __cinit__(self, tuple columns not None, tuple nodes not None, tuple key not None=()):
        same_length(columns, nodes)
        self.columns = columns
        self.cells = tuple([cell_of(node) for node in nodes])
        self.key = frozenset(key)
        self.head = <bytes?>head(columns)
        self.pure = pure_bind.Binder(columns, nodes, key)

    @property
    def nodes(self):
        """The type node of each bind marker."""
        return self.pure.nodes

    def with_key(self, tuple key not None):
        """Return a binder that refuses UNSET at these indexes."""
        return Binder(self.columns, self.pure.nodes, key)

    def bind(self, values):
        """Return the values as an EXECUTE has them: a [short] n, then n times a [value]."""
        cdef tuple ordered
        cdef Buffer out
        if type(values) is tuple and len(<tuple>values) == len(self.cells):
            ordered = <tuple>values
        elif type(values) is list and len(<list>values) == len(self.cells):
            ordered = tuple(<list>values)
        else:
            ordered = in_order(self.columns, values)
        out = Buffer.__new__(Buffer)
        try:
            self.write(out, ordered)
        except Exception:
            return self.pure.bind(ordered)
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size)

    cdef int write(self, Buffer out, tuple values) except -1:
        cdef Py_ssize_t i
        same_length(self.cells, values)
        out.append(PyBytes_AS_STRING(self.head), 2)
        for i in range(PyTuple_GET_SIZE(self.cells)):
            value = <object>PyTuple_GET_ITEM(values, i)
            if value is None:
                store32(out.room(4), 0xFFFFFFFF)
            elif value is unset:
                if i in self.key:
                    raise ValueError  # the pure twin says it in words
                store32(out.room(4), 0xFFFFFFFE)
            else:
                write_sized(out, <Cell>PyTuple_GET_ITEM(self.cells, i), value)
        return 0

    def encode(self, Py_ssize_t index, value):
        """Return one value without its length; None for null."""
        cdef Buffer out
        if value is None:
            return None
        if not 0 <= index < len(self.cells):
            raise IndexError("no such bind marker")
        out = Buffer.__new__(Buffer)
        try:
            (<Cell>self.cells[index]).write(out, value)
        except Exception:
            return self.pure.encode(index, value)
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size)
