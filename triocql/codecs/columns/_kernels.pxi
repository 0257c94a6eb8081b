# The kernels of values of fixed size, and what all of them share.

cdef enum:
    ROWS
    SKIP
    FIXED1
    FIXED2
    FIXED4
    FIXED8
    PLAIN16
    TIME
    BITS
    DURATION
    DECIMAL128
    VARINT128
    BYTES
    TEXT
    ASCII
    VARINT
    DECIMAL
    INET
    UUID_TEXT
    LIST
    MAP
    STRUCT
    TUPLE
    VECTOR

cdef dict NUMBERS = {1: FIXED1, 2: FIXED2, 4: FIXED4, 8: FIXED8}
cdef dict KERNELS = {
    "ascii": ASCII,
    "bits": BITS,
    "bytes": BYTES,
    "date": FIXED4,
    "decimal": DECIMAL,
    "decimal128": DECIMAL128,
    "duration": DURATION,
    "inet": INET,
    "list": LIST,
    "map": MAP,
    "plain": PLAIN16,
    "struct": STRUCT,
    "text": TEXT,
    "time": TIME,
    "tuple": TUPLE,
    "uuid": UUID_TEXT,
    "varint": VARINT,
    "varint128": VARINT128,
    "vector": VECTOR,
}

cdef enum:
    NO_MEMORY = 1
    STOPPED
    IN_PYTHON
    BAD_LENGTH
    BAD_OVERRUN
    BAD_PAGE_END
    BAD_COUNT
    BAD_REST
    BAD_KEY
    BAD_TIME
    BAD_DURATION
    BAD_VINT
    BAD_ASCII
    BAD_PADDING
    BAD_SIZE
    BAD_NUMBER

cdef dict REASONS = {
    BAD_LENGTH: odd.LENGTH,
    BAD_OVERRUN: odd.OVERRUN,
    BAD_PAGE_END: odd.PAGE_END,
    BAD_COUNT: odd.COUNT,
    BAD_REST: odd.REST,
    BAD_KEY: odd.KEY,
    BAD_TIME: odd.TIME,
    BAD_DURATION: odd.DURATION,
    BAD_VINT: odd.VINT,
    BAD_ASCII: odd.ASCII,
    BAD_PADDING: odd.PADDING,
    BAD_SIZE: odd.LARGE,
    BAD_NUMBER: odd.INEXACT,
}

cdef uint8_t[16] ZEROS
memset(ZEROS, 0, 16)

cdef int refuse(Context* context, int problem) noexcept nogil:
    """Note what is wrong, and return what a kernel returns then."""
    context.problem = problem
    return -1


cdef int no_memory(Context* context) noexcept nogil:
    context.problem = NO_MEMORY
    return -1


