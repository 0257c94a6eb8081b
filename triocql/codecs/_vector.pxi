# The cell of the type in `vector`.

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
                refuse_overrun()
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
