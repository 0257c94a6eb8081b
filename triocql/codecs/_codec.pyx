# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twins of `rows` and `bind`.

A `Cell` stands for each type node: `box` makes the Python object of a value's bytes, `write` appends the bytes of a
Python object. Both know the plain cases only. Everything else - a value of another class, a length that is not the
type's - goes to the type node itself, and whatever raises is done again by the pure twin: so that both have the same
verdict, in the same words.
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
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLongMask
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport isinf
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from datetime import timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID, SafeUUID

from triocql.codecs import bind as pure_bind
from triocql.codecs.bind import head, in_order
from triocql.codecs.collections import ListNode, MapNode, SetNode
from triocql.codecs.rows import check_end, check_size, fail
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
from triocql.codecs.tuples import TupleNode
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
    PyTypeObject* type_of "Py_TYPE" (object value)
    bint PyType_IsSubtype(PyTypeObject* cls, PyTypeObject* base)
    PyTypeObject PyTuple_Type

cdef extern from *:
    """
    #define triocql_alloc(cls) ((cls)->tp_alloc)
    #define triocql_descr_set(descriptor) (Py_TYPE(descriptor)->tp_descr_set)
    """

import_datetime()

cdef Py_ssize_t MAX_INT = 0x7FFFFFFF
cdef int64_t MIN_MILLISECONDS = -62135596800000
cdef int64_t MAX_MILLISECONDS = 253402300799999
cdef int64_t NANOSECONDS_OF_DAY = 86400000000000
cdef object UTC = timezone.utc
cdef object unset = UNSET


# --- Bytes -----------------------------------------------------------------------------------------------------------

cdef inline uint32_t read32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline uint64_t read64(const uint8_t* p) noexcept nogil:
    return (<uint64_t>read32(p) << 32) | read32(p + 4)


cdef inline void store32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = value >> 24
    p[1] = value >> 16
    p[2] = value >> 8
    p[3] = value


cdef inline void store64(uint8_t* p, uint64_t value) noexcept nogil:
    store32(p, value >> 32)
    store32(p + 4, <uint32_t>value)


@cython.final
@cython.freelist(8)
cdef class Buffer:
    """Bytes that grow: in place while they are few."""

    cdef uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef uint8_t[512] few

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


cdef inline int set_slot(PyObject* descriptor, object instance, object value) except -1:
    return slot_setter(descriptor)(descriptor, <PyObject*>instance, <PyObject*>value)


cdef inline object allocate(PyObject* cls):
    return allocator(<PyTypeObject*>cls)(<PyTypeObject*>cls, 0)


# --- Scalars ---------------------------------------------------------------------------------------------------------

