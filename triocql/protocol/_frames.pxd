# cython: language_level=3
"""The parts of `_frames` that `_segments` uses, too."""

from libc.stdint cimport uint8_t

cdef enum:
    HEADER_SIZE = 9


cdef Py_ssize_t size_of(tuple frame) except -1

cdef bytes join(int version, list items, Py_ssize_t start, Py_ssize_t stop)

cdef int append(bytearray buffer, const uint8_t* data, Py_ssize_t size) except -1


cdef class FrameDecoder:
    cdef readonly bint has_more
    cdef int _version_byte
    cdef Py_ssize_t _max_frame
    cdef Py_ssize_t _needed
    cdef object _decompress
    cdef bytearray _buffer

    cdef int take(self, const uint8_t* data, Py_ssize_t size, list frames) except -1

    cdef Py_ssize_t _cut(self, const uint8_t* data, Py_ssize_t size, list frames) except -1

    cdef int _check_start(self, const uint8_t* data, Py_ssize_t size) except -1

    cdef object _header_error(self, const uint8_t* data, Py_ssize_t size)
