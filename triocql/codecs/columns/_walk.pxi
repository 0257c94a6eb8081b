# The walk through a page: block by block, a cell for each value, then a kernel for each column.

cdef int walk(Context* context, Vec* rows, int n, int64_t* start) noexcept nogil:
    """Make cells of the next `n` rows, and move `start` behind them."""
    cdef const uint8_t* base = context.base
    cdef int64_t at = start[0]
    cdef int64_t end = context.size
    cdef int columns = rows.kid_count
    cdef int block = rows.block
    cdef int32_t width, size
    cdef int row, column
    cdef Cell* cell
    for row in range(n):
        cell = rows.cells + row
        for column in range(columns):
            if end - at < 4:
                return refuse(context, BAD_PAGE_END, at + 1)
            width = rows.kids[column].width
            size = <int32_t>read32(base + at)
            at += 4
            cell.at = <uint32_t>at
            cell.size = size
            cell += block
            # That the size is what it mostly is, is guessed: so the next address does not wait for it to be read.
            if size == width:
                at += width
            elif size > 0:
                at += size
            if at > end:
                return refuse(context, BAD_PAGE_END, (cell - block).at)
    start[0] = at
    return 0


cdef int fill_page(Context* context, Vec* rows, Spec* spec, int64_t at, int64_t row_count) noexcept nogil:
    """Make the vectors of all columns, and fill them."""
    cdef int64_t left = row_count
    cdef int column, n
    if init_vec(rows, spec, row_count):
        return no_memory(context)
    if rows.kid_count == 0:
        left = 0
    while left:
        n = <int>min(left, rows.block)
        if walk(context, rows, n, &at):
            return -1
        for column in range(rows.kid_count):
            if rows.kids[column].kernel == SKIP:
                continue
            if fill(context, &rows.kids[column], rows.cells + <int64_t>column * rows.block, n):
                return -1
        if left == row_count and expect(context, rows, n, row_count):
            return -1
        left -= n
    rows.length = row_count
    return no_memory(context) if fit_vec(rows) else 0


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