cdef class Cell:
    """The compiled side of one type node."""

    cdef object node

    def __cinit__(self, node, *args):
        self.node = node

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        return self.node.decode(PyBytes_FromStringAndSize(<const char*>p, n))

    cdef int write(self, Buffer out, object value) except -1:
        cdef bytes raw = self.node.encode(value)
        return out.append(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


@cython.final
cdef class IntegerCell(Cell):
    cdef Py_ssize_t width

    def __init__(self, node):
        self.width = node.width

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        if n != self.width:
            return Cell.box(self, p, n)
        if n == 4:
            return <int32_t>read32(p)
        if n == 8:
            return <int64_t>read64(p)
        if n == 2:
            return <int16_t>((p[0] << 8) | p[1])
        return <signed char>p[0]

    cdef int write(self, Buffer out, object value) except -1:
        cdef int overflow = 0
        cdef int64_t number
        cdef Py_ssize_t width = self.width
        cdef uint8_t* p
        if type(value) is not int:
            return Cell.write(self, out, value)
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow or (width < 8 and not -(<int64_t>1 << (8 * width - 1)) <= number < <int64_t>1 << (8 * width - 1)):
            return Cell.write(self, out, value)
        p = out.room(width)
        if width == 4:
            store32(p, <uint32_t>number)
        elif width == 8:
            store64(p, <uint64_t>number)
        elif width == 2:
            p[0] = <uint8_t>(number >> 8)
            p[1] = <uint8_t>number
        else:
            p[0] = <uint8_t>number
        return 0


@cython.final
cdef class DoubleCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef uint64_t bits
        cdef double number
        if n != 8:
            return Cell.box(self, p, n)
        bits = read64(p)
        memcpy(&number, &bits, 8)
        return number

    cdef int write(self, Buffer out, object value) except -1:
        cdef double number
        cdef uint64_t bits
        if type(value) is not float:
            return Cell.write(self, out, value)
        number = value
        memcpy(&bits, &number, 8)
        store64(out.room(8), bits)
        return 0


@cython.final
cdef class FloatCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef uint32_t bits
        cdef float number
        if n != 4:
            return Cell.box(self, p, n)
        bits = read32(p)
        memcpy(&number, &bits, 4)
        return <double>number

    cdef int write(self, Buffer out, object value) except -1:
        cdef float number
        cdef uint32_t bits
        if type(value) is not float:
            return Cell.write(self, out, value)
        number = <float><double>value
        if isinf(number) and not isinf(<double>value):
            return Cell.write(self, out, value)
        memcpy(&bits, &number, 4)
        store32(out.room(4), bits)
        return 0


@cython.final
cdef class BooleanCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        return p[0] != 0 if n == 1 else Cell.box(self, p, n)

    cdef int write(self, Buffer out, object value) except -1:
        if value is not True and value is not False:
            return Cell.write(self, out, value)
        out.room(1)[0] = value is True
        return 0


@cython.final
cdef class TextCell(Cell):
    cdef bint ascii

    def __init__(self, node):
        self.ascii = node.encoding == "ascii"

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        if self.ascii:
            return PyUnicode_DecodeASCII(<const char*>p, n, NULL)
        return PyUnicode_DecodeUTF8(<const char*>p, n, NULL)

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t size
        cdef const char* data
        cdef bytes raw
        if type(value) is not str:
            return Cell.write(self, out, value)
        if PyUnicode_IS_ASCII(value):
            data = PyUnicode_AsUTF8AndSize(value, &size)
            return out.append(data, size)
        if self.ascii:
            return Cell.write(self, out, value)
        raw = PyUnicode_AsUTF8String(value)
        return out.append(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


@cython.final
cdef class BlobCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        return PyBytes_FromStringAndSize(<const char*>p, n)

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is not bytes:
            return Cell.write(self, out, value)
        return out.append(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


cdef object uuid_class = UUID
cdef object uuid_int = UUID.__dict__["int"]
cdef object uuid_safety = UUID.__dict__["is_safe"]
cdef object safety_unknown = SafeUUID.unknown


@cython.final
cdef class UuidCell(Cell):
    cdef bint time_based

    def __init__(self, node):
        self.time_based = node.time_based

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        if n != 16:
            return Cell.box(self, p, n)
        value = allocate(<PyObject*>uuid_class)
        set_slot(<PyObject*>uuid_int, value, _PyLong_FromByteArray(p, 16, 0, 0))
        set_slot(<PyObject*>uuid_safety, value, safety_unknown)
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef uint8_t* p
        cdef uint64_t high
        if type(value) is not uuid_class:
            return Cell.write(self, out, value)
        number = value.int
        high = PyLong_AsUnsignedLongLongMask(number >> 64)
        if self.time_based and (high >> 12) & 0xF != 1:
            return Cell.write(self, out, value)
        p = out.room(16)
        store64(p, high)
        store64(p + 8, PyLong_AsUnsignedLongLongMask(number))
        return 0


cdef object v4_class = IPv4Address
cdef object v6_class = IPv6Address
cdef object v4_number = IPv4Address.__dict__["_ip"]
cdef object v6_number = IPv6Address.__dict__["_ip"]
cdef object v6_scope = IPv6Address.__dict__["_scope_id"]


@cython.final
cdef class InetCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        if n == 4:
            value = allocate(<PyObject*>v4_class)
            set_slot(<PyObject*>v4_number, value, read32(p))
            return value
        if n != 16:
            return Cell.box(self, p, n)
        value = allocate(<PyObject*>v6_class)
        set_slot(<PyObject*>v6_number, value, _PyLong_FromByteArray(p, 16, 0, 0))
        set_slot(<PyObject*>v6_scope, value, None)
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef uint8_t* p
        if type(value) is v4_class:
            store32(out.room(4), <uint32_t>PyLong_AsUnsignedLongLongMask(value._ip))
            return 0
        if type(value) is not v6_class or value._scope_id is not None:
            return Cell.write(self, out, value)
        number = value._ip
        p = out.room(16)
        store64(p, PyLong_AsUnsignedLongLongMask(number >> 64))
        store64(p + 8, PyLong_AsUnsignedLongLongMask(number))
        return 0


cdef int write_varint(Buffer out, int64_t number) except -1:
    """Write a number in the fewest bytes of two's complement."""
    cdef Py_ssize_t width = 1
    cdef uint8_t* p
    while width < 8 and not -(<int64_t>1 << (8 * width - 1)) <= number < <int64_t>1 << (8 * width - 1):
        width += 1
    p = out.room(width)
    while width:
        width -= 1
        p[width] = <uint8_t>number
        number >>= 8
    return 0


@cython.final
cdef class VarintCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        if n == 0:
            return Cell.box(self, p, n)
        return _PyLong_FromByteArray(p, n, 0, 1)

    cdef int write(self, Buffer out, object value) except -1:
        cdef int overflow = 0
        cdef int64_t number
        if type(value) is not int:
            return Cell.write(self, out, value)
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow:
            return Cell.write(self, out, value)
        return write_varint(out, number)


cdef object decimal_class = Decimal


@cython.final
cdef class DecimalCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef char[48] text
        cdef int64_t digits
        cdef Py_ssize_t i
        cdef int size
        if not 5 <= n <= 12:
            return Cell.box(self, p, n)
        digits = <signed char>p[4]
        for i in range(5, n):
            digits = <int64_t>(<uint64_t>digits << 8) | p[i]
        size = snprintf(text, 48, "%lldE%lld", <long long>digits, -<long long><int32_t>read32(p))
        return decimal_class(PyUnicode_DecodeASCII(text, size, NULL))

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t digits = 0
        cdef int32_t scale = 0
        cdef const char* text
        cdef Py_ssize_t size
        cdef Py_ssize_t i
        cdef bint negative
        cdef bint fraction = False
        if type(value) is not decimal_class:
            return Cell.write(self, out, value)
        written = str(value)
        text = PyUnicode_AsUTF8AndSize(written, &size)
        negative = text[0] == c"-"
        if size > 18:
            return Cell.write(self, out, value)
        for i in range(negative, size):
            if c"0" <= text[i] <= c"9":
                digits = digits * 10 + (text[i] - c"0")
                scale += fraction
            elif text[i] == c".":
                fraction = True
            else:
                return Cell.write(self, out, value)
        store32(out.room(4), <uint32_t>scale)
        return write_varint(out, -digits if negative else digits)


# --- Times -----------------------------------------------------------------------------------------------------------

cdef struct Civil:
    int year
    int month
    int day


cdef inline Civil civil_of(int64_t days) noexcept nogil:
    """The day of the Gregorian calendar `days` after 1970-01-01, by cycles of 400 years that begin in March."""
    cdef Civil civil
    cdef int64_t era
    cdef int64_t day
    cdef int64_t year
    cdef int64_t month
    days += 719468
    era = days // 146097
    day = days - era * 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    civil.day = <int>(day - (153 * month + 2) // 5 + 1)
    civil.month = <int>(month + 3 if month < 10 else month - 9)
    civil.year = <int>(year + era * 400 + (civil.month <= 2))
    return civil


cdef inline int64_t days_of(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """The days from 1970-01-01 to a day of the Gregorian calendar, from year 1 on."""
    cdef int64_t of_year
    if month <= 2:
        year -= 1
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719468


@cython.final
cdef class TimestampCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t milliseconds
        cdef int64_t days
        cdef int64_t seconds
        cdef int rest
        cdef Civil civil
        if n != 8:
            return Cell.box(self, p, n)
        milliseconds = <int64_t>read64(p)
        if not MIN_MILLISECONDS <= milliseconds <= MAX_MILLISECONDS:
            return Cell.box(self, p, n)
        milliseconds -= MIN_MILLISECONDS
        days = milliseconds // 86400000
        rest = <int>(milliseconds - days * 86400000)
        seconds = rest // 1000
        civil = civil_of(days - 719162)
        return datetime_new(
            civil.year, civil.month, civil.day,
            <int>(seconds // 3600), <int>(seconds // 60 % 60), <int>(seconds % 60), rest % 1000 * 1000, UTC,
        )

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t milliseconds
        if type(value) is not datetime:
            return Cell.write(self, out, value)
        zone = datetime_tzinfo(value)
        if zone is not None and zone is not UTC:
            return Cell.write(self, out, value)
        moment = <datetime>value
        milliseconds = days_of(moment.year, moment.month, moment.day) * 86400000
        milliseconds += ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000
        store64(out.room(8), <uint64_t>milliseconds)
        return 0


@cython.final
cdef class DateCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t days
        cdef Civil civil
        if n != 4:
            return Cell.box(self, p, n)
        days = <int64_t>read32(p) - 0x80000000
        if not -719162 <= days <= 2932896:
            return Cell.box(self, p, n)
        civil = civil_of(days)
        return date_new(civil.year, civil.month, civil.day)

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is not date:
            return Cell.write(self, out, value)
        day = <date>value
        store32(out.room(4), <uint32_t>(days_of(day.year, day.month, day.day) + 0x80000000))
        return 0


@cython.final
cdef class TimeCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef int64_t rest
        cdef int64_t seconds
        if n != 8:
            return Cell.box(self, p, n)
        rest = <int64_t>read64(p)
        if not 0 <= rest < NANOSECONDS_OF_DAY or rest % 1000:
            return Cell.box(self, p, n)
        rest //= 1000
        seconds = rest // 1000000
        return time_new(
            <int>(seconds // 3600), <int>(seconds // 60 % 60), <int>(seconds % 60), <int>(rest % 1000000), None
        )

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t seconds
        if type(value) is not time:
            return Cell.write(self, out, value)
        moment = <time>value
        if moment.tzinfo is not None:
            return Cell.write(self, out, value)
        seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
        store64(out.room(8), <uint64_t>((seconds * 1000000 + moment.microsecond) * 1000))
        return 0


cdef object duration_class = Duration
cdef object duration_months = Duration.__dict__["months"]
cdef object duration_days = Duration.__dict__["days"]
cdef object duration_nanoseconds = Duration.__dict__["nanoseconds"]


cdef Py_ssize_t read_vint(const uint8_t* p, Py_ssize_t n, Py_ssize_t at, uint64_t* value) except -1:
    """Read an unsigned integer of variable length at `at`, and return where it ends."""
    cdef int extra = 0
    cdef uint64_t number
    if at >= n:
        raise DecodeError("a variable-length integer goes beyond its value")
    while extra < 8 and p[at] & (0x80 >> extra):
        extra += 1
    if extra >= n - at:
        raise DecodeError("a variable-length integer goes beyond its value")
    number = p[at] & (0xFF >> extra)
    at += 1
    while extra:
        number = number << 8 | p[at]
        at += 1
        extra -= 1
    value[0] = number
    return at


cdef int write_vint(Buffer out, uint64_t value) except -1:
    cdef int extra = 0
    cdef int i
    cdef uint8_t* p
    while extra < 8 and value >> (7 * (extra + 1)):
        extra += 1
    p = out.room(extra + 1)
    for i in range(extra, 0, -1):
        p[i] = <uint8_t>value
        value >>= 8
    p[0] = <uint8_t>((0xFF00 >> extra) | (value if extra < 8 else 0))
    return 0


cdef inline int64_t unzigzag(uint64_t value) noexcept nogil:
    return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ <uint64_t>(value >> 63)


@cython.final
cdef class DurationCell(Cell):
    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef uint64_t[3] parts
        cdef int64_t months
        cdef int64_t days
        cdef Py_ssize_t at = 0
        cdef int i
        if n == 0:
            return Cell.box(self, p, n)
        for i in range(3):
            at = read_vint(p, n, at, &parts[i])
        months = unzigzag(parts[0])
        days = unzigzag(parts[1])
        if at != n or months != <int32_t>months or days != <int32_t>days:
            return Cell.box(self, p, n)
        value = allocate(<PyObject*>duration_class)
        set_slot(<PyObject*>duration_months, value, months)
        set_slot(<PyObject*>duration_days, value, days)
        set_slot(<PyObject*>duration_nanoseconds, value, unzigzag(parts[2]))
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef int64_t months
        cdef int64_t days
        cdef int64_t nanoseconds
        if type(value) is not duration_class:
            return Cell.write(self, out, value)
        months = value.months
        days = value.days
        nanoseconds = value.nanoseconds
        if (months < 0 or days < 0 or nanoseconds < 0) and (months > 0 or days > 0 or nanoseconds > 0):
            return Cell.write(self, out, value)
        write_vint(out, zigzag(months))
        write_vint(out, zigzag(days))
        write_vint(out, zigzag(nanoseconds))
        return 0


# --- Collections, tuples, user-defined types, vectors ------------------------------------------------------------------

cdef object read_sized(Cell cell, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
    """Return the value that starts at `at` after its length, None for null, and move `at` to its end."""
    cdef Py_ssize_t start = at[0] + 4
    cdef int32_t length
    if n - start < 0:
        raise DecodeError("an element goes beyond its value")
    length = <int32_t>read32(p + start - 4)
    if length < 0:
        at[0] = start
        return None
    if length > n - start:
        raise DecodeError("an element goes beyond its value")
    at[0] = start + length
    return cell.box(p + start, length)


cdef inline int write_sized(Buffer out, Cell cell, object value) except -1:
    cdef Py_ssize_t start = out.size
    out.room(4)
    cell.write(out, value)
    return out.close(start)


cdef int write_nullable(Buffer out, Cell cell, object value) except -1:
    if value is None:
        store32(out.room(4), 0xFFFFFFFF)
        return 0
    return write_sized(out, cell, value)


cdef Py_ssize_t count_of(const uint8_t* p, Py_ssize_t n, Py_ssize_t least) except -1:
    cdef int32_t count = <int32_t>read32(p)
    if count < 0 or count > (n - 4) // least:
        raise DecodeError("more elements than its bytes can hold, or a negative number of them")
    return count


cdef inline int refuse_rest(Py_ssize_t at, Py_ssize_t n) except -1:
    if at != n:
        raise DecodeError("bytes after the last element")
    return 0


cdef int write_elements(Buffer out, Cell element, object values) except -1:
    cdef Py_ssize_t start = out.size
    cdef uint32_t count = 0
    out.room(4)
    for value in values:
        write_sized(out, element, value)
        count += 1
    store32(out.data + start, count)
    return 0


@cython.final
cdef class ListCell(Cell):
    cdef Cell element
    cdef bint hashable

    def __init__(self, node):
        self.element = cell_of(node.element)
        self.hashable = node.make is not None

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 4
        cdef Py_ssize_t i
        cdef Py_ssize_t count
        cdef list values
        if n < 4:
            return Cell.box(self, p, n)
        count = count_of(p, n, 4)
        values = []
        for i in range(count):
            values.append(read_sized(self.element, p, n, &at))
        refuse_rest(at, n)
        return tuple(values) if self.hashable else values

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is list:
            return write_elements(out, self.element, <list>value)
        if type(value) is tuple:
            return write_elements(out, self.element, <tuple>value)
        return Cell.write(self, out, value)


@cython.final
cdef class SetCell(Cell):
    cdef Cell element
    cdef bint hashable

    def __init__(self, node):
        self.element = cell_of(node.element)
        self.hashable = node.make is frozenset

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 4
        cdef Py_ssize_t i
        cdef Py_ssize_t count
        cdef set values
        if n < 4:
            return Cell.box(self, p, n)
        count = count_of(p, n, 4)
        values = set()
        for i in range(count):
            values.add(read_sized(self.element, p, n, &at))
        refuse_rest(at, n)
        return frozenset(values) if self.hashable else values

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is set or type(value) is frozenset or type(value) is list or type(value) is tuple:
            return write_elements(out, self.element, value)
        return Cell.write(self, out, value)


@cython.final
cdef class MapCell(Cell):
    cdef Cell key
    cdef Cell value
    cdef bint hashable

    def __init__(self, node):
        self.key = cell_of(node.key)
        self.value = cell_of(node.value)
        self.hashable = node.make is not None

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 4
        cdef Py_ssize_t i
        cdef Py_ssize_t count
        cdef dict items
        if n < 4:
            return Cell.box(self, p, n)
        count = count_of(p, n, 8)
        items = {}
        for i in range(count):
            key = read_sized(self.key, p, n, &at)
            items[key] = read_sized(self.value, p, n, &at)
        refuse_rest(at, n)
        return FrozenMap(items) if self.hashable else items

    cdef int write(self, Buffer out, object value) except -1:
        if type(value) is not dict:
            return Cell.write(self, out, value)
        store32(out.room(4), <uint32_t>len(<dict>value))
        for key, item in (<dict>value).items():
            write_sized(out, self.key, key)
            write_sized(out, self.value, item)
        return 0


cdef object read_elements(tuple cells, PyTypeObject* cls, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
    """Return a tuple, or an instance of a subclass of it, with a value for each cell."""
    cdef Py_ssize_t i
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    values = PyTuple_New(count) if cls == &PyTuple_Type else allocator(cls)(cls, count)
    for i in range(count):
        value = None if at[0] == n else read_sized(<Cell>PyTuple_GET_ITEM(cells, i), p, n, at)
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, i, value)
    return values


@cython.final
cdef class TupleCell(Cell):
    cdef tuple elements

    def __init__(self, node):
        self.elements = tuple(map(cell_of, node.elements))

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 0
        values = read_elements(self.elements, &PyTuple_Type, p, n, &at)
        refuse_rest(at, n)
        return values

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t i
        if type(value) is not tuple or len(<tuple>value) != len(self.elements):
            return Cell.write(self, out, value)
        for i in range(len(self.elements)):
            write_nullable(out, <Cell>self.elements[i], (<tuple>value)[i])
        return 0


@cython.final
cdef class UserTypeCell(Cell):
    cdef tuple fields
    cdef object value_class
    cdef object make

    def __init__(self, node):
        self.fields = tuple(map(cell_of, node.fields))
        self.value_class = node.value_class
        self.make = node.make

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 0
        if self.value_class is None:
            return self.make(read_elements(self.fields, &PyTuple_Type, p, n, &at))
        return read_elements(self.fields, <PyTypeObject*><PyObject*>self.value_class, p, n, &at)

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t i
        cdef tuple values
        if type(value) is self.value_class:
            values = <tuple?>tuple(value)
        else:
            by_position = self.node.by_position(value)
            if by_position is None:
                return Cell.write(self, out, value)
            values = tuple(by_position)
        if len(values) != len(self.fields):
            return Cell.write(self, out, value)
        for i in range(len(self.fields)):
            write_nullable(out, <Cell>self.fields[i], values[i])
        return 0


@cython.final
cdef class VectorCell(Cell):
    cdef Cell element
    cdef Py_ssize_t dimension
    cdef Py_ssize_t width
    cdef bint hashable

    def __init__(self, node):
        self.element = cell_of(node.element)
        self.dimension = node.dimension
        self.width = node.width
        self.hashable = node.hashable

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t i
        cdef Py_ssize_t at = 0
        cdef uint64_t length = self.width
        cdef list values = []
        if n == 0 or (self.width and n // self.width != self.dimension) or self.dimension > n:
            return Cell.box(self, p, n)
        for i in range(self.dimension):
            if not self.width:
                at = read_vint(p, n, at, &length)
            if length > <uint64_t>(n - at):
                raise DecodeError("an element goes beyond its value")
            values.append(self.element.box(p + at, <Py_ssize_t>length))
            at += <Py_ssize_t>length
        refuse_rest(at, n)
        return tuple(values) if self.hashable else values

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t start = out.size
        cdef list values
        if type(value) is not list or not self.width or len(<list>value) != self.dimension:
            return Cell.write(self, out, value)
        for element in <list>value:
            self.element.write(out, element)
        if out.size - start != self.width * self.dimension:
            out.size = start
            return Cell.write(self, out, value)
        return 0


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


cdef Cell cell_of(node):
    """Return the compiled side of a type node; a user's codec has none of its own."""
    if type(node) is FloatingNode:
        return floating_cell(node)
    return CELLS.get(type(node), Cell)(node)


# --- Rows ------------------------------------------------------------------------------------------------------------

@cython.final
cdef class RowPlan:
    """How rows of these columns are read; see `rows.RowPlan`."""

    cdef readonly tuple columns
    cdef readonly tuple names
    cdef readonly tuple nodes
    cdef tuple cells

    def __init__(self, tuple columns, tuple nodes):
        self.columns = columns
        self.names = tuple([column.name for column in columns])
        self.nodes = nodes
        self.cells = tuple([cell_of(node) for node in nodes])

    def page(self, bytes body not None, Py_ssize_t offset, Py_ssize_t row_count):
        """Return the page whose rows start at `offset` of `body`; nothing is read yet."""
        check_size(self.columns, len(body) - offset, row_count)
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

    def __init__(self, RowPlan plan, bytes body, Py_ssize_t offset, Py_ssize_t row_count):
        self.plan = plan
        self.row_count = row_count
        self.body = body
        self.offset = offset

    def rows(self, row_class=tuple):
        """Return all rows as instances of `row_class`, a subclass of `tuple`."""
        return (<RowCursor>self.cursor()).take(self.row_count, row_class)

    def cursor(self):
        """Return a cursor, by which the rows can be read in slices."""
        return RowCursor(self.plan, self.body, self.offset, self.row_count)

    def dicts(self):
        """Return all rows as dicts by column name; of columns with one name the last one counts."""
        names = self.plan.names
        return [dict(zip(names, row)) for row in self.rows()]


@cython.final
cdef class RowCursor:
    """A place in a page; see `rows.RowCursor`."""

    cdef RowPlan plan
    cdef bytes body
    cdef Py_ssize_t at
    cdef Py_ssize_t row
    cdef Py_ssize_t left

    def __init__(self, RowPlan plan, bytes body, Py_ssize_t offset, Py_ssize_t row_count):
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
        cdef list rows = []
        if not isinstance(row_class, type) or not PyType_IsSubtype(cls, &PyTuple_Type):
            raise TypeError("row_class has to be a subclass of tuple")
        n = max(min(n, self.left), 0)
        try:
            while i < n:
                start = at
                rows.append(read_row(cells, cls, data, size, &at))
                i += 1
        except Exception as error:
            fail(self.plan.columns, self.plan.nodes, self.body, start, self.row + i, error)
        self.row += n
        self.left -= n
        self.at = at
        if not self.left:
            check_end(self.body, at)
        return rows


cdef object read_row(tuple cells, PyTypeObject* cls, const uint8_t* data, Py_ssize_t size, Py_ssize_t* at):
    cdef Py_ssize_t i
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    row = PyTuple_New(count) if cls == &PyTuple_Type else allocator(cls)(cls, count)
    for i in range(count):
        value = read_sized(<Cell>PyTuple_GET_ITEM(cells, i), data, size, at)
        Py_INCREF(value)
        PyTuple_SET_ITEM(row, i, value)
    return row


# --- Values of a request -----------------------------------------------------------------------------------------------

@cython.final
cdef class Binder:
    """Writes the values for the bind markers of one statement; see `bind.Binder`."""

    cdef readonly tuple columns
    cdef tuple cells
    cdef bytes head
    cdef object pure

    def __init__(self, tuple columns, tuple nodes):
        self.columns = columns
        self.cells = tuple([cell_of(node) for node in nodes])
        self.head = head(columns)
        self.pure = pure_bind.Binder(columns, nodes)

    def bind(self, values):
        """Return the values as an EXECUTE has them: a [short] n, then n times a [value]."""
        cdef tuple ordered
        cdef Buffer out
        if type(values) is tuple and len(<tuple>values) == len(self.cells):
            ordered = <tuple>values
        elif type(values) is list and len(<list>values) == len(self.cells):
            ordered = tuple(<list>values)
        else:
            ordered = tuple(in_order(self.columns, values))
        out = Buffer.__new__(Buffer)
        try:
            self.write(out, ordered)
        except Exception:
            return self.pure.bind(ordered)
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size)

    cdef int write(self, Buffer out, tuple values) except -1:
        cdef Py_ssize_t i
        out.append(PyBytes_AS_STRING(self.head), 2)
        for i in range(PyTuple_GET_SIZE(self.cells)):
            value = <object>PyTuple_GET_ITEM(values, i)
            if value is None:
                store32(out.room(4), 0xFFFFFFFF)
            elif value is unset:
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
