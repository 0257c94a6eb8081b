# cython: language_level=3
"""The parts of `_node` that `_rows` and `_bind` share: cells, and the buffer that they write to."""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from triocql.protocol._bytes cimport read32, store32

cdef extern from *:
    """
    #define triocql_alloc(cls) ((cls)->tp_alloc)
    """
    ctypedef object (*allocfunc)(PyTypeObject* cls, Py_ssize_t items)
    allocfunc allocator "triocql_alloc" (PyTypeObject* cls)

cdef enum:
    MAX_INT = 0x7FFFFFFF


@cython.final
cdef class Buffer:
    """Bytes that grow: in place while they are few."""

    cdef uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef uint8_t[512] few

    cdef int grow(self, Py_ssize_t more) except -1

    cdef inline uint8_t* room(self, Py_ssize_t more) except NULL:
        """Make room for `more` bytes, and return where they go."""
        if self.size + more > self.capacity:
            self.grow(more)
        self.size += more
        return self.data + self.size - more

    cdef inline int append(self, const void* data, Py_ssize_t size) except -1:
        memcpy(self.room(size), data, size)
        return 0

    cdef inline int close(self, Py_ssize_t start) except -1:
        """Write the length of what came after `start`, where 4 bytes are left for it."""
        cdef Py_ssize_t size = self.size - start - 4
        if size > MAX_INT:
            raise OverflowError
        store32(self.data + start, <uint32_t>size)
        return 0


cdef class Cell:
    """The compiled side of one type node."""

    cdef object node

    cdef object box(self, const uint8_t* p, Py_ssize_t n)

    cdef int write(self, Buffer out, object value) except -1


cdef tuple cells_of(tuple columns, tuple nodes)

cdef bint may_pad(tuple cells) except -1

cdef int refuse_overrun() except -1


cdef inline object allocate(PyTypeObject* cls, Py_ssize_t items):
    """Return a new instance, without its constructor."""
    return allocator(cls)(cls, items)


cdef inline object read_sized(Cell cell, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
    """Return the value that starts at `at` after its length, None for null, and move `at` to its end."""
    cdef Py_ssize_t start = at[0] + 4
    cdef int32_t length
    if n - start < 0:
        refuse_overrun()
    length = <int32_t>read32(p + start - 4)
    if length < 0:
        at[0] = start
        return None
    if length > n - start:
        refuse_overrun()
    at[0] = start + length
    return cell.box(p + start, length)


cdef inline int write_sized(Buffer out, Cell cell, object value) except -1:
    cdef Py_ssize_t start = out.size
    out.room(4)
    cell.write(out, value)
    return out.close(start)
