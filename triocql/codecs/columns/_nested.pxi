# The kernels of what has elements: they become cells, which the kernels of their types get in blocks.

cdef int refuse_keys(Context* context, Cell* cells, int n) noexcept nogil:
    """Refuse the first key that is null, or empty if none is."""
    cdef int i
    for i in range(n):
        if cells[i].size < 0:
            return refuse(context, BAD_KEY, cells[i].at)
    for i in range(n):
        if cells[i].size == 0:
            break
    return refuse(context, BAD_KEY, cells[i].at)


cdef int fill_kids_of(Context* context, Vec* vec, int n) noexcept nogil:
    """Hand over the cells that have been found."""
    cdef int kid
    for kid in range(vec.kid_count):
        if fill(context, &vec.kids[kid], vec.cells + <int64_t>kid * vec.block, n):
            return -1
    if vec.kernel == MAP and vec.kids[0].nulls:
        return refuse_keys(context, vec.cells, n)
    return 0


cdef int fill_lists(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Lists and sets of elements, maps of keys and values."""
    cdef uint8_t[BLOCK] flags
    cdef const uint8_t* base = context.base
    cdef int kid_count = vec.kid_count
    cdef int block = vec.block
    cdef int found = 0
    cdef int i, kid
    cdef int32_t count, size, element
    cdef int64_t at, end
    cdef Cell* cell
    cdef int32_t* offsets = <int32_t*>room(&vec.offsets, <int64_t>n * 4)
    cdef int32_t items
    if offsets == NULL:
        return no_memory(context)
    items = (offsets - 1)[0]
    for i in range(n):
        flags[i] = cells[i].size > 0
        if flags[i]:
            at = cells[i].at
            end = at + cells[i].size
            if cells[i].size < 4:
                return refuse(context, BAD_LENGTH, at)
            count = <int32_t>read32(base + at)
            if count < 0 or count > (cells[i].size - 4) // (4 * kid_count):
                return refuse(context, BAD_COUNT, at)
            at += 4
            for element in range(count):
                for kid in range(kid_count):
                    if end - at < 4:
                        return refuse(context, BAD_OVERRUN, cells[i].at)
                    size = <int32_t>read32(base + at)
                    at += 4
                    if size > end - at:
                        return refuse(context, BAD_OVERRUN, cells[i].at)
                    cell = vec.cells + kid * block + found
                    cell.at = <uint32_t>at
                    cell.size = size
                    if size > 0:
                        at += size
                found += 1
                if found == block:
                    if fill_kids_of(context, vec, found):
                        return -1
                    found = 0
            if at != end:
                return refuse(context, BAD_REST, cells[i].at)
            items += count
        offsets[i] = items
    if found and fill_kids_of(context, vec, found):
        return -1
    vec.offsets.size += <int64_t>n * 4
    return mark(context, vec, flags, n)


cdef int pad(Context* context, int64_t size, int64_t at) noexcept nogil:
    """Count the bytes in buffers that no byte of the page pays for."""
    context.padding -= size
    return refuse(context, BAD_PADDING, at) if context.padding < 0 else 0


cdef int find_fields(Context* context, Vec* vec, Cell* whole, int i) noexcept nogil:
    """Make cells of the fields of a value, null for those that are missing; they are the `i`-th of a block."""
    cdef int64_t at = whole.at
    cdef int64_t end = at + max(whole.size, 0)
    cdef int32_t size
    cdef int kid
    cdef int missing = 0
    cdef Cell* cell
    for kid in range(vec.kid_count):
        cell = vec.cells + <int64_t>kid * vec.block + i
        cell.at = whole.at
        cell.size = -1
        if at == end:
            missing += 1
            continue
        if end - at < 4:
            return refuse(context, BAD_OVERRUN, whole.at)
        size = <int32_t>read32(context.base + at)
        at += 4
        if size > end - at:
            return refuse(context, BAD_OVERRUN, whole.at)
        cell.at = <uint32_t>at
        cell.size = size
        at += max(size, 0)
    if at != end and vec.kernel == TUPLE:
        return refuse(context, BAD_REST, whole.at)
    return pad(context, <int64_t>missing * 16, whole.at)


cdef int fill_structs(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Tuples, and user-defined types, of which what follows the fields that are known is passed over."""
    cdef uint8_t[BLOCK] flags
    cdef int found = 0
    cdef int i
    for i in range(n):
        flags[i] = cells[i].size >= 0
        if find_fields(context, vec, &cells[i], found):
            return -1
        found += 1
        if found == vec.block or i == n - 1:
            if fill_kids_of(context, vec, found):
                return -1
            found = 0
    return mark(context, vec, flags, n)


cdef int add_element(Context* context, Vec* vec, int64_t at, int32_t size, int* found) noexcept nogil:
    vec.cells[found[0]].at = <uint32_t>at
    vec.cells[found[0]].size = size
    found[0] += 1
    if found[0] < vec.block:
        return 0
    found[0] = 0
    return fill_kids_of(context, vec, vec.block)


cdef int fill_vectors(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Vectors: so many elements each, packed, or each after its length; of null, so many that are null."""
    cdef uint8_t[BLOCK] flags
    cdef bint packed = vec.width and (vec.kids[0].kernel == FIXED4 or vec.kids[0].kernel == FIXED8)
    cdef int found = 0
    cdef int i
    cdef int32_t element
    cdef int64_t at
    cdef int64_t end
    cdef uint64_t size
    for i in range(n):
        flags[i] = cells[i].size > 0
        at = cells[i].at
        if flags[i]:
            end = at + cells[i].size
            if vec.width and cells[i].size != <int64_t>vec.width * vec.count:
                return refuse(context, BAD_LENGTH, at)
            if vec.count > cells[i].size:
                return refuse(context, BAD_LENGTH, at)
        elif pad(context, <int64_t>vec.count * max(vec.kids[0].width, 8), at):
            return -1
        if packed:
            if copy_vector(context, &vec.kids[0], context.base + at if flags[i] else NULL, vec.count):
                return -1
            continue
        for element in range(vec.count):
            if not flags[i]:
                if add_element(context, vec, at, -1, &found):
                    return -1
                continue
            size = vec.width
            if vec.width == 0 and read_vint(context, &cells[i], &at, &size):
                return -1
            if size > <uint64_t>(end - at):
                return refuse(context, BAD_OVERRUN, cells[i].at)
            if add_element(context, vec, at, <int32_t>size, &found):
                return -1
            at += <int64_t>size
        if flags[i] and at != end:
            return refuse(context, BAD_REST, cells[i].at)
    if found and fill_kids_of(context, vec, found):
        return -1
    return mark(context, vec, flags, n)


cdef int copy_vector(Context* context, Vec* kid, const uint8_t* p, int64_t count) noexcept nogil:
    """Append numbers that stand side by side, or zeros."""
    cdef uint8_t* out = room(&kid.values, count * kid.width)
    if out == NULL:
        return no_memory(context)
    if p == NULL:
        memset(out, 0, count * kid.width)
    else:
        swap_run(kid, p, out, count)
    kid.values.size += count * kid.width
    kid.length += count
    return 0
