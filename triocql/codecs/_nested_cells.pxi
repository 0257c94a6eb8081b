# The cells of `collections`, `tuples`, `udt` and `vector`, and which cell stands for which type node.

cdef inline object read_sized(Cell cell, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
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


cdef inline int skip_sized(const uint8_t* p, Py_ssize_t n, Py_ssize_t* at) except -1:
    """Move `at` to the end of the value that starts there."""
    cdef Py_ssize_t start = at[0] + 4
    cdef int32_t length
    if n - start < 0:
        raise DecodeError("an element goes beyond its value")
    length = <int32_t>read32(p + start - 4)
    if length > n - start:
        raise DecodeError("an element goes beyond its value")
    at[0] = start + max(length, 0)
    return 0


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


cdef object read_elements(tuple cells, PyTypeObject* cls, const uint8_t* p, Py_ssize_t n, Py_ssize_t* at):
    """Return a tuple, or an instance of a subclass of it, with a value for each cell."""
    cdef Py_ssize_t i
    cdef Py_ssize_t missing = 0
    cdef Py_ssize_t count = PyTuple_GET_SIZE(cells)
    values = PyTuple_New(count) if cls == &PyTuple_Type else allocator(cls)(cls, count)
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


# What may have a tuple or a user-defined type within, as a user's codec may, too.
cdef frozenset CONTAINERS = frozenset((Cell, ListCell, MapCell, SetCell, TupleCell, UserTypeCell, VectorCell))


cdef Cell cell_of(node):
    """Return the compiled side of a type node; a user's codec has none of its own."""
    if type(node) is FloatingNode:
        return floating_cell(node)
    return CELLS.get(type(node), Cell)(node)