cdef int fill(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Append `n` values, BLOCK at most; -1 if one of them is not valid, which is noted in the context."""
    cdef int kernel = vec.kernel
    if FIXED1 <= kernel <= TIME:
        return fill_fixed(context, vec, cells, n)
    if kernel == BITS:
        return fill_bits(context, vec, cells, n)
    if DURATION <= kernel <= VARINT128:
        return fill_wide(context, vec, cells, n)
    if BYTES <= kernel <= ASCII:
        return fill_bytes(context, vec, cells, n)
    if VARINT <= kernel <= UUID_TEXT:
        return fill_rendered(context, vec, cells, n)
    if kernel == LIST or kernel == MAP:
        return fill_lists(context, vec, cells, n)
    if kernel == STRUCT or kernel == TUPLE:
        return fill_structs(context, vec, cells, n)
    return fill_vectors(context, vec, cells, n)


cdef inline int pack(uint8_t* bits, int64_t start, const uint8_t* flags, int n) noexcept nogil:
    """Write flags of 0 or 1 as bits from `start` on, and return how many are 1; what is in the last byte above `start`
    is overwritten."""
    cdef int i = 0
    cdef int ones = 0
    cdef uint64_t eight
    cdef int shift = start & 7
    cdef uint8_t* out = bits + (start >> 3)
    cdef uint32_t carry = out[0] & ((1 << shift) - 1) if shift else 0
    while i + 8 <= n:
        memcpy(&eight, flags + i, 8)
        ones += <int>((eight * <uint64_t>0x0101010101010101) >> 56)
        eight = (eight * <uint64_t>0x0102040810204080) >> 56
        carry |= <uint32_t>eight << shift
        out[0] = <uint8_t>carry
        out += 1
        carry >>= 8
        i += 8
    while i < n:
        ones += flags[i]
        carry |= <uint32_t>flags[i] << shift
        i += 1
        shift += 1
        if shift == 8:
            out[0] = <uint8_t>carry
            out += 1
            carry = 0
            shift = 0
    if shift:
        out[0] = <uint8_t>carry
    return ones


cdef inline bint all_set(const uint8_t* flags, int n) noexcept nogil:
    """Whether flags of 0 or 1 all are 1."""
    cdef uint64_t ones = 0x0101010101010101
    cdef uint64_t eight
    cdef int i = 0
    while i + 8 <= n:
        memcpy(&eight, flags + i, 8)
        ones &= eight
        i += 8
    while i < n:
        ones &= flags[i] * <uint64_t>0x0101010101010101
        i += 1
    return ones == <uint64_t>0x0101010101010101


cdef inline uint8_t* room_for_bits(Buffer* buffer, int64_t bits) noexcept nogil:
    """Return the start of a buffer of bits, once it has room for so many, and eight more."""
    cdef int64_t size = (bits + 7) // 8
    if size + 1 > buffer.capacity and grow(buffer, max(size + 1, 2 * buffer.capacity)):
        return NULL
    buffer.size = size
    return buffer.p


cdef int mark(Context* context, Vec* vec, const uint8_t* flags, int n) noexcept nogil:
    """Count `n` more values, which are null where their flag is 0."""
    cdef uint8_t* bits
    cdef int64_t before
    if vec.nulls or not all_set(flags, n):
        before = vec.validity.size
        bits = room_for_bits(&vec.validity, vec.length + n)
        if bits == NULL:
            return no_memory(context)
        if before == 0 and vec.length:
            memset(bits, 0xFF, (vec.length + 7) // 8)
        vec.nulls += n - pack(bits, vec.length, flags, n)
    vec.length += n
    return 0


cdef int mark_all(Context* context, Vec* vec, int64_t n) noexcept nogil:
    """Count `n` more values, none of which is null."""
    cdef uint8_t* bits
    cdef int64_t at = vec.length
    vec.length += n
    if vec.nulls == 0 or n == 0:
        return 0
    bits = room_for_bits(&vec.validity, vec.length)
    if bits == NULL:
        return no_memory(context)
    if at & 7:
        bits[at >> 3] |= <uint8_t>(0xFF << (at & 7))
        at = (at | 7) + 1
    if at < vec.length:
        memset(bits + (at >> 3), 0xFF, (vec.length - at + 7) // 8)
    return 0


cdef inline void copy_value(int32_t width, const uint8_t* p, uint32_t flip, uint8_t* out) noexcept nogil:
    """Write a value of fixed size."""
    if width == 4:
        (<uint32_t*>out)[0] = read32(p) ^ flip
    elif width == 8:
        (<uint64_t*>out)[0] = read64(p)
    elif width == 16:
        memcpy(out, p, 16)
    elif width == 2:
        (<uint16_t*>out)[0] = <uint16_t>((p[0] << 8) | p[1])
    else:
        out[0] = p[0]


cdef inline void copy_column(
    int32_t width, uint32_t flip, const uint8_t* p, int64_t stride, int64_t n, uint8_t* out
) noexcept nogil:
    """Write values of fixed size, which are `stride` bytes apart."""
    cdef int64_t i
    for i in range(n):
        copy_value(width, p, flip, out)
        p += stride
        out += width


cdef inline int32_t copy_cells(
    int32_t width, uint32_t flip, Context* context, Cell* cells, int n, uint8_t* flags, uint8_t* out
) noexcept nogil:
    """Write values of fixed size, zeros for null: what has no bytes; and their flags. Return 0 unless one has an odd
    size.

    It is not done by branches, which nulls at random would have mispredicted: in their stead, zeros are read.
    """
    cdef uintptr_t zeros = <uintptr_t>&ZEROS[0]
    cdef uintptr_t base = <uintptr_t>context.base - zeros
    cdef uintptr_t mask
    cdef int32_t most = 0
    cdef int i
    for i in range(n):
        flags[i] = cells[i].size == width
        mask = 0 - <uintptr_t>flags[i]
        copy_value(width, <uint8_t*>(zeros + ((base + cells[i].at) & mask)), flip & <uint32_t>mask, out)
        most = max(most, cells[i].size & ~<int32_t>mask)
        out += width
    return most


cdef inline void swap_run(Vec* vec, const uint8_t* p, uint8_t* out, int64_t n) noexcept nogil:
    """Write numbers of 4 or 8 bytes that stand side by side."""
    cdef int64_t i
    if vec.width == 4:
        for i in range(n):
            (<uint32_t*>out)[i] = read32(p + 4 * i)
    else:
        for i in range(n):
            (<uint64_t*>out)[i] = read64(p + 8 * i)


cdef int fill_fixed(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    cdef uint8_t[BLOCK] flags
    cdef int32_t width = vec.width
    cdef int32_t wrong
    cdef uint8_t* out = room(&vec.values, <int64_t>n * width)
    if out == NULL:
        return no_memory(context)
    if width == 4:
        wrong = copy_cells(4, vec.flip, context, cells, n, flags, out)
    elif width == 8:
        wrong = copy_cells(8, 0, context, cells, n, flags, out)
    elif width == 16:
        wrong = copy_cells(16, 0, context, cells, n, flags, out)
    elif width == 2:
        wrong = copy_cells(2, 0, context, cells, n, flags, out)
    else:
        wrong = copy_cells(1, 0, context, cells, n, flags, out)
    if wrong:
        return refuse(context, BAD_LENGTH)
    if vec.kernel == TIME and not are_times(<uint64_t*>out, n):
        return refuse(context, BAD_TIME)
    vec.values.size += <int64_t>n * width
    return mark(context, vec, flags, n)


cdef inline bint are_times(const uint64_t* values, int n) noexcept nogil:
    """Whether these are times of a day."""
    cdef int i
    for i in range(n):
        if values[i] >= <uint64_t>86400000000000:
            return False
    return True


cdef int fill_bits(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    cdef uint8_t[BLOCK] flags
    cdef uint8_t[BLOCK] values
    if copy_cells(1, 0, context, cells, n, flags, values):
        return refuse(context, BAD_LENGTH)
    return -1 if add_bits(context, vec, values, n) else mark(context, vec, flags, n)


cdef inline int add_bits(Context* context, Vec* vec, uint8_t* values, int n) noexcept nogil:
    """Write booleans. They are not counted yet."""
    cdef int i
    cdef uint8_t* bits = room_for_bits(&vec.values, vec.length + n)
    if bits == NULL:
        return no_memory(context)
    for i in range(n):
        values[i] = values[i] != 0
    pack(bits, vec.length, values, n)
    return 0


cdef int fill_column(Context* context, Vec* vec, const uint8_t* p, int64_t stride, int n) noexcept nogil:
    """Append values of fixed size, BLOCK at most, none of which is null, and which are `stride` bytes apart."""
    cdef uint8_t[BLOCK] values
    cdef int32_t width = vec.width
    cdef uint8_t* out
    if vec.kernel == BITS:
        copy_column(1, 0, p, stride, n, values)
        return -1 if add_bits(context, vec, values, n) else mark_all(context, vec, n)
    out = room(&vec.values, <int64_t>n * width)
    if out == NULL:
        return no_memory(context)
    if width == 4:
        copy_column(4, vec.flip, p, stride, n, out)
    elif width == 8:
        copy_column(8, 0, p, stride, n, out)
    elif width == 16:
        copy_column(16, 0, p, stride, n, out)
    elif width == 2:
        copy_column(2, 0, p, stride, n, out)
    else:
        copy_column(1, 0, p, stride, n, out)
    if vec.kernel == TIME and not are_times(<uint64_t*>out, n):
        return refuse(context, BAD_TIME)
    vec.values.size += <int64_t>n * width
    return mark_all(context, vec, n)


cdef int read_vint(Context* context, Cell* cell, int64_t* at, uint64_t* value) noexcept nogil:
    """Read an unsigned integer of variable length within a cell."""
    cdef int64_t end = <int64_t>cell.at + cell.size
    cdef const uint8_t* p = context.base + at[0]
    cdef int extra = 0
    cdef int i
    cdef uint64_t number
    if at[0] >= end:
        return refuse(context, BAD_VINT)
    while extra < 8 and p[0] & (0x80 >> extra):
        extra += 1
    if extra >= end - at[0]:
        return refuse(context, BAD_VINT)
    number = p[0] & (0xFF >> extra)
    for i in range(1, extra + 1):
        number = number << 8 | p[i]
    at[0] += 1 + extra
    value[0] = number
    return 0


cdef inline int64_t unzigzag(uint64_t value) noexcept nogil:
    return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)


cdef int read_duration(Context* context, Cell* cell, uint8_t* out) noexcept nogil:
    """Write months, days and nanoseconds; what follows them is passed over, as by the server."""
    cdef uint64_t[3] parts
    cdef int64_t at = cell.at
    cdef int64_t months, days, nanoseconds
    cdef int i
    for i in range(3):
        if read_vint(context, cell, &at, &parts[i]):
            return -1
    months, days, nanoseconds = unzigzag(parts[0]), unzigzag(parts[1]), unzigzag(parts[2])
    if months != <int32_t>months or days != <int32_t>days:
        return refuse(context, BAD_DURATION)
    (<int32_t*>out)[0] = <int32_t>months
    (<int32_t*>out)[1] = <int32_t>days
    memcpy(out + 8, &nanoseconds, 8)
    return 0


cdef int fill_wide(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Values of variable size that have 16 bytes in Arrow: durations, decimals."""
    cdef uint8_t[BLOCK] flags
    cdef int i
    cdef int failed
    cdef uint8_t* out = room(&vec.values, <int64_t>n * 16)
    if out == NULL:
        return no_memory(context)
    for i in range(n):
        flags[i] = cells[i].size > 0
        if not flags[i]:
            memset(out + 16 * i, 0, 16)
            continue
        if vec.kernel == DURATION:
            failed = read_duration(context, &cells[i], out + 16 * i)
        else:
            failed = read_decimal(context, vec, &cells[i], out + 16 * i)
        if failed:
            return -1
    vec.values.size += <int64_t>n * 16
    return mark(context, vec, flags, n)
