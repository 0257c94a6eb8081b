# cython: language_level=3
"""The parts of `_frames` that `_segments` uses, too."""

cimport cython
from libc.stdint cimport uint8_t

cdef enum:
    HEADER_SIZE = 9


cdef Py_ssize_t size_of(tuple frame) except -1

cdef bytes join(int version, list items, Py_ssize_t start, Py_ssize_t stop)


@cython.final
cdef class FrameDecoder:
    cdef readonly bint has_more
    cdef int _version_byte
    cdef Py_ssize_t _max_frame
    cdef object _decompress
    cdef uint8_t[HEADER_SIZE] _head  # of the unfinished frame, as far as it has come
    cdef int _head_size
    cdef bytes _body
    cdef Py_ssize_t _length
    cdef Py_ssize_t _filled

    cdef int take(self, const uint8_t* data, Py_ssize_t size, list frames) except -1

    cdef Py_ssize_t _cut(self, const uint8_t* data, Py_ssize_t start, Py_ssize_t size, list frames) except -1

    cdef Py_ssize_t _go_on(self, const uint8_t* data, Py_ssize_t size, list frames) except -1

    cdef int _make_room(self, Py_ssize_t needed) except -1

    cdef int _add(self, const uint8_t* head, bytes body, list frames) except -1

    cdef Py_ssize_t _checked_length(self, const uint8_t* head) except -1

    cdef object _header_error(self, const uint8_t* data, Py_ssize_t size)
