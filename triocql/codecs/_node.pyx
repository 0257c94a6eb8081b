# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled side of the type nodes of `node` and of the modules below it, which `_rows` and `_bind` share.

A `Cell` stands for each type node: `box` makes the Python object of a value's bytes, `write` appends the bytes of a
Python object. Both know the plain cases only. Everything else - a value of another class, a length that is not the
type's - goes to the type node itself, and whatever raises is done again by the pure twin: so that both have the same
verdict, in the same words. The cells are in the files that are included below, each beside the module of its nodes.
tests/property/test_twins.py compares them with the nodes.
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

from triocql.codecs.collections import ListNode, MapNode, SetNode
from triocql.codecs.collisions import MOST_ALIKE as _MOST_ALIKE
from triocql.codecs.collisions import check_hashes
from triocql.codecs.order import sorted_elements, sorted_items
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
from triocql.protocol._bytes cimport read32, read64, store32, store64

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)
    object PyUnicode_DecodeASCII(const char* data, Py_ssize_t size, const char* errors)
    object PyUnicode_AsUTF8String(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bint PyUnicode_IS_ASCII(object text)
    object _PyLong_FromByteArray(const unsigned char* data, size_t size, int little_endian, int is_signed)
    PyTypeObject PyTuple_Type

cdef extern from *:
    """
    #define triocql_descr_set(descriptor) (Py_TYPE(descriptor)->tp_descr_set)
    """
    ctypedef int (*descrsetfunc)(PyObject* descriptor, PyObject* instance, PyObject* value) except -1
    descrsetfunc slot_setter "triocql_descr_set" (PyObject* descriptor)

import_datetime()



@cython.final
@cython.freelist(8)
cdef class Buffer:
    def __cinit__(self):
        self.data = self.few
        self.size = 0
        self.capacity = 512

    def __dealloc__(self):
        if self.data != self.few:
            PyMem_Free(self.data)

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t capacity = self.capacity * 2
        cdef uint8_t* data
        if capacity < self.size + more:
            capacity = self.size + more
        data = <uint8_t*>PyMem_Realloc(NULL if self.data == self.few else self.data, capacity)
        if data == NULL:
            raise MemoryError
        if self.data == self.few:
            memcpy(data, self.few, self.size)
        self.data = data
        self.capacity = capacity
        return 0


cdef inline int set_slot(PyObject* descriptor, object instance, object value) except -1:
    """Set an attribute of an instance by the descriptor of its slot, past a `__setattr__` that refuses it."""
    return slot_setter(descriptor)(descriptor, <PyObject*>instance, <PyObject*>value)


cdef int refuse_overrun() except -1:
    raise DecodeError("an element goes beyond its value")


cdef inline int refuse_rest(Py_ssize_t at, Py_ssize_t n) except -1:
    if at != n:
        raise DecodeError("bytes after the last element")
    return 0


cdef class Cell:
    def __cinit__(self, node, *args):
        self.node = node

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        return self.node.decode(PyBytes_FromStringAndSize(<const char*>p, n))

    cdef int write(self, Buffer out, object value) except -1:
        cdef bytes raw = <bytes?>self.node.encode(value)
        return out.append(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


include "_scalars.pxi"
include "_temporal.pxi"
include "_collections.pxi"
include "_tuples.pxi"
include "_vector.pxi"


cdef Cell floating_cell(node):
    return FloatCell(node) if node.width == 4 else DoubleCell(node)


cdef dict CELLS = {
    BlobNode: BlobCell,
    BooleanNode: BooleanCell,
    DateNode: DateCell,
    DecimalNode: DecimalCell,
    DurationNode: DurationCell,
    InetNode: InetCell,
    IntegerNode: IntegerCell,
    ListNode: ListCell,
    MapNode: MapCell,
    SetNode: SetCell,
    TextNode: TextCell,
    TimeNode: TimeCell,
    TimestampNode: TimestampCell,
    TupleNode: TupleCell,
    UserTypeNode: UserTypeCell,
    UuidNode: UuidCell,
    VarintNode: VarintCell,
    VectorNode: VectorCell,
}


# What may have a tuple or a user-defined type within, as a user's codec may, too.
cdef frozenset CONTAINERS = frozenset((Cell, ListCell, MapCell, SetCell, TupleCell, UserTypeCell, VectorCell))


cdef Cell cell_of(node):
    """Return the compiled side of a type node; a user's codec has none of its own."""
    if type(node) is FloatingNode:
        return floating_cell(node)
    return CELLS.get(type(node), Cell)(node)


cdef tuple cells_of(tuple columns, tuple nodes):
    """Return a cell for each node, after checking that there is one for each column."""
    if len(columns) != len(nodes):
        raise ValueError("a node is needed for each column")
    return tuple([cell_of(node) for node in nodes])


cdef bint may_pad(tuple cells) except -1:
    """Return whether values of these cells may lack elements, which are to be counted then."""
    return any([type(cell) in CONTAINERS for cell in cells])
