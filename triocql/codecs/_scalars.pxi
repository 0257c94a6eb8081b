# The cells of the types in `scalars`.

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
        try:
            if self.ascii:
                return PyUnicode_DecodeASCII(<const char*>p, n, NULL)
            return PyUnicode_DecodeUTF8(<const char*>p, n, NULL)
        except UnicodeDecodeError:
            return Cell.box(self, p, n)

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
        value = allocate(<PyTypeObject*>uuid_class, 0)
        set_slot(<PyObject*>uuid_int, value, _PyLong_FromByteArray(p, 16, 0, 0))
        set_slot(<PyObject*>uuid_safety, value, safety_unknown)
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef uint8_t* p
        cdef uint64_t high
        if type(value) is not uuid_class:
            return Cell.write(self, out, value)
        number = value.int
        if type(number) is not int:
            return Cell.write(self, out, value)
        high = number >> 64  # raises if the number has more than 128 bits, or is negative
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
            value = allocate(<PyTypeObject*>v4_class, 0)
            set_slot(<PyObject*>v4_number, value, read32(p))
            return value
        if n != 16:
            return Cell.box(self, p, n)
        value = allocate(<PyTypeObject*>v6_class, 0)
        set_slot(<PyObject*>v6_number, value, _PyLong_FromByteArray(p, 16, 0, 0))
        set_slot(<PyObject*>v6_scope, value, None)
        return value

    cdef int write(self, Buffer out, object value) except -1:
        cdef uint8_t* p
        cdef uint32_t low
        cdef uint64_t high
        if type(value) is v4_class:
            number = value._ip
            if type(number) is not int:
                return Cell.write(self, out, value)
            low = number  # raises if the number has more than 32 bits, or is negative
            store32(out.room(4), low)
            return 0
        if type(value) is not v6_class or value._scope_id is not None:
            return Cell.write(self, out, value)
        number = value._ip
        if type(number) is not int:
            return Cell.write(self, out, value)
        high = number >> 64
        p = out.room(16)
        store64(p, high)
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
