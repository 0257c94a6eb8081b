# What is filled: buffers, a vector of them for each type, and the root that owns all of a batch.

cdef extern from *:
    """
    #define triocql_more(count) __atomic_add_fetch((count), 1, __ATOMIC_RELAXED)
    #define triocql_less(count) __atomic_sub_fetch((count), 1, __ATOMIC_ACQ_REL)
    """
    int64_t more "triocql_more" (int64_t* count) noexcept nogil
    int64_t less "triocql_less" (int64_t* count) noexcept nogil

cdef enum:
    ALIGNMENT = 64
    SPARE = 32  # bytes after each buffer, for moves that go beyond a value
    BLOCK = 256  # cells that a kernel gets at once, at most
    MANY = 64  # cells that are found at once, where rows are shorter
    MAX_INT32 = 0x7FFFFFFF


cdef struct Cell:
    # A value: where it starts in the page, and its length, negative for null.
    uint32_t at
    int32_t size


cdef struct Place:
    # A value of some rows: the bytes that its type has, and where its cell is.
    int32_t width
    int32_t cell


cdef struct Buffer:
    void* base
    uint8_t* p
    int64_t size
    int64_t capacity


cdef struct Spec:
    # What is the same for all batches: a layout.
    int kernel
    int32_t width
    int32_t count
    int32_t scale
    uint32_t flip
    int kid_count
    Spec* kids


cdef struct Vec:
    # The values of one type, so far.
    int kernel
    int32_t width
    int32_t count
    int32_t scale
    uint32_t flip
    int kid_count
    Vec* kids
    int64_t length
    int64_t nulls
    Buffer validity
    Buffer offsets
    Buffer values
    Cell* cells  # for each kid, `block` of them
    int block
    Place* places  # where the kids are columns: of `group` rows
    int group
    int64_t stride  # the bytes of a row none of whose values is null, 0 if that varies


cdef struct Root:
    int64_t references
    Vec vec


cdef struct Context:
    # The page that is read, and what is wrong with it, and where.
    const uint8_t* base
    int64_t size
    int64_t padding
    PyObject* batch
    int problem
    int64_t row
    int column


