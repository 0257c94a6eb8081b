# The kernels of texts and blobs, and of numbers, addresses and UUIDs that are written as text.

cdef extern from * nogil:
    """
    #include <arpa/inet.h>
    #include <stdio.h>
    typedef __int128 triocql_int128;
    """
    ctypedef long long int128 "triocql_int128"
    int AF_INET
    int AF_INET6
    const char* inet_ntop(int family, const void* address, char* out, int size)
    int snprintf(char* out, size_t size, const char* form, ...)

cdef enum:
    LONGEST_TEXT = 48  # of what `write_text` writes


cdef int fill_bytes(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    cdef uint8_t[BLOCK] flags
    cdef int64_t total = 0
    cdef int64_t start = vec.values.size
    cdef int64_t end = start
    cdef int64_t last = context.size - SPARE
    cdef int32_t size
    cdef int i
    cdef uint8_t* out
    cdef int32_t* offsets
    for i in range(n):
        total += max(cells[i].size, 0)
    out = room(&vec.values, total)
    offsets = <int32_t*>room(&vec.offsets, <int64_t>n * 4)
    if out == NULL or offsets == NULL:
        return no_memory(context)
    if start + total > MAX_INT32:
        return refuse(context, BAD_SIZE)
    out -= start
    for i in range(n):
        size = cells[i].size
        flags[i] = size >= 0
        if size <= SPARE and cells[i].at <= last:
            # Most texts are short: they are moved at once, as is null, and what is too much is overwritten.
            memcpy(out + end, context.base + cells[i].at, SPARE)
        elif size > 0:
            memcpy(out + end, context.base + cells[i].at, size)
        end += max(size, 0)
        offsets[i] = <int32_t>end
    if vec.kernel != BYTES and not is_ascii(out + start, total):
        if check_texts(context, vec, cells, n):
            return -1
    else:
        vec.values.size = end
    vec.offsets.size += <int64_t>n * 4
    return mark(context, vec, flags, n)


cdef inline bint is_ascii(const uint8_t* p, int64_t n) noexcept nogil:
    cdef uint64_t bits = 0
    cdef uint64_t eight
    cdef int64_t i = 0
    while i + 8 <= n:
        memcpy(&eight, p + i, 8)
        bits |= eight
        i += 8
    while i < n:
        bits |= p[i]
        i += 1
    return (bits & <uint64_t>0x8080808080808080) == 0


cdef bint is_utf8(const uint8_t* p, int64_t n) noexcept nogil:
    """Whether bytes are valid UTF-8, each character in as few as it needs, and no halves of surrogate pairs."""
    cdef int64_t i = 0
    cdef int64_t end
    cdef uint8_t first
    cdef uint8_t low
    cdef uint8_t high
    while i < n:
        first = p[i]
        i += 1
        if first < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= first < 0xE0:
            end = i + 1
        elif 0xE0 <= first < 0xF0:
            end = i + 2
            low = 0xA0 if first == 0xE0 else 0x80
            high = 0x9F if first == 0xED else 0xBF
        elif 0xF0 <= first < 0xF5:
            end = i + 3
            low = 0x90 if first == 0xF0 else 0x80
            high = 0x8F if first == 0xF4 else 0xBF
        else:
            return False
        if end > n or not low <= p[i] <= high:
            return False
        for i in range(i + 1, end):
            if p[i] & 0xC0 != 0x80:
                return False
        i = end
    return True


cdef int check_texts(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Write the texts of a block, one by one: not all of them are ASCII. What they have room for is known."""
    cdef int i
    cdef int64_t size
    cdef const uint8_t* p
    cdef int32_t* offsets = <int32_t*>(vec.offsets.p + vec.offsets.size)
    for i in range(n):
        p = context.base + cells[i].at
        size = max(cells[i].size, 0)
        if vec.kernel == ASCII and not is_ascii(p, size):
            return refuse(context, BAD_ASCII)
        if vec.kernel == TEXT and not is_utf8(p, size):
            size = in_python(context, vec, &cells[i], vec.values.p + vec.values.size)
            if size < 0:
                return -1
        else:
            memcpy(vec.values.p + vec.values.size, p, size)
        vec.values.size += size
        offsets[i] = <int32_t>vec.values.size
    return 0


cdef int64_t in_python(Context* context, Vec* vec, Cell* cell, uint8_t* out) noexcept with gil:
    """Write a value that is too rare for the kernels, and return its size, -1 if it is not valid.

    The room for a text that is not valid, or a decimal128, is there already, at `out`; other texts get it here.
    """
    cdef bytes written
    cdef Batch batch = <Batch>context.batch
    try:
        raw = PyBytes_FromStringAndSize(<const char*>context.base + cell.at, cell.size)
        if vec.kernel == TEXT:
            written = odd.utf8_of(raw)
        elif vec.kernel == DECIMAL128:
            written = odd.exact_decimal(raw, vec.count, vec.scale).to_bytes(16, "little", signed=True)
        elif vec.kernel == VARINT128:
            written = odd.exact_varint(raw, vec.count, vec.scale).to_bytes(16, "little", signed=True)
        else:
            written = (odd.varint_text(raw) if vec.kernel == VARINT else odd.decimal_text(raw)).encode()
            out = room(&vec.values, len(written))
            if out == NULL:
                return no_memory(context)
        memcpy(out, PyBytes_AS_STRING(written), len(written))
        return len(written)
    except BaseException as error:
        batch.error = error
        return refuse(context, IN_PYTHON if isinstance(error, DecodeError) else STOPPED)


cdef inline int64_t read_integer(const uint8_t* p, int n) noexcept nogil:
    """Return a number of 1 to 8 bytes."""
    cdef uint64_t number = <uint64_t>(<int64_t><signed char>p[0])
    cdef int i
    for i in range(1, n):
        number = number << 8 | p[i]
    return <int64_t>number


cdef int write_decimal(int64_t number, int32_t scale, char* out) noexcept nogil:
    """Write a decimal as `str` does, and return its length."""
    cdef char[24] digits
    cdef bint negative = number < 0
    cdef uint64_t rest = 0 - <uint64_t>number if negative else <uint64_t>number
    cdef int count = snprintf(digits, 24, "%llu", <unsigned long long>rest)
    cdef int64_t exponent = -<int64_t>scale
    cdef int64_t adjusted = exponent + count - 1
    cdef int at = 0
    cdef int point = <int>(count + exponent) if adjusted >= -6 and exponent <= 0 else 1
    if negative:
        out[0] = c"-"
        at = 1
    if adjusted < -6 or exponent > 0:
        out[at] = digits[0]
        at += 1
        if count > 1:
            out[at] = c"."
            memcpy(out + at + 1, digits + 1, count - 1)
            at += count
        return at + snprintf(out + at, 16, "E%+lld", <long long>adjusted)
    if point <= 0:
        memcpy(out + at, "0.00000000", 2 - point)
        memcpy(out + at + 2 - point, digits, count)
        return at + 2 - point + count
    memcpy(out + at, digits, point)
    at += point
    if point < count:
        out[at] = c"."
        memcpy(out + at + 1, digits + point, count - point)
        at += 1 + count - point
    return at


cdef int write_uuid(const uint8_t* p, char* out) noexcept nogil:
    cdef const char* digits = "0123456789abcdef"
    cdef int i
    cdef int at = 0
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            out[at] = c"-"
            at += 1
        out[at] = digits[p[i] >> 4]
        out[at + 1] = digits[p[i] & 15]
        at += 2
    return at


cdef int write_text(Context* context, Vec* vec, Cell* cell, char* out) noexcept nogil:
    """Write a value of up to 8 bytes of digits as text, and return its length: -1 if it is not valid, -2 if Python has
    to write it, as it is longer."""
    cdef const uint8_t* p = context.base + cell.at
    cdef int n = cell.size
    if vec.kernel == VARINT:
        return -2 if n > 8 else snprintf(out, LONGEST_TEXT, "%lld", <long long>read_integer(p, n))
    if vec.kernel == DECIMAL:
        return write_decimal(read_integer(p + 4, n - 4), <int32_t>read32(p), out) if 5 <= n <= 12 else -2
    if n == 16:
        if vec.kernel == UUID_TEXT:
            return write_uuid(p, out)
        return 0 if inet_ntop(AF_INET6, p, out, LONGEST_TEXT) == NULL else <int>strlen(out)
    if n == 4 and vec.kernel == INET:
        return 0 if inet_ntop(AF_INET, p, out, LONGEST_TEXT) == NULL else <int>strlen(out)
    return refuse(context, BAD_LENGTH)


cdef int fill_rendered(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    cdef uint8_t[BLOCK] flags
    cdef int i
    cdef int64_t size
    cdef uint8_t* out
    cdef int32_t* offsets = <int32_t*>room(&vec.offsets, <int64_t>n * 4)
    if offsets == NULL:
        return no_memory(context)
    for i in range(n):
        flags[i] = cells[i].size > 0
        if flags[i]:
            out = room(&vec.values, LONGEST_TEXT)
            if out == NULL:
                return no_memory(context)
            size = write_text(context, vec, &cells[i], <char*>out)
            if size == -2:
                size = in_python(context, vec, &cells[i], out)
            if size < 0:
                return -1
            if vec.values.size + size > MAX_INT32:
                return refuse(context, BAD_SIZE)
            vec.values.size += size
        offsets[i] = <int32_t>vec.values.size
    vec.offsets.size += <int64_t>n * 4
    return mark(context, vec, flags, n)


cdef int read_decimal(Context* context, Vec* vec, Cell* cell, uint8_t* out) noexcept nogil:
    """Write a decimal or varint as a count of units of 10 ** -scale, if it is exactly one."""
    cdef const uint8_t* p = context.base + cell.at
    cdef int head = 4 if vec.kernel == DECIMAL128 else 0
    cdef int64_t steps
    cdef int128 number
    cdef int128 most = 1
    cdef int128 tenth = 0
    cdef int i
    if not head < cell.size <= head + 8:
        return -1 if in_python(context, vec, cell, out) < 0 else 0
    steps = vec.scale - (<int64_t><int32_t>read32(p) if head else 0)
    number = read_integer(p + head, cell.size - head)
    for i in range(vec.count):
        tenth = most
        most = most * 10
    while steps > 0 and number != 0:
        # Before it is multiplied: beyond 38 digits it would be another number.
        if number >= tenth or number <= -tenth:
            return refuse(context, BAD_NUMBER)
        number = number * 10
        steps -= 1
    while steps < 0 and number != 0:
        if number % 10 != 0:
            return refuse(context, BAD_NUMBER)
        number = number // 10
        steps += 1
    if number >= most or number <= -most:
        return refuse(context, BAD_NUMBER)
    memcpy(out, &number, 16)
    return 0
