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
    """Write flags of 0 or 1 as bits from `start` on; what is in the last byte above `start` is overwritten."""
    cdef int i = 0
    cdef uint64_t eight
    cdef int shift = start & 7
    cdef uint8_t* out = bits + (start >> 3)
    cdef uint32_t carry = out[0] & ((1 << shift) - 1) if shift else 0
    while i + 8 <= n:
        memcpy(&eight, flags + i, 8)
        eight = (eight * <uint64_t>0x0102040810204080) >> 56
        carry |= <uint32_t>eight << shift
        out[0] = <uint8_t>carry
        out += 1
        carry >>= 8
        i += 8
    while i < n:
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
    return 0


cdef inline uint8_t* room_for_bits(Buffer* buffer, int64_t bits) noexcept nogil:
    """Return the start of a buffer of bits, once it has room for so many, and eight more."""
    cdef int64_t size = (bits + 7) // 8
    if size + 1 > buffer.capacity and grow(buffer, max(size + 1, 2 * buffer.capacity)):
        return NULL
    buffer.size = size
    return buffer.p


cdef int mark(Context* context, Vec* vec, const uint8_t* flags, int n) noexcept nogil:
    """Count `n` more values, which are null where their flag is 0."""
    cdef int i
    cdef int valid = 0
    cdef uint8_t* bits
    cdef int64_t before
    for i in range(n):
        valid += flags[i]
    if valid < n or vec.nulls:
        before = vec.validity.size
        bits = room_for_bits(&vec.validity, vec.length + n)
        if bits == NULL:
            return no_memory(context)
        if before == 0 and vec.length:
            memset(bits, 0xFF, (vec.length + 7) // 8)
        pack(bits, vec.length, flags, n)
        vec.nulls += n - valid
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


cdef inline int flag_sizes(Context* context, Vec* vec, Cell* cells, int n, uint8_t* flags) noexcept nogil:
    """Set the flags of values of fixed size, if there is null: what has no bytes. Return whether there is, or -1 for an
    odd size."""
    cdef int i
    cdef int32_t width = vec.width
    cdef int32_t other = 0
    cdef int odd_size = 0
    for i in range(n):
        other |= cells[i].size ^ width
    if other == 0:
        return 0
    for i in range(n):
        flags[i] = cells[i].size == width
        odd_size |= (cells[i].size != width) & (cells[i].size > 0)
    return refuse(context, BAD_LENGTH) if odd_size else 1


cdef inline uint32_t mask_of(const uint8_t* flags, int i, bint has_null) noexcept nogil:
    """Return what keeps the bits of a value, or none of them if it is null."""
    return 0 - <uint32_t>flags[i] if has_null else <uint32_t>0xFFFFFFFF


cdef inline void copy_fixed(
    Context* context, Vec* vec, Cell* cells, int n, const uint8_t* flags, bint has_null, uint8_t* out
) noexcept nogil:
    """Write values of fixed size, zeros for null: not by branches, which nulls at random would have mispredicted. In
    their stead, the first bytes of the page are read, and masked."""
    cdef const uint8_t* base = context.base
    cdef const uint8_t* p
    cdef int32_t width = vec.width
    cdef uint32_t flip = vec.flip
    cdef uint32_t mask
    cdef uint64_t mask64
    cdef uint64_t low, high
    cdef int i
    if context.size < width:
        memset(out, 0, <int64_t>n * width)  # all of them are null
    elif width == 4:
        for i in range(n):
            mask = mask_of(flags, i, has_null)
            (<uint32_t*>out)[i] = (read32(base + (cells[i].at & mask)) ^ flip) & mask
    elif width == 8:
        for i in range(n):
            mask = mask_of(flags, i, has_null)
            mask64 = <uint64_t><int64_t><int32_t>mask
            (<uint64_t*>out)[i] = read64(base + (cells[i].at & mask)) & mask64
    elif width == 16:
        for i in range(n):
            mask = mask_of(flags, i, has_null)
            mask64 = <uint64_t><int64_t><int32_t>mask
            p = base + (cells[i].at & mask)
            memcpy(&low, p, 8)
            memcpy(&high, p + 8, 8)
            (<uint64_t*>out)[2 * i] = low & mask64
            (<uint64_t*>out)[2 * i + 1] = high & mask64
    elif width == 2:
        for i in range(n):
            mask = mask_of(flags, i, has_null)
            p = base + (cells[i].at & mask)
            (<uint16_t*>out)[i] = <uint16_t>(((p[0] << 8) | p[1]) & mask)
    else:
        for i in range(n):
            mask = mask_of(flags, i, has_null)
            out[i] = <uint8_t>(base[cells[i].at & mask] & mask)


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
    cdef int i
    cdef uint8_t* out = room(&vec.values, <int64_t>n * vec.width)
    cdef int has_null = flag_sizes(context, vec, cells, n, flags)
    if out == NULL:
        return no_memory(context)
    if has_null < 0:
        return -1
    if has_null:
        copy_fixed(context, vec, cells, n, flags, True, out)
    else:
        copy_fixed(context, vec, cells, n, flags, False, out)
    if vec.kernel == TIME:
        for i in range(n):
            if (<uint64_t*>out)[i] >= <uint64_t>86400000000000:
                return refuse(context, BAD_TIME)
    vec.values.size += <int64_t>n * vec.width
    return mark(context, vec, flags, n) if has_null else mark_all(context, vec, n)


cdef int fill_bits(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    cdef uint8_t[BLOCK] flags
    cdef uint8_t[BLOCK] values
    cdef int i
    cdef int has_null = flag_sizes(context, vec, cells, n, flags)
    cdef uint8_t* bits = room_for_bits(&vec.values, vec.length + n)
    if bits == NULL:
        return no_memory(context)
    if has_null < 0:
        return -1
    if has_null:
        copy_fixed(context, vec, cells, n, flags, True, values)
    else:
        copy_fixed(context, vec, cells, n, flags, False, values)
    for i in range(n):
        values[i] = values[i] != 0
    pack(bits, vec.length, values, n)
    return mark(context, vec, flags, n) if has_null else mark_all(context, vec, n)


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