cdef int grow(Buffer* buffer, int64_t capacity) noexcept nogil:
    """Move a buffer to where it has room; -1 if there is no memory."""
    cdef void* base
    cdef uint8_t* p
    capacity = (capacity + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    base = malloc(capacity + SPARE + ALIGNMENT)
    if base == NULL:
        return -1
    p = <uint8_t*>((<uintptr_t>base + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    if buffer.size:
        memcpy(p, buffer.p, buffer.size)
    free(buffer.base)
    buffer.base = base
    buffer.p = p
    buffer.capacity = capacity
    return 0


cdef inline uint8_t* room(Buffer* buffer, int64_t more_bytes) noexcept nogil:
    """Return where the next `more_bytes` go, NULL if there is no memory. They are not counted yet."""
    cdef int64_t needed = buffer.size + more_bytes
    if (needed > buffer.capacity or buffer.base == NULL) and grow(buffer, max(needed, 2 * buffer.capacity)):
        return NULL
    return buffer.p + buffer.size


cdef int fit(Buffer* buffer) noexcept nogil:
    """Give back what is much too large, and end the rest with zeros."""
    if buffer.capacity - buffer.size > buffer.size // 8 + ALIGNMENT and grow(buffer, buffer.size):
        return -1
    memset(buffer.p + buffer.size, 0, buffer.capacity - buffer.size)
    return 0


cdef int init_vec(Vec* vec, Spec* spec, int64_t rows) noexcept nogil:
    """Make the vector of a layout, with room for `rows` values; -1 if there is no memory. It is zeroed before."""
    cdef int i
    vec.kernel = spec.kernel
    vec.width = spec.width
    vec.count = spec.count
    vec.scale = spec.scale
    vec.flip = spec.flip
    if spec.kernel in (BYTES, TEXT, ASCII, VARINT, DECIMAL, INET, UUID_TEXT, LIST, MAP):
        if room(&vec.offsets, (rows + 1) * 4) == NULL:
            return -1
        (<int32_t*>vec.offsets.p)[0] = 0
        vec.offsets.size = 4
    elif spec.kernel not in (VECTOR, STRUCT, TUPLE, ROWS, SKIP) and room(&vec.values, size_of_values(vec, rows)) == NULL:
        return -1
    if not spec.kid_count:
        return 0
    vec.block = min(BLOCK, max(1, 2048 // spec.kid_count))
    if vec.block > 8:
        vec.block &= ~7  # so that bits begin where bytes do
    vec.kids = <Vec*>calloc(spec.kid_count, sizeof(Vec))
    vec.cells = <Cell*>malloc(<size_t>spec.kid_count * vec.block * sizeof(Cell))
    if vec.kids == NULL or vec.cells == NULL:
        return -1
    vec.kid_count = spec.kid_count
    if spec.kernel == ROWS and init_places(vec, spec):
        return -1
    for i in range(spec.kid_count):
        if init_vec(&vec.kids[i], &spec.kids[i], rows if spec.kernel == ROWS else 0):
            return -1
    return 0


cdef int init_places(Vec* vec, Spec* spec) noexcept nogil:
    """Lay out rows for the walk: several at once, or the end of each would be a branch that is mispredicted where
    values are null at random."""
    cdef int row, column
    vec.stride = stride_of(spec)
    vec.group = max(1, MANY // spec.kid_count)
    vec.places = <Place*>malloc(<size_t>vec.group * spec.kid_count * sizeof(Place))
    if vec.places == NULL:
        return -1
    for row in range(vec.group):
        for column in range(spec.kid_count):
            vec.places[row * spec.kid_count + column].width = spec.kids[column].width
            vec.places[row * spec.kid_count + column].cell = column * vec.block + row
    return 0


cdef int64_t stride_of(Spec* spec) noexcept nogil:
    cdef int64_t stride = 0
    cdef int i
    for i in range(spec.kid_count):
        if not FIXED1 <= spec.kids[i].kernel <= BITS:
            return 0
        stride += 4 + spec.kids[i].width
    return stride


cdef int64_t size_of_values(Vec* vec, int64_t rows) noexcept nogil:
    if vec.kernel == BITS:
        return (rows + 15) // 8
    if vec.kernel in (DURATION, DECIMAL128, VARINT128):
        return rows * 16
    return rows * vec.width


cdef int fit_vec(Vec* vec) noexcept nogil:
    """Make a vector as small as it can be, once it is full."""
    cdef int i
    free(vec.cells)
    free(vec.places)
    vec.cells = NULL
    vec.places = NULL
    if fit(&vec.validity) or fit(&vec.offsets) or fit(&vec.values):
        return -1
    for i in range(vec.kid_count):
        if fit_vec(&vec.kids[i]):
            return -1
    return 0


cdef void clear_vec(Vec* vec) noexcept nogil:
    cdef int i
    for i in range(vec.kid_count):
        clear_vec(&vec.kids[i])
    free(vec.kids)
    free(vec.cells)
    free(vec.places)
    free(vec.validity.base)
    free(vec.offsets.base)
    free(vec.values.base)


cdef Root* new_root() except NULL:
    cdef Root* root = <Root*>calloc(1, sizeof(Root))
    if root == NULL:
        raise MemoryError
    root.references = 1
    return root


cdef void release_root(Root* root) noexcept nogil:
    if less(&root.references) == 0:
        clear_vec(&root.vec)
        free(root)


cdef Spec* spec_of_columns(tuple layouts) except NULL:
    """Return the layout of rows of these layouts; of None the cells are passed over."""
    cdef Spec* spec = <Spec*>calloc(1, sizeof(Spec))
    if spec == NULL:
        raise MemoryError
    spec.kernel = ROWS
    try:
        fill_kids(spec, layouts)
    except BaseException:
        free_spec(spec)
        raise
    return spec


cdef int fill_spec(Spec* spec, layout) except -1:
    if layout is None:
        spec.kernel = SKIP
        return 0
    spec.width = layout.width
    spec.kernel = NUMBERS[layout.width] if layout.kernel == "number" else KERNELS[layout.kernel]
    spec.count = layout.count
    spec.scale = layout.scale
    spec.flip = 0x80000000 if layout.kernel == "date" else 0
    return fill_kids(spec, [child for _, child in layout.children])


cdef int fill_kids(Spec* spec, layouts) except -1:
    cdef int i
    spec.kids = <Spec*>calloc(max(len(layouts), 1), sizeof(Spec))
    if spec.kids == NULL:
        raise MemoryError
    spec.kid_count = len(layouts)
    for i in range(spec.kid_count):
        fill_spec(&spec.kids[i], layouts[i])
    return 0


cdef void free_spec(Spec* spec) noexcept:
    if spec != NULL:
        clear_spec(spec)
        free(spec)


cdef void clear_spec(Spec* spec) noexcept:
    cdef int i
    for i in range(spec.kid_count):
        clear_spec(&spec.kids[i])
    free(spec.kids)
