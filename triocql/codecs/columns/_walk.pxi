# The walk through a page: block by block, a cell for each value, then a kernel for each column.

cdef int walk(Context* context, Vec* rows, int n, int64_t* start) noexcept nogil:
    """Make cells of the next `n` rows, and move `start` behind them. Return how many are within the page."""
    cdef const uint8_t* base = context.base
    cdef int64_t at = start[0]
    cdef int64_t end = context.size
    cdef int columns = rows.kid_count
    cdef int block = rows.block
    cdef const int32_t* widths = rows.widths
    cdef int32_t size
    cdef int row, column
    cdef Cell* cell
    for row in range(n):
        cell = rows.cells + row
        for column in range(columns):
            if end - at < 4:
                return row * columns + column - (at > end)  # the one before has gone beyond it
            size = <int32_t>read32(base + at)
            at += 4
            cell.at = <uint32_t>at
            cell.size = size
            cell += block
            at = after_cell(at, size, widths[column])
    start[0] = at
    return n * columns - (at > end)


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
    cdef int found = walk(context, rows, n, at)
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
