# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of `bind`: the same name, the same bytes, the same errors; tests/property/test_twins.py compares."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from triocql.codecs._node cimport Buffer, Cell, cells_of, write_sized
from triocql.protocol._bytes cimport store32

from triocql.codecs import bind as pure
from triocql.codecs.bind import head, in_order
from triocql.protocol.constants import UNSET

cdef object unset = UNSET


@cython.final
cdef class Binder:
    """Writes the values for the bind markers of one statement; see `bind.Binder`."""

    cdef readonly tuple columns
    cdef tuple cells
    cdef frozenset key
    cdef bytes head
    cdef object pure

    def __cinit__(self, tuple columns not None, tuple nodes not None, tuple key not None=()):
        self.columns = columns
        self.cells = cells_of(columns, nodes)
        self.key = frozenset(key)
        self.head = <bytes?>head(columns)
        self.pure = pure.Binder(columns, nodes, key)

    @property
    def nodes(self):
        """The type node of each bind marker."""
        return self.pure.nodes

    def with_key(self, tuple key not None, tuple nodes not None):
        """Return a binder with these type nodes that refuses UNSET at these indexes."""
        return Binder(self.columns, nodes, key)

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
        if len(values) != len(self.cells):
            raise ValueError
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
