# The cells of the types in `tuples` and `udt`.

cdef Py_ssize_t FEW = _FEW


cdef object read_elements(tuple cells, PyTypeObject* cls, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
    """Return a tuple, or an instance of a subclass of it, with a value for each cell."""
    cdef Py_ssize_t i
    cdef Py_ssize_t missing = 0
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    values = PyTuple_New(count) if cls == &PyTuple_Type else allocate(cls, count)
    for i in range(count):
        if at[0] < n:
            value = read_sized(<Cell>PyTuple_GET_ITEM(cells, i), p, n, at)
        elif missing == 0:
            missing = count - i
            if missing > FEW:
                padding.take(missing)
            value = None
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, i, value)
    return values


cdef int write_nullable(Buffer out, Cell cell, object value) except -1:
    if value is None:
        store32(out.room(4), 0xFFFFFFFF)
        return 0
    return write_sized(out, cell, value)


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
        cls = node.value_class
        if cls is not None and not (isinstance(cls, type) and issubclass(cls, tuple)):
            raise TypeError("the class of values has to be a tuple: its instances are filled in place")
        self.value_class = node.value_class
        self.make = node.make

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 0
        if self.value_class is None:
            return self.make(read_elements(self.fields, &PyTuple_Type, p, n, &at))
        return read_elements(self.fields, <PyTypeObject*>self.value_class, p, n, &at)

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
