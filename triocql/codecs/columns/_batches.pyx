# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of `batches`: it fills the buffers of Arrow from the bytes of a page, without the GIL, and hands
them over by Arrow's C data interface, without pyarrow.

A page is walked in blocks of some rows. Of each block, an index of the cells is made first, which stays in the nearest
cache; then each column gets its cells at once. What is nested is done in the same way, its elements being cells again.
Nothing is read outside of the page: a cell is inside of it before it gets into an index, and a kernel reads what is
inside of its cell. The kernels are in the files that are included below.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EINTR, EIO, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from triocql.protocol._bytes cimport after_cell, read32, read64

from _thread import interrupt_main

from triocql.codecs.columns import odd
from triocql.codecs.columns.layout import fields_of
from triocql.codecs.node import type_name
from triocql.errors import DecodeError

include "_buffers.pxi"
include "_kernels.pxi"
include "_texts.pxi"
include "_nested.pxi"
include "_walk.pxi"
include "_export.pxi"


@cython.final
cdef class Decoder:
    """How pages of these columns become batches; see `batches.Decoder`."""

    cdef readonly tuple columns
    cdef readonly tuple layouts
    cdef tuple fields
    cdef Spec* spec

    def __cinit__(self, tuple columns not None, tuple layouts not None):
        self.columns = columns
        self.layouts = layouts
        self.fields = fields_of(columns, layouts)
        self.spec = spec_of_columns(layouts)

    def __dealloc__(self):
        free_spec(self.spec)

    def batch(self, page):
        """Return the values of a page."""
        return new_batch(self, page.body, page.offset, page.row_count)

    def schema(self):
        """Return a capsule of Arrow's C data interface with the schema."""
        return schema_capsule(self.fields)

    def stream(self, batches):
        """Return a capsule of Arrow's C stream interface, which takes its batches from an iterator of this
        decoder's."""
        return stream_capsule(self, batches)

    @staticmethod
    def values(Batch batch not None):
        """Return the buffers of the first column; see `batches.Decoder`."""
        cdef Vec* vec
        cdef int at = 0
        check_made(batch)
        vec = batch.root.vec.kids
        while at < batch.root.vec.kid_count and vec[at].kernel == SKIP:
            at += 1
        if at == batch.root.vec.kid_count:
            raise ValueError("the batch has no columns")
        vec += at
        nulls = None if vec.nulls == 0 else new_view(batch, &vec.validity)
        while vec.kernel == VECTOR:
            vec = vec.kids
        return new_view(batch, &vec.values), nulls


cdef Batch new_batch(Decoder decoder, bytes body, Py_ssize_t offset, Py_ssize_t row_count):
    cdef Batch batch = Batch.__new__(Batch)
    cdef Context context
    cdef int failed
    if body is None:
        raise TypeError("a page is read from bytes, not None")
    if not 0 <= offset <= PyBytes_GET_SIZE(body) or PyBytes_GET_SIZE(body) > MAX_INT32:
        raise ValueError("the rows start outside of the body, or it is too large")
    if not 0 <= row_count <= (PyBytes_GET_SIZE(body) - offset) // (4 * max(decoder.spec.kid_count, 1)):
        raise ValueError("the body is too short for so many rows")
    batch.decoder = decoder
    batch.row_count = row_count
    batch.root = new_root()
    context.base = <const uint8_t*>PyBytes_AS_STRING(body)
    context.size = PyBytes_GET_SIZE(body)
    context.padding = odd.MOST_PADDING + 4 * context.size
    context.batch = <PyObject*>batch
    context.problem = 0
    with nogil:
        failed = fill_page(&context, &batch.root.vec, decoder.spec, offset, row_count)
    if failed:
        raise_problem(batch, &context)
    return batch


cdef int check_made(Batch batch) except -1:
    """Refuse a batch that was made by its class alone: nothing is in it."""
    if batch.root == NULL:
        raise TypeError("a batch is made by its decoder")
    return 0


cdef int raise_problem(Batch batch, Context* context) except -1:
    if context.problem == NO_MEMORY:
        raise MemoryError
    error = batch.error
    batch.error = None
    if context.problem == STOPPED:
        raise error
    reason = str(error) if context.problem == IN_PYTHON else REASONS[context.problem]
    raise odd.refused(batch.decoder.columns[context.column], context.row, reason)


@cython.final
cdef class Batch:
    """The values of one page, in columns.

    Attributes:
        num_rows: how many rows it has.
    """

    cdef Decoder decoder
    cdef Root* root
    cdef Py_ssize_t row_count
    cdef object error

    def __dealloc__(self):
        if self.root != NULL:
            release_root(self.root)

    @property
    def num_rows(self):
        return self.row_count

    def __arrow_c_schema__(self):
        return self.decoder.schema()

    def __arrow_c_array__(self, requested_schema=None):
        """Return capsules of the schema and of the array; what is requested is only a wish, which is not granted."""
        return self.decoder.schema(), array_capsule(self.root)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.decoder.stream(iter((self,)))


@cython.final
cdef class View:
    """A buffer of a batch, read-only."""

    cdef Batch batch
    cdef Buffer* buffer

    def __getbuffer__(self, Py_buffer* view, int flags):
        if self.buffer == NULL:
            raise BufferError("a view is made by its decoder")
        PyBuffer_FillInfo(view, self, self.buffer.p, self.buffer.size, 1, flags)


cdef View new_view(Batch batch, Buffer* buffer):
    cdef View view = View.__new__(View)
    view.batch = batch
    view.buffer = buffer
    return view
