# The walk through a page: block by block, a cell for each value, then a kernel for each column.

cdef int walk(Context* context, Vec* rows, int n, int64_t* start) noexcept nogil:
    """Make cells of the next `n` rows, and move `start` behind them. Return how many are within the page."""
    cdef const uint8_t* base = context.base
    cdef int64_t at = start[0]
    cdef int64_t end = context.size
    cdef int64_t last = end - 4
    cdef int columns = rows.kid_count
    cdef const Place* places = rows.places
    cdef int32_t size
    cdef int i
    cdef int row = 0
    cdef Cell* cells = rows.cells
    cdef Cell* cell
    while row < n:
        for i in range(min(rows.group, n - row) * columns):
            if at > last:
                return row * columns + i - (at > end)  # the one before has gone beyond it
            size = <int32_t>read32(base + at)
            at += 4
            cell = cells + places[i].cell
            cell.at = <uint32_t>at
            cell.size = size
            at = after_cell(at, size, places[i].width)
        row += rows.group
        cells += rows.group
    start[0] = at
    return n * columns - (at > end)


cdef bint are_even(Context* context, Vec* rows, int n, int64_t at) noexcept nogil:
    """Whether each value of the next `n` rows has the size that its type has, and is within the page."""
    cdef const uint8_t* base = context.base
    cdef int64_t stride = rows.stride
    cdef int64_t end = at + n * stride
    cdef uint32_t wrong = 0
    cdef uint32_t expected, size
    cdef int64_t each
    cdef int column
    if stride == 0 or end > context.size:
        return False
    for column in range(rows.kid_count):
        expected = read32(<uint8_t*>&rows.places[column].width)  # as it is in the page
        each = at
        while each < end:
            memcpy(&size, base + each, 4)
            wrong |= size ^ expected
            each += stride
        if wrong:
            return False
        at += 4 + rows.places[column].width
        end += 4 + rows.places[column].width
    return True


cdef int fill_even(Context* context, Vec* rows, int n, int64_t* at) noexcept nogil:
    """Append the values of rows that `are_even`, and move `at` behind them."""
    cdef int column
    cdef const uint8_t* p = context.base + at[0]
    for column in range(rows.kid_count):
        if fill_column(context, &rows.kids[column], p + 4, rows.stride, n):
            return -1
        p += 4 + rows.places[column].width
    at[0] += n * rows.stride
    return 0


cdef int fill_page(Context* context, Vec* rows, Spec* spec, int64_t at, int64_t row_count) noexcept nogil:
    """Make the vectors of all columns, and fill them."""
    cdef int64_t row = 0
    cdef int n
    if init_vec(rows, spec, row_count):
        return no_memory(context)
    rows.length = row_count
    if rows.kid_count == 0:
        return 0
    while row < row_count:
        n = <int>min(row_count - row, rows.block)
        if fill_block(context, rows, n, row, &at):
            return -1
        if row == 0 and expect(context, rows, n, row_count):
            return -1
        row += n
    return no_memory(context) if fit_vec(rows) else 0


cdef int fill_block(Context* context, Vec* rows, int n, int64_t row, int64_t* at) noexcept nogil:
    """Append the values of the next `n` rows; if that fails, the row and the column are noted, too."""
    cdef int column
    cdef int64_t padding = context.padding
    cdef int found
    if are_even(context, rows, n, at[0]) and fill_even(context, rows, n, at) == 0:
        return 0
    found = walk(context, rows, n, at)
    if found < n * rows.kid_count:
        refuse(context, BAD_PAGE_END)
    for column in range(rows.kid_count):
        if context.problem:
            context.padding = padding
            return find_refused(context, rows, found, row)
        if rows.kids[column].kernel != SKIP:
            fill(context, &rows.kids[column], rows.cells + <int64_t>column * rows.block, n)
    if context.problem:
        context.padding = padding
        return find_refused(context, rows, found, row)
    return 0


cdef int find_refused(Context* context, Vec* rows, int found, int64_t row) noexcept nogil:
    """Note the place of the first value that is refused, in the order of the page, which columns do not have. The
    values are filled in once more, each by itself: nobody gets this batch."""
    cdef int columns = rows.kid_count
    cdef int at = 0
    cdef Vec* vec
    while at < found and context.problem != NO_MEMORY and context.problem != STOPPED:
        vec = &rows.kids[at % columns]
        if vec.kernel != SKIP and fill(context, vec, rows.cells + <int64_t>(at % columns) * rows.block + at // columns, 1):
            break
        at += 1
    context.row = row + at // columns
    context.column = at % columns
    return -1


cdef int expect(Context* context, Vec* rows, int n, int64_t row_count) noexcept nogil:
    """Make room for what follows the first block, which is most often like it."""
    cdef int column
    cdef Vec* vec
    for column in range(rows.kid_count):
        vec = &rows.kids[column]
        if vec.kernel == VECTOR:
            vec = vec.kids
        elif not BYTES <= vec.kernel <= UUID_TEXT:
            continue
        # What is guessed is never more than the page has.
        if room(&vec.values, min(vec.values.size * (row_count // n), context.size)) == NULL:
            return no_memory(context)
    return 0
