# The kernels of what has elements: they become cells, which the kernels of their types get in blocks.

cdef enum:
    AT_ONCE = 4  # elements: SPARE has room for them


cdef int fill_kids_of(Context* context, Vec* vec, int n) noexcept nogil:
    """Hand over the cells that have been found."""
    cdef int kid
    for kid in range(vec.kid_count):
        if fill(context, &vec.kids[kid], vec.cells + <int64_t>kid * vec.block, n):
            return -1
    if vec.kernel == MAP and vec.kids[0].nulls:
        return refuse(context, BAD_KEY)
    return 0


cdef inline uint32_t copy_elements(
    const uint8_t* p, int32_t width, uint32_t flip, int32_t from_, int32_t to, int32_t count, uint8_t* out
) noexcept nogil:
    """Write some elements, each of which should have `width` bytes; return 0 if each of the first `count` has."""
    cdef uint32_t wrong = 0
    cdef int32_t i
    for i in range(from_, to):
        wrong |= (read32(p + i * (4 + width)) ^ <uint32_t>width) & (0 - <uint32_t>(i < count))
        copy_value(width, p + i * (4 + width) + 4, flip, out + i * width)
    return wrong


cdef inline uint32_t copy_lists(
    Context* context, Cell* cells, int n, const int32_t* ends, int32_t width, uint32_t flip, uint8_t* out
) noexcept nogil:
    """Write the elements of lists; return 0 if each of them has `width` bytes.

    Most lists are short. So four elements are written at once, and what is too much is overwritten by the next ones:
    a branch for each number of elements would be mispredicted.
    """
    cdef const uint8_t* p
    cdef int64_t last = context.size - AT_ONCE * (4 + width)
    cdef uint32_t wrong = 0
    cdef int32_t count
    cdef int i
    for i in range(n):
        count = ends[i] - ends[i - 1]
        p = context.base + cells[i].at + 4
        if <int64_t>cells[i].at + 4 <= last:
            wrong |= copy_elements(p, width, flip, 0, AT_ONCE, count, out)
            if count > AT_ONCE:
                wrong |= copy_elements(p, width, flip, AT_ONCE, count, count, out)
        else:
            wrong |= copy_elements(p, width, flip, 0, count, count, out)
        out += <int64_t>count * width
    return wrong


cdef int fill_plain_lists(Context* context, Vec* vec, Cell* cells, int n) noexcept nogil:
    """Lists of numbers. Return 1 if there is anything else in them: then nothing was appended."""
    cdef uint8_t[BLOCK] flags
    cdef Vec* kid = vec.kids
    cdef int32_t step = 4 + kid.width
    cdef uint32_t total = 0
    cdef uint32_t wrong = 0
    cdef uint32_t count, mask
    cdef int i
    cdef uint8_t* out
    cdef int32_t* ends = <int32_t*>room(&vec.offsets, <int64_t>n * 4)
    if ends == NULL:
        return no_memory(context)
    for i in range(n):
        flags[i] = cells[i].size > 0
        mask = 0 - <uint32_t>(cells[i].size >= 4)
        count = read32(context.base + (cells[i].at & mask)) & mask
        wrong |= flags[i] & (<int64_t>count * step + 4 != cells[i].size)
        total += count
        ends[i] = <int32_t>(<uint32_t>(ends - 1)[0] + total)
    if wrong:
        return 1
    out = room(&kid.values, <int64_t>total * kid.width)
    if out == NULL:
        return no_memory(context)
    if kid.width == 4:
        wrong = copy_lists(context, cells, n, ends, 4, kid.flip, out)
    else:
        wrong = copy_lists(context, cells, n, ends, 8, 0, out)
    if wrong:
        return 1
    kid.values.size += <int64_t>total * kid.width
    vec.offsets.size += <int64_t>n * 4
    return -1 if mark_all(context, kid, total) else mark(context, vec, flags, n)


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
    cdef int other = 1
    if offsets == NULL:
        return no_memory(context)
    if kid_count == 1 and (vec.kids[0].kernel == FIXED4 or vec.kids[0].kernel == FIXED8):
        other = fill_plain_lists(context, vec, cells, n)
    if other <= 0:
        return other
    items = (offsets - 1)[0]
    for i in range(n):
        flags[i] = cells[i].size > 0
        if flags[i]:
            at = cells[i].at
            end = at + cells[i].size
            if cells[i].size < 4:
                return refuse(context, BAD_LENGTH)
            count = <int32_t>read32(base + at)
            if count < 0 or <int64_t>count * 4 * kid_count > cells[i].size - 4:
                return refuse(context, BAD_COUNT)
            at += 4
            for element in range(count):
                for kid in range(kid_count):
                    if end - at < 4:
                        return refuse(context, BAD_OVERRUN)
                    size = <int32_t>read32(base + at)
                    at += 4
                    if size > end - at:
                        return refuse(context, BAD_OVERRUN)
                    cell = vec.cells + kid * block + found
                    cell.at = <uint32_t>at
                    cell.size = size
                    at = after_cell(at, size, vec.kids[kid].width)
                found += 1
                if found == block:
                    if fill_kids_of(context, vec, found):
                        return -1
                    found = 0
            if at != end:
                return refuse(context, BAD_REST)
            items += count
        offsets[i] = items
    if found and fill_kids_of(context, vec, found):
        return -1
    vec.offsets.size += <int64_t>n * 4
    return mark(context, vec, flags, n)


cdef int pad(Context* context, int64_t size) noexcept nogil:
    """Count the bytes in buffers that no byte of the page pays for."""
    context.padding -= size
    return refuse(context, BAD_PADDING) if context.padding < 0 else 0


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
            return refuse(context, BAD_OVERRUN)
        size = <int32_t>read32(context.base + at)
        at += 4
        if size > end - at:
            return refuse(context, BAD_OVERRUN)
        cell.at = <uint32_t>at
        cell.size = size
        at = after_cell(at, size, vec.kids[kid].width)
    if at != end and vec.kernel == TUPLE:
        return refuse(context, BAD_REST)
    return pad(context, <int64_t>missing * 16)


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
                return refuse(context, BAD_LENGTH)
            if vec.count > cells[i].size:
                return refuse(context, BAD_LENGTH)
        elif pad(context, <int64_t>vec.count * max(vec.kids[0].width, 8)):
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
                return refuse(context, BAD_OVERRUN)
            if add_element(context, vec, at, <int32_t>size, &found):
                return -1
            at += <int64_t>size
        if flags[i] and at != end:
            return refuse(context, BAD_REST)
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
