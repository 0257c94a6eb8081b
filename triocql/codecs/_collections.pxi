# The cells of the types in `collections`.

cdef Py_ssize_t MOST_ALIKE = _MOST_ALIKE


cdef inline int skip_sized(const uint8_t* p, Py_ssize_t n, Py_ssize_t* at) except -1:
    """Move `at` to the end of the value that starts there."""
    cdef Py_ssize_t start = at[0] + 4
    cdef int32_t length
    if n - start < 0:
        refuse_overrun()
    length = <int32_t>read32(p + start - 4)
    if length > n - start:
        refuse_overrun()
    at[0] = start + max(length, 0)
    return 0


cdef Py_ssize_t count_of(const uint8_t* p, Py_ssize_t n, Py_ssize_t least) except -1:
    cdef int32_t count = <int32_t>read32(p)
    if count < 0 or count > (n - 4) // least:
        raise DecodeError("more elements than its bytes can hold, or a negative number of them")
    return count


cdef int write_elements(Buffer out, Cell element, object values) except -1:
    cdef Py_ssize_t start = out.size
    cdef uint32_t count = 0
    out.room(4)
    for value in values:
        write_sized(out, element, value)
        count += 1
    store32(out.data + start, count)
    return 0


cdef list written_since(Buffer out, Py_ssize_t start):
    """Return the bytes of the values that were written after `start`, each after its length."""
    cdef Py_ssize_t at = start
    cdef Py_ssize_t size
    cdef list pieces = []
    while at < out.size:
        size = read32(out.data + at)
        pieces.append(PyBytes_FromStringAndSize(<const char*>out.data + at + 4, size))
        at += 4 + size
    return pieces


cdef int rewrite(Buffer out, Py_ssize_t start, Py_ssize_t count, pieces) except -1:
    """Put a number of elements and these pieces in the place of what was written after `start`."""
    out.size = start
    store32(out.room(4), <uint32_t>count)
    for piece in pieces:
        store32(out.room(4), <uint32_t>len(<bytes>piece))
        out.append(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
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
    cdef bint collides
    cdef object sort_key

    def __init__(self, node):
        self.element = cell_of(node.element)
        self.hashable = node.make is frozenset
        self.collides = node.collides
        self.sort_key = node.sort_key

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
        if self.collides and count > MOST_ALIKE:
            check_hashes(values)
        return frozenset(values) if self.hashable else set(values)

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t start = out.size
        cdef list elements
        if not (type(value) is set or type(value) is frozenset or type(value) is list or type(value) is tuple):
            return Cell.write(self, out, value)
        write_elements(out, self.element, value)
        if self.sort_key is not None:
            elements = sorted_elements(written_since(out, start + 4), self.sort_key)
            rewrite(out, start, len(elements), elements)
        return 0


@cython.final
cdef class MapCell(Cell):
    cdef Cell key
    cdef Cell value
    cdef bint hashable
    cdef bint collides
    cdef object sort_key

    def __init__(self, node):
        self.sort_key = node.sort_key
        self.key = cell_of(node.key)
        self.value = cell_of(node.value)
        self.hashable = node.make is not None
        self.collides = node.collides

    cdef object box(self, const uint8_t* p, Py_ssize_t n):
        cdef Py_ssize_t at = 4
        cdef Py_ssize_t i
        cdef Py_ssize_t count
        cdef dict items
        if n < 4:
            return Cell.box(self, p, n)
        count = count_of(p, n, 8)
        if self.collides and count > MOST_ALIKE:
            self.check_keys(p, n, count)
        items = {}
        for i in range(count):
            key = read_sized(self.key, p, n, &at)
            items[key] = read_sized(self.value, p, n, &at)
        refuse_rest(at, n)
        return FrozenMap(items) if self.hashable else items

    cdef int check_keys(self, const uint8_t* p, Py_ssize_t n, Py_ssize_t count) except -1:
        """Read the keys alone, to refuse those that have one hash."""
        cdef Py_ssize_t at = 4
        cdef Py_ssize_t i
        cdef list keys = []
        for i in range(count):
            keys.append(read_sized(self.key, p, n, &at))
            skip_sized(p, n, &at)
        check_hashes(keys)
        return 0

    cdef int write(self, Buffer out, object value) except -1:
        cdef Py_ssize_t start = out.size
        cdef list pieces
        if type(value) is not dict:
            return Cell.write(self, out, value)
        store32(out.room(4), <uint32_t>len(<dict>value))
        for key, item in (<dict>value).items():
            write_sized(out, self.key, key)
            write_sized(out, self.value, item)
        if self.sort_key is not None:
            pieces = written_since(out, start + 4)
            items = sorted_items(zip(pieces[::2], pieces[1::2]), self.sort_key)
            rewrite(out, start, len(items), chain.from_iterable(items))
        return 0
